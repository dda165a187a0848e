r"""Explicit bi-Lipschitz maps from N(0, I) to a law fitted to rows, with proved bounds of both Lipschitz constants.

x = T(H(z)): H the heat-flow map of a mixture of k normals of one covariance (`_heat_flow`, linear for k = 1), T a
piecewise linear increasing function of each coordinate through quantiles of the column, or the identity. What is proved is
about the law of x; how near that is to the law of the rows is measured, by its log-likelihood on held-out rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from shoal._scalars import FloatArray
from shoal.theory.hardness._heat_flow import TiedMixture, fit_tied, heat_flow_bounds

KNOTS = (4, 8, 16, 32)  # of a column's function
COMPONENTS = (1, 2, 3, 4, 6, 8)
SLACK = 0.1  # nats a column by which a better conditioned law may be worse than the likeliest one
ROWS = 6000  # of fit and of judgement, at most


@dataclass(frozen=True)
class Margins:
    """Increasing functions y -> x of each column, linear between `y` and `x`, both (d, m); the outer pieces go on."""

    y: FloatArray
    x: FloatArray

    @property
    def slopes(self) -> FloatArray:
        """(d, m - 1)."""
        return np.diff(self.x, axis=1) / np.diff(self.y, axis=1)

    def inverse(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """y of rows (rows, d), and the sum of the logarithms of dy / dx of each row."""
        found, logs = np.empty_like(rows), np.zeros(len(rows))
        for j, slopes in enumerate(self.slopes):
            piece = np.clip(np.searchsorted(self.x[j], rows[:, j]) - 1, 0, len(slopes) - 1)
            found[:, j] = self.y[j][piece] + (rows[:, j] - self.x[j][piece]) / slopes[piece]
            logs -= np.log(slopes[piece])
        return found, logs


def margins(rows: FloatArray, knots: int) -> Margins:
    """Through `knots` inner quantiles of each column and its outermost values, at the normal quantiles of their ranks."""
    n, d = rows.shape
    levels = np.concatenate([[0.5 / n], (np.arange(knots) + 0.5) / knots, [1 - 0.5 / n]])
    x = np.quantile(rows, levels, axis=0, method="hazen").T
    least = 1e-6 * np.arange(len(levels))  # no two knots of a column coincide
    return Margins(np.tile(ndtri(levels), (d, 1)), np.maximum.accumulate(x, axis=1) + least)


@dataclass(frozen=True)
class ExplicitMap:
    """A fitted law: `lipschitz`, `inverse`: upper bounds for its map; `nats`, `error`: held-out log-likelihood, a row."""

    knots: int
    components: int
    lipschitz: float
    inverse: float
    nats: float
    error: float

    @property
    def condition(self) -> float:
        """The product."""
        return self.lipschitz * self.inverse


def explicit_maps(fit: FloatArray, held_out: FloatArray, seed: int) -> list[ExplicitMap]:
    """Laws fitted to rows: first the best number of knots for k = 1, then every k with these knots and with none."""
    rng = np.random.default_rng(seed)
    fit, held_out = (rows[rng.permutation(len(rows))[:ROWS]] for rows in (fit, held_out))
    one = [_fitted(fit, held_out, knots, (1,), seed) for knots in KNOTS]
    best = max((next(made) for made in one), key=lambda m: m.nats).knots
    return [m for knots in (0, best) for m in _fitted(fit, held_out, knots, COMPONENTS, seed)]


def chosen(maps: list[ExplicitMap], columns: int) -> ExplicitMap:
    """The best conditioned of those whose likelihood is within `SLACK` a column of the highest."""
    least = max(m.nats for m in maps) - SLACK * columns
    return min((m for m in maps if m.nats >= least), key=lambda m: m.condition)


def _fitted(
    fit: FloatArray, held_out: FloatArray, knots: int, components: tuple[int, ...], seed: int
) -> Iterator[ExplicitMap]:
    """The maps with so many knots."""
    made = margins(fit, knots) if knots else None
    y, judged, logs = fit, held_out, np.zeros(len(held_out))
    if made is not None:
        y, (judged, logs) = made.inverse(fit)[0], made.inverse(held_out)
    for k in components:
        mixture = fit_tied(y, k, seed)
        scores = mixture.log_density(judged) + logs
        bounds = _bounds(mixture, made)
        yield ExplicitMap(knots, k, *bounds, float(scores.mean()), float(scores.std() / len(scores) ** 0.5))


def _bounds(mixture: TiedMixture, made: Margins | None) -> tuple[float, float]:
    """Of T(H(z)). For k = 1, |diag(s) S^(1/2)| with the largest slopes s, |S^(-1/2) diag(1 / s)| with the smallest ones."""
    if made is None:
        return heat_flow_bounds(mixture)
    most, least = made.slopes.max(axis=1), made.slopes.min(axis=1)
    if len(mixture.means) > 1:
        lipschitz, inverse = heat_flow_bounds(mixture)
        return lipschitz * float(most.max()), inverse / float(least.min())
    root = np.linalg.cholesky(mixture.covariance)
    return (
        float(np.linalg.norm(most[:, None] * root, 2)),
        float(np.linalg.norm(np.linalg.inv(root) / least, 2)),
    )
