"""A Gaussian kernel on every training row, on standardised or on whitened columns, bandwidth and columns by validation.

Squared distances of at most 2,000 validation rows to the rows without them are summed for a grid of bandwidths at once;
a finer grid follows around the best. The final estimate has all training rows. No tree: sums are exact, in blocks.
"""

import numpy as np
from numpy.typing import NDArray

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate, held_out

COARSE, FINE, TRIED, BLOCK = np.geomspace(0.01, 2.0, 14), 7, 2_000, 2_000_000


def log_kernels(x: Rows, centres: Rows, bandwidths: NDArray[np.float64], clock: Clock | None = None) -> Rows:
    """Log-densities of rows under the kernels of each bandwidth, as (bandwidths, rows); cut off when the clock is out."""
    d, norms = x.shape[1], (centres**2).sum(1)
    out, step = [], max(BLOCK // len(centres), 1)
    for i in range(0, len(x), step):
        block = x[i : i + step]
        squares = np.maximum((block**2).sum(1)[:, None] - 2 * block @ centres.T + norms, 0.0)
        nearest = squares.min(1, keepdims=True)
        squares -= nearest
        rows = [
            np.log(np.exp(squares * (-0.5 / h**2)).sum(1)) - 0.5 * nearest[:, 0] / h**2 for h in bandwidths
        ]
        out.append(np.array(rows))
        if clock is not None and clock.left() == 0:
            break
    constants = d * np.log(bandwidths) + 0.5 * d * np.log(2 * np.pi) + np.log(len(centres))
    return np.concatenate(out, 1) - constants[:, None]


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The kernel estimate whose bandwidth and columns do best on the validation rows."""
    clock, (fit, validation) = Clock(budget), held_out(rows, seed)
    validation = validation[:TRIED]
    factor = np.linalg.cholesky(np.linalg.inv(np.cov(rows.T)))
    best = (-np.inf, 0.0, "")
    for name, to in {"standardised": np.eye(rows.shape[1]), "whitened": factor}.items():
        size = np.linalg.slogdet(to)[1]
        grid = COARSE
        for _ in range(2):
            scores = log_kernels(validation @ to, fit @ to, grid, clock).mean(1) + size
            i = int(scores.argmax())
            best = max(best, (float(scores[i]), float(grid[i]), name))
            if clock.share() > 0.4:
                break
            grid = np.geomspace(grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)], FINE)
    score, bandwidth, name = best
    to = factor if name == "whitened" else np.eye(rows.shape[1])
    size, back, rng = np.linalg.slogdet(to)[1], np.linalg.inv(to), np.random.default_rng(seed)

    def log_prob(x: Rows) -> Rows:
        return log_kernels(x @ to, rows @ to, np.array([bandwidth]))[0] + size

    def sample(n: int) -> Rows:
        chosen = rows[rng.integers(len(rows), size=n)]
        return chosen + bandwidth * rng.standard_normal(chosen.shape) @ back

    return Estimate(log_prob, {"bandwidth": bandwidth, "columns": name, "validation": score}, sample)
