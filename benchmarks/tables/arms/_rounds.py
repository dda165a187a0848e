"""How flows of other libraries are trained: batches of 512, a cosine over the budget, the best weights by validation.

The rate falls along half a cosine over the share of the budget that is used. After 30 epochs without gain on the validation
rows a round ends; while more than a third of the budget is left, the flow is trained anew with a cosine of 1.5 times the
epochs of the last round's best, and the best of the rounds is kept: so a small table does not suffer from a rate
that has not fallen yet when it begins to overfit. Batches are an eighth of a small table.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..clock import Clock

BATCH, LEAST, PART, PATIENCE, ROUNDS, LEFT = 512, 64, 8, 30, 4, 1 / 3


class AbstractTrainee(ABC):
    """A flow in training, whatever its library."""

    @abstractmethod
    def step(self, batch: NDArray[np.int64], share: float) -> bool:
        """A step on some rows at the rate of a share of the way; False where its gradient is not finite: it is left out."""

    @abstractmethod
    def score(self) -> float:
        """Mean log-likelihood of the validation rows."""

    @abstractmethod
    def weights(self) -> Any:
        """A copy of the weights."""


def cosine(share: float) -> float:
    """Half a cosine, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def best_of_rounds(
    new: Callable[[int], AbstractTrainee], rows: int, clock: Clock, seed: int
) -> tuple[Any, dict[str, Any]]:
    """The best weights of all rounds, and how they were found."""
    rng = np.random.default_rng(seed)
    best, kept, rounds, epochs = -math.inf, None, [], math.inf
    for number in range(ROUNDS):
        if number and clock.left() < LEFT * clock.budget:
            break
        trainee = new(number)
        weights, made = one_round(trainee, rows, clock, epochs, rng)
        rounds.append(made)
        if kept is None or made["validation"] > best:
            best, kept = made["validation"], weights
        epochs = max(1.5 * made["best_epoch"], 10.0)
    return kept, {"validation": best, "rounds": rounds, "seconds": clock.used()}


def one_round(
    trainee: AbstractTrainee, rows: int, clock: Clock, epochs: float, rng: np.random.Generator
) -> tuple[Any, dict[str, Any]]:
    """One training from new weights."""
    size = min(BATCH, max(LEAST, rows // PART), rows)
    batches, began = rows // size, clock.used()
    best, at, kept, steps, skipped, epoch = -math.inf, 0, trainee.weights(), 0, 0, 0
    while True:
        order = rng.permutation(rows)
        for i in range(batches):
            share = max((clock.used() - began) / (clock.budget - began), steps / (batches * epochs))
            skipped += not trainee.step(order[i * size : (i + 1) * size], share)
            steps += 1
            if clock.left() == 0:
                break
        epoch, score = epoch + 1, trainee.score()
        if score > best:
            best, at, kept = score, epoch, trainee.weights()
        if clock.left() == 0 or epoch >= epochs or epoch - at >= PATIENCE:
            return kept, {
                "validation": best,
                "best_epoch": at,
                "epochs": epoch,
                "steps": steps,
                "skipped": skipped,
            }
