"""Fitting a mixture of full-covariance normals by expectation-maximisation, in NumPy float64, with row weights.

Both steps are products with one table of features, Φ(x) = (x_i x_j for i <= j, x_i, 1): the log-densities of all components
are Φ times one matrix, the moments of all components are the responsibilities times Φ (Dempster, Laird, Rubin 1977 for
the steps). Rows are standardised, so that the sums of squares in Φ lose nothing that matters: precisions end at 1e6.

With few rows for each component a prior of the covariances helps (Fraley and Raftery 2007): an inverse Wishart of ν = n + 2
around Ψ = s K^{-2 / n} S, S the covariance of all rows, so that Σ_k = (N_k S_k + ν Ψ) / (N_k + ν). With as many components
as rows this is a kernel density estimate.

With **states** (rows, s), one-hot codes of discrete variables, components have independent laws θ_k of these, too (latent
classes: Φ has the states as further columns), and what comes out is the law of x given the states: a mixture whose weights
are softmax(log w_k + β sum_j log θ_kj states_j). That of all variables together would be β = 1; variables that say the same
are counted twice, so β = 1/2 is tried.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from shoal._scalars import FloatArray, IntArray
from shoal.distributions._normals import GaussianMixture

FLOOR = 1e-6  # added to every variance, of columns in units of their deviation
LEAST = 1e-12  # probability of a state in a component
TEMPERED = (1.0, 0.5)  # β
WIDE = 3.0
TOLERANCE = 1e-3  # nats a row: EM ends where a step gains less
STEPS = 60
FIRST_ROWS = 8000  # EM begins on so many rows, where there are more
BLOCK = 8192
KEPT = 25_000_000  # numbers of Φ up to which it is kept between the steps
ROWS_PER_NUMBER = 3.0  # rows for each column of each component, at least, where there is no prior
PRIORS = (None, 1.0, 0.25)  # the scales s that are tried
MOST = 1024  # components with a prior
STARTS = 4  # of the best number of components without a prior


@dataclass(frozen=True)
class Components:
    """Weights (K,), means (K, n) and upper factors P (K, n, n) of the precisions P P^T, in float64.

    `gates` (K, s): log θ of the states, times β; None without states.
    """

    weights: FloatArray
    means: FloatArray
    factors: FloatArray
    gates: FloatArray | None = None

    def log_density(self, x: FloatArray, states: FloatArray | None = None) -> FloatArray:
        """log p of rows (rows, n), given their states where there are gates."""
        matrix = _matrix(self)
        logs = np.concatenate([_log_sum(part @ matrix)[0] for part in _Table(x, states, keep=False)])
        if self.gates is None or states is None:
            return logs
        given = [_log_sum(np.log(self.weights) + part @ self.gates.T)[0] for part in _blocks(states)]
        return logs - np.concatenate(given)

    def distribution(self, context: int = 0) -> GaussianMixture:
        """The mixture in JAX's default dtype; of the `context` columns the last ones are the states."""
        diagonals = np.diagonal(self.factors, axis1=1, axis2=2)
        parts = [np.log(self.weights), self.means, np.triu(self.factors, 1), np.log(diagonals)]
        if self.gates is not None:
            parts.append(np.pad(self.gates, ((0, 0), (context - self.gates.shape[1], 0))))
        return GaussianMixture(*(jnp.asarray(part, jnp.result_type(float)) for part in parts))


