"""How many steps one compiled call does: as many as take about a second, as measured."""

import time

AIM = 1.0  # seconds; twice this is the most that a call may take
GROWTH = 16


class Chunks:
    """The first chunk is one step; then the measured speed sets the length, growing at most 16-fold at a time."""

    per_step: float | None
    last: int

    def __init__(self) -> None:
        self.per_step, self.last = None, 0

    def next(self, seconds_left: float) -> int:
        """The number of steps for the next call, at least 1."""
        if self.per_step is None:
            return 1
        wanted = int(min(AIM, seconds_left) / max(self.per_step, 1e-9))
        return max(1, min(wanted, GROWTH * self.last))

    def measured(self, steps: int, started: float) -> None:
        """Note that `steps` steps took the time since `started`."""
        if steps:
            self.per_step, self.last = (time.perf_counter() - started) / steps, steps
