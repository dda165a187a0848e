"""What an arm gives back, and how it takes its validation rows: a tenth of the training rows, by its seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..prepare import Rows

VALIDATION = 0.1


@dataclass(frozen=True)
class Estimate:
    """A trained density: log-likelihoods of rows, and what else it can say of itself.

    `sample(n)` draws rows; `round_trip(x)` is the error of x -> z -> x of each row; `condition(x)` is the condition
    number of the Jacobian at each row. Where an arm has none of them they are None.
    """

    log_prob: Callable[[Rows], Rows]
    facts: Mapping[str, Any] = field(default_factory=dict)
    sample: Callable[[int], Rows] | None = None
    round_trip: Callable[[Rows], Rows] | None = None
    condition: Callable[[Rows], Rows] | None = None


def held_out(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Training and validation rows."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = max(int(VALIDATION * len(rows)), 1)
    return rows[order[cut:]], rows[order[:cut]]