def fit_gaussian_mixture(
    x: FloatArray,
    count: int,
    weights: FloatArray | None = None,
    *,
    states: FloatArray | None = None,
    labels: IntArray | None = None,
    prior: float | None = None,
    seed: int = 0,
    deadline: float | None = None,
) -> Components:
    """`count` normals fitted to rows (rows, n) by EM from k-means++ (Arthur and Vassilvitskii 2007) and a few k-means steps.

    Every variance gets `FLOOR`; a component that loses its rows keeps that floor and a weight near 0. Ends where a step
    gains less than `TOLERANCE` nats a row, after `STEPS` steps (the first ones on `FIRST_ROWS` rows), or at `deadline`
    (of `time.monotonic`). `states`: (rows, s), one-hot codes of discrete variables, or None. `labels`: (rows,), the
    components to begin with in place of clusters. `prior`: the scale s of the covariances' prior, None for no prior. With
    as many components as rows every row is a mean, and there are no steps.
    """
    rng = np.random.default_rng(seed)
    w = np.full(len(x), 1.0) if weights is None else np.asarray(weights, np.float64)
    w = w / w.mean()
    held = None if prior is None else _Prior(prior, count, x, w)
    own = None if states is None else np.asarray(states, np.float64)
    usual = None if own is None else np.average(own, axis=0, weights=w)
    kernels = count >= len(x)
    many = len(x) > FIRST_ROWS and not kernels
    some = rng.permutation(len(x))[:FIRST_ROWS] if many else np.arange(len(x))
    rows = Rows(x[some], w[some], None if own is None else own[some], usual)
    if labels is None:
        seen = x[some] if own is None else np.hstack([x, own])[some]
        begin = some if kernels else _clusters(seen, w[some], count, rng)
    else:
        begin = labels[some]
    found = rows.begun(begin, count, held)
    if kernels:
        return found
    found = rows.climbed(found, STEPS, deadline, held)
    whole = Rows(x, w, own, usual)
    return found if len(some) == len(x) else whole.climbed(found, STEPS // 3, deadline, held)


class _Prior:
    """ν and Ψ of the covariances of `count` components."""

    def __init__(self, scale: float, count: int, x: FloatArray, w: FloatArray):
        n = x.shape[1]
        self.strength = n + 2.0
        self.centre = scale * count ** (-2.0 / n) * np.atleast_2d(np.cov(x.T, aweights=w, bias=True))


@dataclass(frozen=True)
class Rows:
    """Rows, their weights and states; `usual`: the shares of the states in the whole table."""

    x: FloatArray
    w: FloatArray
    states: FloatArray | None = None
    usual: FloatArray | None = None

    def begun(self, labels: np.ndarray, count: int, prior: _Prior | None) -> Components:
        """The components of rows with labels."""
        shares = np.zeros((len(self.x), count))
        shares[np.arange(len(self.x)), labels] = self.w
        return _maximised(shares.T @ _features(self.x, self.states), self.x.shape[1], prior, self.usual)

    def climbed(
        self, found: Components, steps: int, deadline: float | None, prior: _Prior | None
    ) -> Components:
        """After `steps` steps of EM, or fewer."""
        old, table = -np.inf, _Table(self.x, self.states)
        for _ in range(steps):
            matrix, total, moments = _matrix(found), 0.0, np.zeros(())
            for features, part in zip(table, _blocks(self.w), strict=True):
                logs, shares = _log_sum(features @ matrix)
                total += float(part @ logs)
                moments = moments + (shares * part[:, None]).T @ features
            found = _maximised(moments, self.x.shape[1], prior, self.usual)
            gained, old = total / len(self.x) - old, total / len(self.x)
            if gained < TOLERANCE or (deadline is not None and time.monotonic() > deadline):
                break
        return found


def choose_gaussian_mixture(
    x: FloatArray,
    validation: FloatArray,
    weights: FloatArray | None = None,
    validation_weights: FloatArray | None = None,
    *,
    states: FloatArray | None = None,
    validation_states: FloatArray | None = None,
    seed: int = 0,
    seconds: float = np.inf,
) -> Components:
    """The mixture of 1, 2, 4, ... normals with the highest likelihood of the `validation` rows, given their states.

    First without a prior, the best number then begun `STARTS` times; then with the `PRIORS`, from that number on. Doubling
    ends where two doublings in a row gained nothing, where components would have fewer than `ROWS_PER_NUMBER` rows a column
    and there is no prior, at one component a row or `MOST`. With states, one normal for each pattern of them is tried too.
    Nothing is begun that would not fit into `seconds`. Every mixture gets one wide component more, of the weight of a row.
    """
    started, best, top, chosen = time.monotonic(), None, -np.inf, (1, None)
    wide = _wide(x, weights, states)
    took: dict[int, float] = {0: 0.0}  # seconds of the last fit of so many components

    def tried(count: int, prior: float | None, seed: int, labels: IntArray | None = None) -> float:
        """The value of one fit, kept where it is the best; -inf where there is no time for it."""
        nonlocal best, top, chosen
        before = time.monotonic()
        if best is not None and before - started + took.get(count, 2.0 * took[0]) > seconds:
            return -np.inf
        deadline = started + seconds if best else None
        fitted = fit_gaussian_mixture(
            x, count, weights, states=states, labels=labels, prior=prior, seed=seed, deadline=deadline
        )
        value = -np.inf
        for found in _tempered(_guarded(fitted, wide)):
            logs = _raised(found.log_density(validation, validation_states))
            value = max(value, now := float(np.average(logs, weights=validation_weights)))
            if best is None or now > top:
                best, top, chosen = found, now, (count, prior)
        took[0] = took[count] = time.monotonic() - before
        return value

    for prior in PRIORS:
        highest, worse = -np.inf, 0
        for count in _counts(chosen[0], x.shape, prior is not None):
            value = tried(count, prior, seed)
            worse = 0 if value > highest else worse + 1
            highest = max(highest, value)
            if worse == 2:
                break
        if prior is None:
            for start in range(1, STARTS):
                tried(*chosen, seed + start)
    if states is not None:
        labels = _patterns(states, int(np.ceil(ROWS_PER_NUMBER * x.shape[1])))
        tried(int(labels.max()) + 1, None, seed, labels)
    assert best is not None
    return best


def _patterns(states: FloatArray, least: int) -> IntArray:
    """The number of each row's pattern of states; one of fewer than `least` rows counts as the nearest of the others."""
    patterns, numbers, counts = np.unique(states, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST]
    kept = order[counts[order] >= least] if counts.max() >= least else order[:1]
    return np.argmax(patterns @ patterns[kept].T, axis=1)[numbers.ravel()]


def _wide(x: FloatArray, weights: FloatArray | None, states: FloatArray | None) -> Components:
    """One component of the weight of one row: all columns apart, each `WIDE` of its deviations wide.

    Beside a component that is nearly flat a row with a small error lies a hundred deviations out: with this one it costs
    some tens of nats, and not thousands.
    """
    mean, share = np.average(x, axis=0, weights=weights), 1.0 / (len(x) + 1.0)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights) + FLOOR)
    usual = None if states is None else np.average(states, axis=0, weights=weights)
    gates = None if usual is None else np.log(np.maximum(usual, LEAST))[None]
    return Components(np.array([share]), mean[None], np.diag(1.0 / (WIDE * deviation))[None], gates)


