"""`ConditioningMonitor`: how often a training is looked at, at how many points, and what happens beyond a budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from shoal._errors import InputError

from ._checks import positive, whole_number

DENSE = 64  # coordinates up to which the whole Jacobian is computed
EVERY, RARER = 100, 8  # steps between looks, and the factor beyond `DENSE` coordinates

Action: TypeAlias = Literal["stop", "rescale"]


@dataclass(frozen=True)
class ConditioningMonitor:
    """Measures σmax, σmin and κ of latent -> standardised data, and the round trip x -> z -> x, while a flow trains.

    Given to `fit(..., monitor=...)`, it measures `points` fixed rows, evenly spaced in the validation table (in the data
    where there is none), before the first step and every `interval(n)` steps. It also measures how far these points go
    when they are scaled by two. Measuring does not change the training: the weights are bit for bit those of a run
    without a monitor, until a budget is crossed.

    Cost, beside compiling a program: `results/monitor.json`. Up to 64 coordinates a measurement computes whole Jacobians.
    Beyond, it bounds the two ends of the spectrum by products. With narrow nets one such measurement costs about 20
    training steps, so the default interval is eight times longer.

    **Arguments:** `every`: in training steps (None: 100, or 800 beyond 64 coordinates); `points`: rows; `max_condition`,
    `max_round_trip`: budgets for the largest κ and the largest error over the points, in the flow's own dtype (None: none;
    NaN is beyond any). `action`, beyond a budget: "stop" ends the training with the status "ill-conditioned"; "rescale"
    goes back to the last weights that were measured within it, with half the learning rate and another shuffle, at most
    `max_rescales` times, and then stops.

    **Raises:** `InputError` for counts below 1, budgets that are no finite numbers above 0, an unknown action, and an
    action other than "stop" without a budget.
    """

    every: int | None = None
    points: int = 16
    max_condition: float | None = None
    max_round_trip: float | None = None
    action: Action = "stop"
    max_rescales: int = 3

    def __post_init__(self) -> None:
        for name in ("every", "points", "max_rescales"):
            if getattr(self, name) is not None or name != "every":
                whole_number(name, getattr(self, name))
        for name in ("max_condition", "max_round_trip"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.action not in get_args(Action):
            raise InputError(f"`action` must be one of {', '.join(get_args(Action))}; got {self.action!r}.")
        if self.action != "stop" and not self.has_budget:
            raise InputError(
                f"`action={self.action!r}` needs a budget; give `max_condition` or `max_round_trip`."
            )

    def interval(self, size: int) -> int:
        """Training steps from look to look for a flow of `size` coordinates."""
        if self.every is not None:
            return self.every
        return EVERY if size <= DENSE else RARER * EVERY

    @property
    def has_budget(self) -> bool:
        """True if some budget is set."""
        return self.max_condition is not None or self.max_round_trip is not None

    def crossed(self, row: Mapping[str, Any]) -> bool:
        """True if a figure of `row` is above its budget, or NaN where there is a budget."""
        budgets = (("condition_max", self.max_condition), ("round_trip", self.max_round_trip))
        return any(limit is not None and not row[name] <= limit for name, limit in budgets)
