"""How a time limit is shared between the rungs of a ladder.

A rung costs a fixed time (compiling, measuring) and a time an epoch that grows with depth. What is left is shared so
that all rungs still to come get the same number of epochs; time that a rung leaves over goes to the later ones.
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
}  # of a layer, before any is measured
FIRST_FIXED = 5.0  # seconds a rung before its steps, before any is measured
LAST = 6.0  # seconds kept for what follows the last rung
LEAST = 1.0  # seconds of training below which a rung is not begun


@dataclass
class Budget:
    """The clock of one ladder. `limit` None: no limit, every share is None."""

    limit: float | None
    started: float = field(default_factory=lambda: time.monotonic())
    fixed: dict[str, float] = field(default_factory=dict)
    layer: dict[str, float] = field(default_factory=dict)

    def elapsed(self) -> float:
        """Seconds since the ladder began."""
        return time.monotonic() - self.started

    def share(self, rungs: Sequence[tuple[str, int]]) -> float | None:
        """Seconds of training for `rungs[0]`, the next of the rungs still to come; 0 if time is too short."""
        if self.limit is None:
            return None
        # the part that is kept for the end is at most a tenth
        left = self.limit - self.elapsed() - min(LAST, 0.1 * self.limit)
        fixed = [self.fixed.get(family, FIRST_FIXED) for family, _ in rungs]
        costs = [self._cost(family) * depth for family, depth in rungs]
        steps = left - sum(fixed)
        # too little for all: the next rung gets an equal part, and the last ones are not begun
        seconds = steps * costs[0] / sum(costs) if steps > LEAST * len(rungs) else left / len(rungs)
        return seconds if seconds >= LEAST and left > LEAST + fixed[0] / 2 else 0.0

    def measured(self, family: str, depth: int, *, fixed: float, per_epoch: float | None) -> None:
        """Take note of what a finished rung cost: seconds beside its steps, and seconds an epoch."""
        self.fixed[family] = max(fixed, 0.5 * self.fixed.get(family, 0.0))
        if per_epoch is not None:
            self.layer[family] = per_epoch / depth

    def _cost(self, family: str) -> float:
        if not self.layer:
            return FAMILY_COST.get(family, 1.0)
        known = {f: seconds / FAMILY_COST.get(f, 1.0) for f, seconds in self.layer.items()}
        unit = sum(known.values()) / len(known)
        return self.layer.get(family, unit * FAMILY_COST.get(family, 1.0))
