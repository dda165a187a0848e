"""A vine copula (pyvinecopulib) on its kernel margins, everything chosen by validation rows.

Margins: kde1d of each column, degree and bandwidth factor by validation, mixed with one part in n of a Student t of three
degrees (kde1d alone gives rows beyond its grid the density 0). Pairs: local likelihood of several smoothings, then
all families by AIC; each candidate is fitted with as many trees as the budget allows and cut to the best number of trees.
What is chosen is fitted again to all the training rows where the budget allows.
"""

import numpy as np
import pyvinecopulib as pv
from pyvinecopulib import families
from scipy.stats import t as student

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate, held_out

LOCAL = [families.indep, families.tll]
CANDIDATES = {
    "local constant": {"family_set": LOCAL},
    "local constant, half as smooth": {"family_set": LOCAL, "nonparametric_mult": 0.5},
    "local constant, a quarter as smooth": {
        "family_set": LOCAL,
        "nonparametric_mult": 0.25,
        "nonparametric_grid_size": 60,
    },
    "local constant, an eighth as smooth": {
        "family_set": LOCAL,
        "nonparametric_mult": 0.125,
        "nonparametric_grid_size": 90,
    },
    "local quadratic": {"family_set": LOCAL, "nonparametric_method": "quadratic"},
    "all families": {"family_set": []},
}
# A parametric pair costs about this many pairs of local likelihood: all families are tried where one tree of them fits.
COST = 60
DEGREES, FACTORS = (0, 1, 2), (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4)


class Margin:
    """One column's density: kde1d, and a little of a Student t for what lies beyond."""

    def __init__(self, column: Rows, degree: int, factor: float) -> None:
        self.degree, self.factor = degree, factor
        self.kernel = pv.core.Kde1d(degree=degree, multiplier=factor)
        self.kernel.fit(column)
        self.part = 1 / len(column)
        self.tail = student(3, loc=np.median(column), scale=column.std())

    def log_density(self, x: Rows) -> Rows:
        with np.errstate(divide="ignore"):
            inside = np.log1p(-self.part) + self.kernel.logpdf(x)
        return np.logaddexp(inside, np.log(self.part) + self.tail.logpdf(x))

    def uniform(self, x: Rows) -> Rows:
        return (1 - self.part) * self.kernel.cdf(x) + self.part * self.tail.cdf(x)

    def back(self, u: Rows) -> Rows:
        low, high = np.full(u.shape, -1e4), np.full(u.shape, 1e4)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self.uniform(middle) < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)


class Margins:
    """The margins of all columns; uniforms stay half a row away from 0 and 1."""

    def __init__(self, rows: Rows, settings: list[tuple[int, float]]) -> None:
        self.columns = [Margin(c, *s) for c, s in zip(rows.T, settings, strict=True)]
        self.edge = 0.5 / len(rows)

    def uniform(self, x: Rows) -> Rows:
        u = np.column_stack([m.uniform(c) for m, c in zip(self.columns, x.T, strict=True)])
        return np.clip(u, self.edge, 1 - self.edge)

    def log_density(self, x: Rows) -> Rows:
        return np.sum([m.log_density(c) for m, c in zip(self.columns, x.T, strict=True)], 0)

    def back(self, u: Rows) -> Rows:
        return np.column_stack([m.back(c) for m, c in zip(self.columns, u.T, strict=True)])


def margin_settings(fit: Rows, validation: Rows) -> list[tuple[int, float]]:
    """Degree and bandwidth factor of every column, by validation."""
    settings = [(d, f) for d in DEGREES for f in FACTORS]
    return [
        max(settings, key=lambda s, a=a, v=v: Margin(a, *s).log_density(v).mean())
        for a, v in zip(fit.T, validation.T, strict=True)
    ]


def vine(u: Rows, settings: dict, trees: int, seed: int) -> pv.Vinecop:
    """A vine of some trees."""
    controls = pv.FitControlsVinecop(**settings, trunc_lvl=trees, num_threads=1, seeds=[seed])
    return pv.Vinecop.from_data(u, controls=controls)


def pairs(d: int, trees: int) -> int:
    """The number of pair copulas of a vine of `d` columns cut after some trees."""
    return sum(d - 1 - i for i in range(min(trees, d - 1)))


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The vine that the validation rows choose."""
    clock, (fit, validation), d = Clock(budget), held_out(rows, seed), rows.shape[1]
    settings = margin_settings(fit, validation)
    margins = Margins(fit, settings)
    u, v, base = margins.uniform(fit), margins.uniform(validation), margins.log_density(validation).mean()
    levels = sorted({*(n for n in (1, 2, 4, 8, 16, 32) if n < d - 1), d - 1})
    best, each = (-np.inf, "", 0, ""), {}
    for name, chosen in CANDIDATES.items():
        if clock.share() > 0.6 or (
            name == "all families" and COST * min(each.values()) * pairs(d, 1) > clock.left()
        ):
            break
        began = clock.used()
        made = vine(u, chosen, 1, seed)
        each[name] = (clock.used() - began) / pairs(d, 1)
        trees = max(n for n in levels if n == 1 or 1.2 * each[name] * pairs(d, n) < clock.left())
        made = vine(u, chosen, trees, seed) if trees > 1 else made
        for level in [n for n in levels if n <= trees][::-1]:
            made.truncate(level)
            score = float(made.logpdf(v).mean() + base)
            if score > best[0]:
                best = (score, name, level, made.to_json())
    score, name, trees, kept = best
    every = clock.left() > 1.3 * each[name] * pairs(d, trees)
    if every:
        margins = Margins(rows, settings)
    model = (
        vine(margins.uniform(rows), CANDIDATES[name], trees, seed) if every else pv.Vinecop.from_json(kept)
    )

    def log_prob(x: Rows) -> Rows:
        return model.logpdf(margins.uniform(x)) + margins.log_density(x)

    def sample(n: int) -> Rows:
        return margins.back(model.simulate(n, seeds=[seed]))

    facts = {"pairs": name, "trees": trees, "of": d - 1, "margins": settings, "validation": score}
    return Estimate(log_prob, {**facts, "all_rows": every, "tried": list(each)}, sample)
