"""The plan of a run: how many epochs, the learning rate on the way, and how many steps one compiled call does.

Progress u runs from 0 to 1 over the planned steps. A plan that is changed on the way (a time limit, and the machine
became slower or faster) keeps the progress reached and walks the rest of it in the new number of steps. Everything
that the step program needs of a plan is three numbers, so a new plan never recompiles. Plans are stored in
checkpoints: a resumed run follows the stored plan and measures nothing again.
"""

import time
from dataclasses import dataclass

import jax.numpy as jnp

from shoal._types import Array

RESERVE = 0.05  # share of a time limit that plans leave unused
LOOK = 0.1  # a plan is compared with the clock whenever this share of the time left has passed
AIM = 1.0  # seconds of a compiled call; twice this is the most that one may take
GROWTH = 16


@dataclass(frozen=True)
class Plan:
    """`epochs` in all; from epoch `start` (counted from 0) on, progress runs from `progress` to 1."""

    epochs: int
    start: int = 0
    progress: float = 0.0

    def at(self, done: int) -> tuple[float, float]:
        """The progress after `done` epochs, and that of one epoch."""
        per_epoch = (1.0 - self.progress) / (self.epochs - self.start)
        return self.progress + (done - self.start) * per_epoch, per_epoch

    def revised(self, done: int, epochs: int) -> "Plan":
        """The plan that keeps the progress reached after `done` epochs and ends after `epochs`."""
        return Plan(epochs=epochs, start=done, progress=self.at(done)[0])


def epochs_that_fit(seconds: float, elapsed: float, per_epoch: float, done: int, most: int) -> int:
    """Total epochs that fit into the time limit of which `elapsed` seconds are gone: at least `done` + 1, at most `most`."""
    left = (1.0 - RESERVE) * seconds - elapsed
    return max(done + 1, min(most, done + int(left / max(per_epoch, 1e-9))))


def revise(plan: Plan, *, done: int, elapsed: float, limit: float, per_epoch: float, most: int) -> Plan:
    """The plan after a look at the clock: changed only where more than a tenth of the epochs left is gained or lost."""
    fits = epochs_that_fit(limit, elapsed, per_epoch, done, most)
    if done >= plan.epochs or abs(fits - plan.epochs) <= 0.1 * (plan.epochs - done):
        return plan
    return plan.revised(done, fits)


def learning_rate(progress: Array, peak: Array, warmup: Array) -> Array:
    r"""Linear warm-up over the first `warmup` of the progress, then $\frac12(1+\cos\pi v)$ times `peak`, v = 0..1."""
    rising = progress / jnp.maximum(warmup, jnp.finfo(warmup.dtype).tiny)
    falling = 0.5 * (1.0 + jnp.cos(jnp.pi * (progress - warmup) / jnp.maximum(1.0 - warmup, 1e-6)))
    return peak * jnp.where(progress < warmup, rising, falling)


class Chunks:
    """How many steps a call does: one at first, then as many as take about a second, growing at most 16-fold at a time."""

    def __init__(self) -> None:
        self.per_step: float | None = None
        self.last = 0

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
