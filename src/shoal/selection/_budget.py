"""How a time limit is shared between the rungs of a ladder.

A rung costs a fixed time (compiling, measuring) and a time an epoch that grows with depth. What is left is shared so
that all rungs still to come get the same number of epochs; time that a rung leaves over goes to the later ones. Where
the fixed times alone would eat the limit, the last rungs are given up: few trained rungs say more than many begun.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

FAMILY_COST = {
    "nice": 0.8,
    "realnvp": 1.0,
    "spline": 2.5,
    "maf": 1.5,
    "iaf": 8.0,
    "nsf": 5.0,
}  # of a layer, before any is measured
FIRST_COMPILE = {"nice": 4.0, "realnvp": 5.0, "spline": 10.0, "maf": 5.0, "iaf": 12.0}  # seconds, likewise
FIRST_MEASURE = {"nice": 3.0, "realnvp": 3.0, "spline": 6.0, "maf": 4.0, "iaf": 8.0}
LAST = 6.0  # seconds kept for what follows the last rung, at most a tenth of the limit
LEAST_TRAINING = 0.5  # of the fixed times: with less left for training, rungs are given up


@dataclass
class Budget:
    """The clock of one ladder. `limit` None: no limit, every share is None."""

    limit: float | None
    started: float = field(default_factory=lambda: time.monotonic())
    compiling: dict[str, float] = field(default_factory=lambda: dict(FIRST_COMPILE))
    measuring: dict[str, float] = field(default_factory=lambda: dict(FIRST_MEASURE))
    layer: dict[str, float] = field(default_factory=dict)  # seconds an epoch and layer, as measured

    def elapsed(self) -> float:
        """Seconds since the ladder began."""
        return time.monotonic() - self.started

    def share(self, rungs: Sequence[tuple[str, int]]) -> float | None:
        """Seconds of compiling and training for `rungs[0]`, the next of the rungs to come; 0: no time to begin it."""
        if self.limit is None:
            return None
        left = self.limit - self.elapsed() - min(LAST, 0.1 * self.limit)
        fixed = [self.compiling.get(f, 8.0) + self.measuring.get(f, 6.0) for f, _ in rungs]
        count = len(rungs)
        while count and left < (1 + LEAST_TRAINING) * sum(fixed[:count]):
            count -= 1
        if count == 0 and not self.layer and left >= fixed[0]:
            count = (
                1  # nothing is measured yet, and the first guesses are high: one rung may well have the time
            )
        if count == 0:
            return 0.0
        costs = [self._cost(family) * depth for family, depth in rungs[:count]]
        training = (left - sum(fixed[:count])) * costs[0] / sum(costs)
        return self.compiling.get(rungs[0][0], 8.0) + training

    def measured(
        self, family: str, depth: int, *, compiling: float, measuring: float, per_epoch: float | None
    ) -> None:
        """Take note of what a rung cost: seconds of compiling, of measuring, and of an epoch."""
        more = 2.0 if depth == 1 else 1.0  # deeper rungs compile pairs of layers
        self.compiling[family], self.measuring[family] = more * compiling, more * measuring
        if per_epoch is not None:
            self.layer[family] = per_epoch / depth

    def _cost(self, family: str) -> float:
        if not self.layer:
            return FAMILY_COST.get(family, 1.0)
        known = {f: seconds / FAMILY_COST.get(f, 1.0) for f, seconds in self.layer.items()}
        unit = sum(known.values()) / len(known)
        return self.layer.get(family, unit * FAMILY_COST.get(family, 1.0))
