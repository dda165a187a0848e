"""A budget of processor seconds: what an arm has used of it, whatever else the machine does meanwhile."""

import time


class Clock:
    """Processor seconds of this process since the clock was made, against a budget."""

    def __init__(self, budget: float) -> None:
        self.budget, self.began = budget, time.process_time()

    def used(self) -> float:
        """Seconds used."""
        return time.process_time() - self.began

    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(self.budget - self.used(), 0.0)

    def share(self) -> float:
        """The share of the budget that is used, at most 1."""
        return min(self.used() / self.budget, 1.0)