def _guarded(found: Components, wide: Components) -> Components:
    """With the wide component too."""
    means = np.concatenate([found.means, wide.means])
    factors = np.concatenate([found.factors, wide.factors])
    gates = None if found.gates is None or wide.gates is None else np.vstack([found.gates, wide.gates])
    weights = np.append((1.0 - wide.weights[0]) * found.weights, wide.weights)
    return Components(weights, means, factors, gates)


def _tempered(found: Components) -> list[Components]:
    """With each β that is tried, where there are gates."""
    return [found] if found.gates is None else [replace(found, gates=b * found.gates) for b in TEMPERED]


def _counts(first: int, shape: tuple[int, ...], prior: bool) -> list[int]:
    """The numbers of components that are tried for rows of this shape, from `first` on."""
    rows, columns = shape
    last = min(rows, MOST) if prior else max(int(rows / (columns * ROWS_PER_NUMBER)), 1)
    doubled = [first * 2**i for i in range(int(np.log2(max(last / first, 1))) + 1)]
    return [*doubled, last] if prior and doubled[-1] < last else doubled


def _raised(logs: FloatArray) -> FloatArray:
    """Log-densities with the lowest 0.1 % (one at least) raised to the next, so that no single row decides."""
    few = max(1, len(logs) // 1000)
    return np.maximum(logs, np.partition(logs, few)[few]) if len(logs) > few else logs


def _blocks(a: FloatArray) -> list[FloatArray]:
    return [a[start : start + BLOCK] for start in range(0, len(a), BLOCK)]


class _Table:
    """Φ of rows, block by block: kept where it is small, made at every pass where it is not."""

    def __init__(self, x: FloatArray, states: FloatArray | None = None, *, keep: bool = True):
        n, more = x.shape[1], 0 if states is None else states.shape[1]
        self.x, self.states = _blocks(x), itertools.repeat(None) if states is None else _blocks(states)
        small = len(x) * (n * (n + 1) // 2 + n + 1 + more) <= KEPT
        self.kept = list(map(_features, self.x, self.states)) if keep and small else None

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(self.kept) if self.kept is not None else map(_features, self.x, self.states)


def _features(x: FloatArray, states: FloatArray | None = None) -> FloatArray:
    i, j = np.triu_indices(x.shape[1])
    more = [] if states is None else [states]
    return np.concatenate([x[:, i] * x[:, j], x, np.ones((len(x), 1)), *more], axis=1)


def _matrix(found: Components) -> FloatArray:
    """What Φ(x) is multiplied by for log w_k + log N(x; k), and log θ of the states."""
    n = found.means.shape[1]
    i, j = np.triu_indices(n)
    precision = found.factors @ found.factors.transpose(0, 2, 1)
    linear = (precision @ found.means[:, :, None])[:, :, 0]
    square = np.where(i == j, -0.5, -1.0) * precision[:, i, j]
    logs = np.log(np.diagonal(found.factors, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):
        constant = np.log(found.weights) + logs - 0.5 * n * np.log(2 * np.pi)
    constant = constant - 0.5 * np.sum(linear * found.means, axis=1)
    more = [] if found.gates is None else [found.gates]
    return np.concatenate([square, linear, constant[:, None], *more], axis=1).T


def _log_sum(joint: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(log of the sum over components, their shares)."""
    top = joint.max(axis=1, keepdims=True)
    shares = np.exp(joint - top)
    total = shares.sum(axis=1, keepdims=True)
    return (top + np.log(total))[:, 0], shares / total


def _maximised(
    moments: FloatArray, n: int, prior: _Prior | None, usual: FloatArray | None = None
) -> Components:
    """The components that the moments (K, features) belong to. `usual`: shares of the states, as of one row more in each."""
    count, (i, j) = len(moments), np.triu_indices(n)
    squares, sums, mass, of_states = np.split(moments, np.cumsum([len(i), n, 1]), axis=1)
    mass = mass[:, 0] + 1e-10
    means = sums / mass[:, None]
    covariances = np.zeros((count, n, n))
    covariances[:, i, j] = covariances[:, j, i] = squares / mass[:, None]
    covariances -= means[:, :, None] * means[:, None, :]
    if prior is not None:
        rows = mass[:, None, None]
        covariances = (rows * covariances + prior.strength * prior.centre) / (rows + prior.strength)
    covariances[:, np.arange(n), np.arange(n)] += FLOOR
    factors = np.stack([_factor(c) for c in covariances])
    gates = None
    if usual is not None:
        gates = np.log(np.maximum((of_states + usual) / (mass[:, None] + 1.0), LEAST))
    return Components(mass / mass.sum(), means, factors, gates)


def _factor(covariance: FloatArray) -> FloatArray:
    """Upper triangular P with P P^T the inverse; where rounding made it indefinite, of the nearest that is not."""
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.maximum(values, FLOOR))).T
        lower = np.linalg.qr(root)[1].T
        lower = lower * np.sign(np.diag(lower))
    return solve_triangular(lower, np.eye(len(covariance)), lower=True).T


def _clusters(x: FloatArray, w: FloatArray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Labels by k-means++ and five k-means steps."""
    centres = np.empty((count, x.shape[1]))
    centres[0] = x[rng.choice(len(x), p=w / w.sum())]
    away = np.sum((x - centres[0]) ** 2, axis=1)
    for c in range(1, count):
        p = away * w
        centres[c] = x[rng.choice(len(x), p=p / p.sum() if p.sum() > 0 else w / w.sum())]
        away = np.minimum(away, np.sum((x - centres[c]) ** 2, axis=1))
    labels = np.zeros(len(x), int)
    for _ in range(5):
        labels = np.argmax(x @ centres.T - 0.5 * np.sum(centres**2, axis=1), axis=1)
        mass = np.bincount(labels, w, count)
        sums = np.stack([np.bincount(labels, w * column, count) for column in x.T], axis=1)
        held = mass > 0
        centres[held] = sums[held] / mass[held, None]
    return labels
