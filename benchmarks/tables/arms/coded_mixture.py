"""A mixture of full Gaussians on numbers and dequantized codes; the mass of a state is that of its cell.

Every code becomes a number: its states in the order of their mean on the first principal component of the numbers, 0, 1,
2, ..., with uniform noise of one step; numbers are taken as they are or as normal scores of their margins (a mixture of
Gaussians in one dimension each), by validation; numbers that are not there are drawn from those that are. On these
columns, in their deviations, the mixture is that of the numeric tables (`mixture.py`). A mixed density follows from it
without a bound: the cell of a state is a step wide, the outer ones reach to infinity, so that they tile the line and the
masses add up to 1; the density of a row is the sum over the parts of weight, density of the numbers that are there (the
others are integrated out), and the probability of the box of cells given these numbers. That probability of a Gaussian
is estimated without bias by 16 draws of Geweke, Hajivassiliou and Keane's simulator (Genz 1992), exact for one code.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._margins import from_scores, margins, scored_rows
from ._mixed import MixedEstimate, filled, gated, held_out, patterns
from .mixture import fitted

DRAWS, BLOCK, MARGINS = 16, 500, 0.2


def ranked(columns: Columns, rows: MixedRows, values: Rows) -> list[Any]:
    """For each code the place of each state: by the mean first principal component of the rows that have it."""
    centred = values - values.mean(0)
    axis = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    found = []
    for j, size in enumerate(columns.sizes):
        counts = np.bincount(rows.codes[:, j], minlength=size)
        means = np.bincount(rows.codes[:, j], axis, size) / np.maximum(counts, 1)
        found.append(np.argsort(np.argsort(means, kind="stable"), kind="stable"))
    return found


def boxes(mean: Rows, factor: Rows, low: Rows, high: Rows, uniforms: Rows) -> Rows:
    """Log-probabilities of boxes low..high (rows, m) under Gaussians of the means (rows, m) and one factor (m, m).

    `uniforms`: of shape (draws, m). One coordinate after the other is drawn within its cell, given those before it.
    """
    rows, m = mean.shape
    drawn = np.zeros((rows, len(uniforms), m))
    logs = np.zeros((rows, len(uniforms)))
    for j in range(m):
        centre = mean[:, j, None] + drawn[..., :j] @ factor[j, :j]
        a, b = (low[:, j, None] - centre) / factor[j, j], (high[:, j, None] - centre) / factor[j, j]
        flip = a > 0  # the lower tail has the digits
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        below = ndtr(a)
        mass = np.maximum(ndtr(b) - below, 1e-300)
        logs += np.log(mass)
        place = ndtri(np.clip(below + uniforms[:, j] * mass, 1e-300, 1 - 1e-16))
        drawn[..., j] = np.where(flip, -place, place)
    return logsumexp(logs, axis=1) - np.log(len(uniforms))


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The better one by validation: numbers as they are, or as normal scores of their margins."""
    fit, validation = held_out(rows, seed)  # those that `fitted` takes, too
    models = margins(fit.values, MARGINS * budget, seed)
    add = float(scored_rows(models, validation)[1].mean())
    share = 0.5 * (1 - MARGINS) * budget
    plain, scored = law(columns, rows, share, seed), law(columns, scored_rows(models, rows)[0], share, seed)
    if plain.facts["validation"] >= scored.facts["validation"] + add:
        return replace(plain, facts={**plain.facts, "numbers": "plain"})

    def log_prob(x: MixedRows) -> Rows:
        z, more = scored_rows(models, x)
        return scored.log_prob(z) + more

    def sample(n: int) -> MixedRows:
        made = scored.sample(n)
        return MixedRows(made.codes, from_scores(models, made.values))

    return MixedEstimate(log_prob, sample, {**scored.facts, "numbers": "scores"})


def law(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The mixture that the budget finds, as a law of mixed rows."""
    rng = np.random.default_rng(seed)
    values = filled(rows, rng)
    places, k = ranked(columns, rows, values), rows.values.shape[1]

    def coded(codes: Any) -> Rows:
        found = [place[codes[:, j]] for j, place in enumerate(places)]
        return np.array(found, float).reshape(len(places), len(codes)).T

    codes = coded(rows.codes)
    noisy = codes + rng.uniform(-0.5, 0.5, codes.shape)
    mean, deviation = noisy.mean(0), noisy.std(0)
    model, facts = fitted(np.hstack([values, (noisy - mean) / deviation]), budget, seed)
    uniforms, last = rng.random((DRAWS, len(places))), np.array(columns.sizes) - 1

    def part(number: int, x: Rows, cells: Rows, there: Any) -> Rows:
        """Log-densities under a part: the numbers that are there, then the box of cells given them."""
        m, s = model.means_[number], model.covariances_[number]
        u = np.arange(k, len(m))
        z, gain, found = x - m[there], np.zeros((0, len(u))), np.zeros(len(x))
        if len(there):
            inner = s[np.ix_(there, there)]
            gain = np.linalg.solve(inner, s[np.ix_(there, u)])
            size = np.linalg.slogdet(inner)[1] + len(there) * np.log(2 * np.pi)
            found = -0.5 * ((z * np.linalg.solve(inner, z.T).T).sum(1) + size)
        if not len(u):
            return found
        factor = np.linalg.cholesky(s[np.ix_(u, u)] - s[np.ix_(u, there)] @ gain)
        low = np.where(cells == 0, -np.inf, (cells - 0.5 - mean) / deviation)
        high = np.where(cells == last, np.inf, (cells + 0.5 - mean) / deviation)
        return found + boxes(m[u] + z @ gain, factor, low, high, uniforms)

    def log_prob(x: MixedRows) -> Rows:
        found, cells = np.zeros(len(x)), coded(x.codes)
        for there, all_places in patterns(x.values):
            for at in range(0, len(all_places), BLOCK):
                some = all_places[at : at + BLOCK]
                chosen = x.values[np.ix_(some, there)]
                terms = [part(i, chosen, cells[some], there) for i in range(len(model.weights_))]
                found[some] = logsumexp(np.array(terms).T + np.log(model.weights_), axis=1)
        return found

    def sample(n: int) -> MixedRows:
        drawn = model.sample(n)[0]
        near = np.clip(np.rint(drawn[:, k:] * deviation + mean), 0, last).astype(int)
        states = [np.argsort(place)[near[:, j]] for j, place in enumerate(places)]
        return gated(columns, np.array(states, np.int64).reshape(len(places), n).T, drawn[:, :k])

    return MixedEstimate(log_prob, sample, facts)
