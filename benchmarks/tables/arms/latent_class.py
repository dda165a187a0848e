"""Latent classes: given the class, states are independent and numbers are Gaussian; by expectation-maximization.

Numbers of a class have a full covariance or a diagonal one; missing numbers are integrated out, with their conditional
moments in the M-step. Numbers are taken as they are or as normal scores of their margins (a mixture of Gaussians in one
dimension each, a fifth of the budget), whose densities then come in. Frequencies of a class are drawn to those of all
rows as by one more row. Sizes 1, 2, 5, ... 160 of the four kinds in turn; every ten iterations are scored on the
validation rows and the best parameters of all are kept; a kind ends when two sizes in a row do not gain, all when the
budget is spent. Last, two iterations over all the training rows.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.cluster import KMeans

from ..clock import Clock
from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._margins import from_scores, margins, scored_rows
from ._mixed import MixedEstimate, filled, frequencies, gated, held_out, patterns
from .mixture import SIZES

ITERATIONS, CHUNK, FLOOR, BLOCK, CLUSTERED, TOLERANCE = 200, 10, 1e-5, 4_000, 10_000, 1e-4
KINDS, MARGINS, LEAST = ("full", "diagonal"), 0.2, 20


@dataclass(frozen=True)
class Classes:
    """Parameters: weights (c), shares of the states (c, size) a code, means (c, k), covariances (c, k, k)."""

    weights: Rows
    shares: list[Rows]
    means: Rows
    covariances: Rows


def log_joint(law: Classes, rows: MixedRows) -> Rows:
    """log p(row, class), of shape (rows, classes)."""
    found = np.tile(np.log(law.weights), (len(rows), 1))
    for j, p in enumerate(law.shares):
        found += np.log(p).T[rows.codes[:, j]]
    for there, places in patterns(rows.values):
        if len(there):
            found[places] += gaussian(law, rows.values[np.ix_(places, there)], there)
    return found


def gaussian(law: Classes, x: Rows, there: Any) -> Rows:
    """Log-densities of the numbers that are there, of shape (rows, classes)."""
    factors = np.linalg.cholesky(law.covariances[:, there[:, None], there])
    sizes = np.log(np.einsum("cii->ci", factors)).sum(1) + 0.5 * len(there) * np.log(2 * np.pi)
    inverse = np.linalg.inv(factors)
    z = inverse @ (x.T[None] - law.means[:, there, None])
    return -0.5 * (z * z).sum(1).T - sizes


def moments(law: Classes, rows: MixedRows, r: Rows) -> tuple[Rows, Rows]:
    """Weighted sums of the completed numbers and of their products, class by class."""
    c, k = law.means.shape
    first, second = np.zeros((c, k)), np.zeros((c, k, k))
    for there, places in patterns(rows.values):
        gone = np.setdiff1d(np.arange(k), there)
        weight = r[places].T
        sums = np.zeros((c, k, len(places)))
        x = rows.values[np.ix_(places, there)].T
        sums[:, there] = x
        if len(gone):
            across = law.covariances[:, gone[:, None], there]
            gain = np.linalg.solve(law.covariances[:, there[:, None], there], across.transpose(0, 2, 1))
            sums[:, gone] = law.means[:, gone, None] + gain.transpose(0, 2, 1) @ (
                x - law.means[:, there, None]
            )
            rest = law.covariances[:, gone[:, None], gone] - across @ gain
            second[:, gone[:, None], gone] += weight.sum(1)[:, None, None] * rest
        weighted = sums * weight[:, None]
        first += weighted.sum(2)
        second += weighted @ sums.transpose(0, 2, 1)
    return first, second


def stepped(law: Classes, columns: Columns, rows: MixedRows, kind: str) -> tuple[Classes, float]:
    """One iteration, and the mean log-likelihood before it."""
    c, k = law.means.shape
    first, second, n, score = np.zeros((c, k)), np.zeros((c, k, k)), np.zeros(c), 0.0
    counts = [np.zeros((c, size)) for size in columns.sizes]
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        joint = log_joint(law, part)
        whole = logsumexp(joint, axis=1)
        r = np.exp(joint - whole[:, None])
        one, two = moments(law, part, r)
        first, second, n, score = first + one, second + two, n + r.sum(0), score + whole.sum()
        for j, table in enumerate(counts):
            table += r.T @ np.eye(table.shape[1])[part.codes[:, j]]
    return maximised(columns, rows, kind, (first, second, n, counts)), float(score / len(rows))


def maximised(columns: Columns, rows: MixedRows, kind: str, sums: Any) -> Classes:
    """The parameters that the sums give."""
    first, second, n, counts = sums
    least = np.maximum(n, 1e-3)
    means = first / least[:, None]
    covariances = second / least[:, None, None] - means[:, :, None] * means[:, None]
    if kind == "diagonal":
        covariances = covariances * np.eye(means.shape[1])
    base = frequencies(columns, rows)
    shares = [(table + p) / (n[:, None] + 1) for table, p in zip(counts, base, strict=True)]
    floor = FLOOR * np.eye(means.shape[1])
    return Classes((n + 1e-3) / (n + 1e-3).sum(), shares, means, covariances + floor)


def started(columns: Columns, rows: MixedRows, k: int, seed: int) -> Classes:
    """Classes by k-means of numbers and one-hot states."""
    rng = np.random.default_rng([seed, k])
    hot = [np.eye(size)[rows.codes[:, j]] for j, size in enumerate(columns.sizes)]
    points = np.hstack([filled(rows, rng), *hot])
    few = points[rng.permutation(len(points))[:CLUSTERED]]
    label = KMeans(k, n_init=1, random_state=seed).fit(few).predict(points)
    r = 0.9 * np.eye(k)[label] + 0.1 / k
    values = filled(rows, rng)
    second = np.einsum("nc,ni,nj->cij", r, values, values, optimize=True)
    counts = [r.T @ h for h in hot]
    return maximised(columns, rows, "full", (r.T @ values, second, r.sum(0), counts))


def score(law: Classes, rows: MixedRows) -> Rows:
    """Log-densities."""
    parts = [logsumexp(log_joint(law, rows[i : i + BLOCK]), axis=1) for i in range(0, len(rows), BLOCK)]
    return np.concatenate(parts)


class Search:
    """The best parameters so far, by validation; `spaces`: fitting and validation rows as they are and as normal scores,
    and what the change adds to a mean log-density."""

    def __init__(
        self, columns: Columns, spaces: dict[str, tuple[MixedRows, MixedRows, float]], clock: Clock
    ) -> None:
        self.columns, self.spaces, self.clock = columns, spaces, clock
        self.best, self.law, self.facts, self.tops = -np.inf, None, {}, {}

    def one(self, k: int, space: str, kind: str, seed: int) -> bool:
        """Trains a size of a kind; whether it gained on the best of its kind."""
        fit, validation, offset = self.spaces[space]
        law, bound, best = started(self.columns, fit, k, seed), -np.inf, -np.inf
        if kind == "diagonal":
            law = replace(law, covariances=law.covariances * np.eye(law.means.shape[1]))
        for done in range(1, ITERATIONS + 1):
            law, likelihood = stepped(law, self.columns, fit, kind)
            over = self.clock.left() == 0
            if done % CHUNK == 0 or over:
                found = float(score(law, validation).mean()) + offset
                best = max(best, found)
                if found > self.best:
                    self.best, self.law = found, law
                    said = {"k": k, "covariance": kind, "numbers": space, "iterations": done}
                    self.facts = {**said, "validation": found}
                if over or likelihood - bound < TOLERANCE:
                    break
                bound = likelihood
        gained = best > self.tops.get((space, kind), -np.inf)
        self.tops[space, kind] = max(best, self.tops.get((space, kind), -np.inf))
        return gained


def searched(columns: Columns, spaces: Any, clock: Clock, seed: int) -> Search:
    """All sizes of all kinds, as long as they gain and the budget lasts."""
    search, worse = Search(columns, spaces, clock), dict.fromkeys(product(spaces, KINDS), 0)
    rows = len(spaces["plain"][0])
    for k in (k for k in SIZES if k == 1 or LEAST * k <= rows):
        for space, kind in worse:
            if worse[space, kind] < 2 and (clock.left() > 0 or search.law is None):
                gained = search.one(k, space, kind, seed)
                worse[space, kind] = 0 if gained else worse[space, kind] + 1
    return search


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The best classes that the budget finds."""
    clock, (fit, validation) = Clock(budget), held_out(rows, seed)
    models = margins(fit.values, MARGINS * budget, seed)
    (fit_z, _), (validation_z, add) = (scored_rows(models, part) for part in (fit, validation))
    spaces = {"plain": (fit, validation, 0.0), "scores": (fit_z, validation_z, float(add.mean()))}
    search = searched(columns, spaces, clock, seed)
    law, plain = search.law, search.facts["numbers"] == "plain"
    assert law is not None
    for _ in range(2):
        law, _ = stepped(
            law, columns, rows if plain else scored_rows(models, rows)[0], search.facts["covariance"]
        )
    rng = np.random.default_rng(seed)

    def log_prob(x: MixedRows) -> Rows:
        if plain:
            return score(law, x)
        z, more = scored_rows(models, x)
        return score(law, z) + more

    def sample(n: int) -> MixedRows:
        made = drawn(law, columns, n, rng)
        return made if plain else MixedRows(made.codes, from_scores(models, made.values))

    return MixedEstimate(log_prob, sample, search.facts)


def drawn(law: Classes, columns: Columns, n: int, rng: np.random.Generator) -> MixedRows:
    """Rows of the classes."""
    part = rng.choice(len(law.weights), n, p=law.weights)
    codes = np.zeros((n, len(law.shares)), np.int64)
    for j, p in enumerate(law.shares):
        codes[:, j] = (rng.random((n, 1)) > np.cumsum(p, 1)[part][:, :-1]).sum(1)
    noise = rng.standard_normal((n, law.means.shape[1], 1))
    values = law.means[part] + (np.linalg.cholesky(law.covariances)[part] @ noise)[..., 0]
    return gated(columns, codes, values)
