"""The margins of the columns of numbers: mixtures of Gaussians in one dimension, and the normal scores that they give."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from ..mixed_rows import MixedRows
from ..prepare import Rows
from .mixture import fitted

BISECTIONS, FAR = 60, 12.0


def margins(values: Rows, budget: float, seed: int) -> list[Any]:
    """A mixture for each column, by validation; each gets the same share of the budget."""
    found = (column[np.isfinite(column)][:, None] for column in values.T)
    return [fitted(there, budget / values.shape[1], seed)[0] for there in found]


def log_margins(models: Sequence[Any], values: Rows) -> Rows:
    """The sum of the margins' log-densities over the numbers that are there, row by row."""
    found = np.zeros(len(values))
    for column, model in zip(values.T, models, strict=True):
        there = np.isfinite(column)
        if there.any():
            found[there] += model.score_samples(column[there][:, None])
    return found


def scores(models: Sequence[Any], values: Rows) -> Rows:
    """Normal scores of the numbers: the normal quantile of the margin's distribution function, exact in both tails."""
    return np.array([_score(model, column) for model, column in zip(models, values.T, strict=True)]).T


def scored_rows(models: Sequence[Any], rows: MixedRows) -> tuple[MixedRows, Rows]:
    """Rows with normal scores for numbers, and what that adds to their log-densities."""
    z = scores(models, rows.values)
    sizes = np.nansum(0.5 * z * z + 0.5 * np.log(2 * np.pi) * np.isfinite(z), axis=1)
    return MixedRows(rows.codes, z), log_margins(models, rows.values) + sizes


def from_scores(models: Sequence[Any], z: Rows) -> Rows:
    """The numbers of normal scores, by bisection."""
    found = []
    for model, column in zip(models, z.T, strict=True):
        spread = FAR * np.sqrt(model.covariances_[:, 0, 0])
        low = np.full(len(column), (model.means_[:, 0] - spread).min())
        high = np.full(len(column), (model.means_[:, 0] + spread).max())
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            above = _score(model, middle) > column
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        found.append(np.where(np.isfinite(column), 0.5 * (low + high), np.nan))
    return np.array(found).T


def _score(model: Any, column: Rows) -> Rows:
    u = (column[:, None] - model.means_[:, 0]) / np.sqrt(model.covariances_[:, 0, 0])
    below, above = ndtr(u) @ model.weights_, ndtr(-u) @ model.weights_
    lower = below < above
    z = ndtri(np.maximum(np.where(lower, below, above), 1e-300))
    return np.where(np.isnan(column), np.nan, np.where(lower, z, -z))
