r"""What conditioning a table asks of a flow: lower ends proved with a confidence, upper ones from an explicit map.

Let g: R^d -> R^d have Lipschitz constant L, its inverse M, and let g # N(0, I) be within total variation eps of the law P of
the rows. Then, Phi the normal distribution function and F_d that of chi squared,

- L >= (b - a) / (Phi^-1(P(h <= b) + eps) - Phi^-1(P(h <= a) - eps)) for every 1-Lipschitz h and a < b;
- M >= sqrt(F_d^-1(P(B) - eps)) / r for every set B of finite volume, r the radius of the ball of that volume.

*Proof.* A = g^-1{h <= a} has normal mass >= P(h <= a) - eps, and its (b - a) / L neighbourhood lies in g^-1{h <= b}, of mass
<= P(h <= b) + eps; by the Gaussian isoperimetric inequality that neighbourhood has at least
Phi(Phi^-1(mass of A) + (b - a) / L). For the second, g^-1(B) has normal mass >= P(B) - eps and volume <= M^d vol(B), and of
all sets of a volume the ball around 0 has the largest normal mass. []

The first, for two sets far apart, is in Verine et al. (2022) and Salmona et al. (2022); here h is read from the table: a
direction, or how much nearer one group of rows is than another, so that masses need not be equal nor modes far. B is a set
{q >= t}, q a density fitted to rows: its volume is E_q[1 / q; q >= t], by sampling q.
All of it is chosen on some rows, and its probabilities are bounded on others, so that nothing is tested on what it is fitted
to: Clopper and Pearson (1934) for P, Maurer and Pontil (2009) for volumes, a union bound over `TRIED` choices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist
from scipy.special import gammaln, ndtri
from scipy.stats import beta, chi2

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.distributions import Components, fit_gaussian_mixture
from shoal.theory.hardness._explicit_map import ExplicitMap, chosen, explicit_maps

TRIED = 4  # choices for each constant that are bounded on the held-out rows
GROUPS = (2, 3, 4, 6)
NEAR = 200  # rows of a group to which distances are taken
SAMPLES = 20_000  # of the density, for a volume
# of the density: normals that are tried, and rows that it is fitted to, at most
COMPONENTS, ROWS = (1, 2, 4, 8, 16), 6000
LEVELS = np.concatenate([[0.002, 0.005, 0.01], np.arange(0.02, 0.99, 0.02), [0.99, 0.995, 0.998]])


@dataclass(frozen=True)
class Ends:
    """`lower`: with the bracket's confidence no flow within its variation is below; `upper`: of the fitted law's map."""

    lower: float
    upper: float


@dataclass(frozen=True)
class ConditionBracket:
    """The Lipschitz constants of a flow N(0, I) -> rows and of its inverse, and their product, the global condition.

    `lower` ends (kind: lower_bound, with probability at least `confidence` over the rows, all three together) hold for every
    flow whose law is within total variation `variation` of the law that the rows are drawn from. `upper` ends (kind: an
    estimate) are proved for one explicit map, `law`, whose law is fitted to the rows: `law.nats` is its held-out
    log-likelihood, and nothing is proved about its distance from the rows' law. `maps`: all that were tried; those below
    a lower end are proved to be farther than `variation`, and `law` is chosen from the others where there are any.
    `seen_by`: what gave the lower end of `lipschitz`.

    The product is at least the condition of the Jacobian at every point, which can be much smaller: a map of one variable
    has 1 everywhere. So the lower end bounds the product, not the largest condition at a point.
    """

    lipschitz: Ends
    inverse: Ends
    condition: Ends
    variation: float
    confidence: float
    seen_by: str
    law: ExplicitMap
    maps: tuple[ExplicitMap, ...]


def condition_bracket(
    rows: FloatArray,
    held_out: FloatArray | None = None,
    *,
    variation: float = 0.01,
    confidence: float = 0.99,
    seed: int = 0,
) -> ConditionBracket:
    """Bracket the Lipschitz constants, both ways, of a flow from N(0, I) to the law of the rows.

    **Arguments:** `rows`: (rows, d), finite, from which sets and laws are chosen; `held_out`: (rows, d), independent draws,
    also of `rows`, on which they are tested: by default half of `rows` by lot. Constants are in the units of the rows: for
    columns in their deviations, take these from `rows` and give `held_out` apart, so that the confidence stays exact.
    `variation`: total variation between the flow's law and the rows', in [0, 1/2); `confidence`: of the lower ends.
    **Returns:** a `ConditionBracket`; a lower end of a Lipschitz constant is 0 where the rows are too few to prove anything.
    **Raises:** InputError for rows or numbers that are out of range.
    **Source:** Verine et al. (2022), Salmona et al. (2022) for far modes; Mikulincer and Shenfeld (2023) for the upper end.

    >>> import numpy as np
    >>> from shoal.theory.hardness import condition_bracket
    >>> rows = np.random.default_rng(0).normal(size=(2000, 1)) + 8 * np.repeat([[0], [1]], 1000, axis=0)
    >>> condition_bracket(rows).lipschitz.lower > 8
    True
    """
    given = np.asarray(rows, np.float64)
    given = given[np.random.default_rng(seed).permutation(len(given))]
    if held_out is None:
        half, other = given[: len(given) // 2], given[len(given) // 2 :]
    else:
        half, other = given, np.asarray(held_out, np.float64)
    for part in (half, other):
        if part.ndim != 2 or len(part) < 20 or part.shape[1] != half.shape[1] or not np.isfinite(part).all():
            raise InputError(
                "`condition_bracket` needs at least 20 finite rows to choose from and 20 to test on, (rows, d); "
                f"got shapes {half.shape} and {part.shape}."
            )
    if not 0 <= variation < 0.5 or not 0 < confidence < 1:
        raise InputError(
            f"`variation` must lie in [0, 1/2) and `confidence` in (0, 1); got {variation}, {confidence}."
        )
    risk = (1 - confidence) / (
        4 * TRIED
    )  # of each of two bounds, for each of TRIED choices, for each constant
    forward, name = _forward(half, other, variation, risk, seed)
    back = _backward(half, other, variation, risk, seed)
    maps = explicit_maps(half, other, seed)
    able = [m for m in maps if m.lipschitz >= forward and m.inverse >= back]
    law = chosen(able or maps, half.shape[1])
    return ConditionBracket(
        Ends(forward, law.lipschitz),
        Ends(back, law.inverse),
        Ends(max(forward * back, 1.0), law.condition),
        variation,
        confidence,
        name,
        law,
        tuple(maps),
    )


def least_share(hits: int, rows: int, risk: float) -> float:
    """Below a probability with chance 1 - risk, after `hits` of `rows` (Clopper and Pearson)."""
    return float(beta.ppf(risk, hits, rows - hits + 1)) if hits else 0.0


def most_share(hits: int, rows: int, risk: float) -> float:
    """Above a probability with chance 1 - risk."""
    return float(beta.ppf(1 - risk, hits + 1, rows - hits)) if hits < rows else 1.0


def stretch(low: float, high: float, gap: float, variation: float) -> float:
    """gap / (Phi^-1(high + variation) - Phi^-1(low - variation)), 0 where either leaves (0, 1)."""
    if low <= variation or high + variation >= 1:
        return 0.0
    return gap / float(ndtri(high + variation) - ndtri(low - variation))


def concentration(mass: float, log_volume: float, d: int, variation: float) -> float:
    """sqrt(F_d^-1(mass - variation)) / radius of the ball of that volume, 0 where the mass is too small."""
    if mass <= variation:
        return 0.0
    log_ball = 0.5 * d * math.log(math.pi) - float(gammaln(d / 2 + 1))
    return math.sqrt(float(chi2.ppf(mass - variation, d))) / math.exp((log_volume - log_ball) / d)


def _forward(
    half: FloatArray, other: FloatArray, variation: float, risk: float, seed: int
) -> tuple[float, str]:
    """The lower end of L: the best a < b of each function on `half`, the best `TRIED` of these tested on `other`.

    Chosen with the risk squared, some sqrt(2) as many deviations: both parts have errors.
    """
    found = []
    rows = len(other)
    for name, function in _functions(half, seed).items():
        values = np.sort(function(half))
        cuts = np.unique(np.quantile(values, LEVELS))
        shares = np.searchsorted(values, cuts, "right") / len(values)
        low = np.array([least_share(int(s * rows), rows, risk**2) for s in shares])
        high = np.array([most_share(math.ceil(s * rows), rows, risk**2) for s in shares])
        scores = [
            (stretch(low[i], high[j], cuts[j] - cuts[i], variation), cuts[i], cuts[j])
            for i in range(len(cuts))
            for j in range(i + 1, len(cuts))
        ]
        found.append((*max(scores, default=(0.0, 0.0, 0.0)), name, function))
    best = (0.0, "nothing")
    for _, a, b, name, function in sorted(found, key=lambda f: -f[0])[:TRIED]:
        values = function(other)
        low = least_share(int((values <= a).sum()), rows, risk)
        high = most_share(int((values <= b).sum()), rows, risk)
        best = max(best, (stretch(low, high, float(b - a), variation), name))
    return best


def _functions(half: FloatArray, seed: int) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """1-Lipschitz functions of rows, (rows, d) -> (rows,), by name: directions, and differences of distances by two."""
    rng = np.random.default_rng(seed)
    middle = half.mean(axis=0)
    ways = {f"column {j}": np.eye(half.shape[1])[j] for j in range(half.shape[1])}
    axes = np.linalg.svd(half - middle, full_matrices=False)[2]
    ways |= {f"principal axis {i}": v for i, v in enumerate(axes)}
    found: dict[str, Callable[[FloatArray], FloatArray]] = {
        "distance from the mean": lambda x: np.linalg.norm(x - middle, axis=1)
    }
    for k in GROUPS:
        labels = kmeans2(half, k, minit="++", seed=rng)[1]  # pyright: ignore[reportCallIssue]
        for i in range(k):
            own, rest = half[labels == i], half[labels != i]
            if min(len(own), len(rest)) < 2:
                continue
            way = own.mean(axis=0) - rest.mean(axis=0)
            ways[f"towards group {i} of {k}"] = way / np.linalg.norm(way)
            own, rest = (p[rng.permutation(len(p))[:NEAR]] for p in (own, rest))
            found[f"nearness to group {i} of {k}"] = lambda x, own=own, rest=rest: (
                0.5 * (cdist(x, own).min(axis=1) - cdist(x, rest).min(axis=1))
            )
    return found | {name: lambda x, v=v: x @ v for name, v in ways.items()}


def _backward(half: FloatArray, other: FloatArray, variation: float, risk: float, seed: int) -> float:
    """The lower end of M: level sets of a mixture fitted to `half`, `TRIED` levels tested on `other`."""
    cut = 4 * len(half) // 5
    density = _density(half[:cut][:ROWS], half[cut:], seed)
    d, rows = half.shape[1], len(other)
    own = np.sort(density.log_density(half[cut:]))[::-1]
    logs = density.log_density(_samples(density, np.random.default_rng(seed)))
    scored = []
    for share in np.arange(0.05, 1.0, 0.05):
        level = float(own[min(int(share * len(own)), len(own) - 1)])
        mass = least_share(int((own >= level).mean() * rows), rows, risk**2)
        scored.append((concentration(mass, _log_volume(logs, level, risk), d, variation), level))
    fresh = density.log_density(_samples(density, np.random.default_rng(seed + 1)))
    found = [0.0]
    for _, level in sorted(scored, reverse=True)[:TRIED]:
        mass = least_share(int((density.log_density(other) >= level).sum()), rows, risk)
        found.append(concentration(mass, _log_volume(fresh, level, risk), d, variation))
    return max(found)


def _density(fit: FloatArray, held_out: FloatArray, seed: int) -> Components:
    """A mixture of normals fitted to rows, of the number of `COMPONENTS` that held-out rows like best."""
    counts = [k for k in COMPONENTS if k == 1 or k * 5 * fit.shape[1] <= len(fit)]
    found = [fit_gaussian_mixture(fit, k, seed=seed) for k in counts]
    return max(found, key=lambda made: float(made.log_density(held_out).mean()))


def _log_volume(logs: FloatArray, level: float, risk: float) -> float:
    """Above the log-volume of {log q >= level} with chance 1 - risk, from logs of q at its own samples.

    The volume is e^-level E[e^level / q; q >= level], of a variable in [0, 1] (Maurer and Pontil).
    """
    shares = np.where(logs >= level, np.exp(np.minimum(level - logs, 0.0)), 0.0)
    size, ask = len(shares), math.log(2 / risk)
    mean = shares.mean() + math.sqrt(2 * shares.var(ddof=1) * ask / size) + 7 * ask / (3 * (size - 1))
    return math.log(min(mean, 1.0)) - level


def _samples(density: Components, rng: np.random.Generator) -> FloatArray:
    """`SAMPLES` rows of a mixture with upper factors P of its precisions P P'."""
    index = rng.choice(len(density.weights), SAMPLES, p=density.weights / density.weights.sum())
    noise = rng.normal(size=(SAMPLES, density.means.shape[1]))
    found = np.empty_like(noise)
    for i in np.unique(index):
        own = index == i
        found[own] = density.means[i] + np.linalg.solve(density.factors[i].T, noise[own].T).T
    return found
