"""The plan of a run: how many epochs, and the learning rate on the way (warm-up, then cosine to zero).

Progress u runs from 0 to 1 over the planned steps. A plan that is changed on the way (a time limit, and the machine
became slower or faster) keeps the progress reached and walks the rest of it in the new number of steps. Everything
that the step program needs of a plan is three numbers, so a new plan never recompiles. Plans are stored in
checkpoints: a resumed run follows the stored plan and measures nothing again.
"""

from dataclasses import dataclass

import jax.numpy as jnp

from shoal._types import Array

RESERVE = 0.05  # share of a time limit that plans leave unused
LOOK = 0.1  # a plan is compared with the clock whenever this share of the time left has passed


@dataclass(frozen=True)
class Plan:
    """`epochs` in all; from epoch `start` (counted from 0) on, progress runs from `progress` to 1."""

    epochs: int
    start: int = 0
    progress: float = 0.0

    @property
    def per_epoch(self) -> float:
        """The progress of one epoch."""
        return (1.0 - self.progress) / (self.epochs - self.start)

    def at(self, done: int) -> tuple[float, float]:
        """The progress after `done` epochs, and that of one epoch."""
        return self.progress + (done - self.start) * self.per_epoch, self.per_epoch

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
