"""A mixture of full Gaussians by expectation-maximization, its size, start and number of iterations by validation.

Sizes 1, 2, 5, ... 160 in turn, as long as there are three rows for each coordinate of the means, until two sizes in a row do
not gain or the budget is spent; what is left goes to other starts (k-means of other seeds) of the best size and its
neighbours. Every ten iterations are scored on the validation rows, and the best parameters of all are kept; last, two
iterations over all the training rows.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate, held_out

SIZES = (1, 2, 5, 10, 20, 40, 80, 160)
ITERATIONS, CHUNK, STARTS, FLOOR = 300, 10, 5, 1e-6
TOLERANCE = 1e-4


class Best:
    """The best parameters so far, by validation."""

    def __init__(self) -> None:
        self.score, self.k, self.start, self.iterations = -np.inf, 0, 0, 0
        self.parameters: tuple[Rows, Rows, Rows] | None = None

    def offer(self, model: GaussianMixture, score: float, start: int, iterations: int) -> None:
        if score > self.score:
            self.score, self.k, self.start, self.iterations = score, model.n_components, start, iterations
            self.parameters = (model.weights_.copy(), model.means_.copy(), model.precisions_.copy())


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The best mixture that the budget finds."""
    model, facts = fitted(rows, budget, seed)
    return Estimate(model.score_samples, facts, lambda n: model.sample(n)[0])


def fitted(rows: Rows, budget: float, seed: int) -> tuple[GaussianMixture, dict[str, Any]]:
    """The best mixture that the budget finds, and how it was found."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    clock, (fit, validation) = Clock(budget), held_out(rows, seed)
    sizes = [k for k in SIZES if k == 1 or k * rows.shape[1] <= len(fit) / 3]
    best, tried, worse = Best(), {}, 0
    for k in sizes:
        before = best.score
        tried[k] = one(k, 0, seed, fit, validation, clock, best)
        worse = 0 if best.score > before else worse + 1
        if worse == 2 or clock.left() == 0:
            break
    around = sizes[max(sizes.index(best.k) - 1, 0) : sizes.index(best.k) + 2]
    for start in range(1, STARTS):
        for k in sorted(set(around) & set(tried), key=lambda k: abs(sizes.index(k) - sizes.index(best.k))):
            if k > 1 and clock.left() > 1.2 * tried[k]:
                one(k, start, seed, fit, validation, clock, best)
    model = continued(best, rows)
    facts = {
        "k": best.k,
        "start": best.start,
        "iterations": best.iterations,
        "validation": best.score,
        "sizes": list(tried),
    }
    return model, facts


def one(k: int, start: int, seed: int, fit: Rows, validation: Rows, clock: Clock, best: Best) -> float:
    """Trains size `k` from a start, offers every tenth iteration to `best`, and gives the seconds used."""
    began, bound = clock.used(), -np.inf
    model = GaussianMixture(
        k, reg_covar=FLOOR, max_iter=CHUNK, tol=0.0, warm_start=True, random_state=1000 * seed + start
    )
    for done in range(CHUNK, ITERATIONS + 1, CHUNK):
        model.fit(fit)
        best.offer(model, model.score(validation), start, done)
        if k == 1 or model.lower_bound_ - bound < TOLERANCE or clock.left() == 0:
            break
        bound = model.lower_bound_
    return clock.used() - began


def continued(best: Best, rows: Rows) -> GaussianMixture:
    """The best parameters after two iterations over all training rows."""
    assert best.parameters is not None
    weights, means, precisions = best.parameters
    model = GaussianMixture(
        best.k,
        reg_covar=FLOOR,
        max_iter=2,
        tol=0.0,
        weights_init=weights,
        means_init=means,
        precisions_init=precisions,
    )
    return model.fit(rows)
