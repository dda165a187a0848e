"""`Settings`: how weights are moved, as one value from the command line to the step."""

from dataclasses import dataclass, fields

from shoal.bijections import whole

from ._checks import described, fraction, not_negative, positive
from ._losses import AbstractPenalty, check_penalty

# These may differ when a run is resumed: the stored plan has their effect.
FREE = ("time_limit", "checkpoint_seconds", "devices")


@dataclass(frozen=True)
class Settings:
    """How a training moves the weights, and when it ends. `Settings(batch_size=128, max_epochs=50)`.

    - `batch_size`: rows of a step (all rows, if there are fewer). `max_epochs`: passes over the rows.
    - `learning_rate`: the highest one. It rises linearly over `warmup_fraction` of the planned steps and falls to zero
      along a cosine; the optimizer's update is multiplied by it.
    - `clip_norm`: of the gradient's global norm, before the optimizer sees it; None for no clipping.
    - `patience`: epochs without a better validation value after which training stops; None for never.
    - `max_rollbacks`: non-finite steps after which a run counts as diverged.
    - `time_limit`: seconds in all, compilation included; None for none. The number of epochs (at most `max_epochs`) is
      planned from the measured speed so that the cosine ends in time, and corrected on the way.
    - `averaging`: None, or the decay $\\beta$ of a moving average of the weights, $a \\leftarrow \\beta a + (1 - \\beta) w$
      after every step, from the given weights on. The averages are then what is validated, watched and returned.
    - `weight_decay`: λ; a step at rate r multiplies the matrices of all conditioners (their affine part too, not the
      biases) by 1 - r λ, beside the optimizer's update (AdamW, Loshchilov and Hutter 2019). 0 for none.
    - `penalty`: a term that is added to the loss of every k-th step, such as `JacobianPenalty()`.
    - `checkpoint_seconds`: the least time from one checkpoint to the next, where a folder for them is given.
    - `devices`: how many share the rows of a step; `batch_size` must be a multiple. None: one where a step is small or the
      devices are a CPU's, else as many as there are. Another number gives the same losses to rounding, not to the bit, also
      where a run is resumed with it.

    **Raises:** `InputError` naming the setting, the value seen and what it may be.
    """

    batch_size: int = 512
    max_epochs: int = 100
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.05
    clip_norm: float | None = 5.0
    patience: int | None = 20
    max_rollbacks: int = 10
    time_limit: float | None = None
    averaging: float | None = None
    weight_decay: float = 0.0
    penalty: AbstractPenalty | None = None
    checkpoint_seconds: float = 20.0
    devices: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "max_rollbacks", "patience", "devices"):
            if getattr(self, name) is not None or name not in ("patience", "devices"):
                whole(name, getattr(self, name))
        for name in ("learning_rate", "checkpoint_seconds", "clip_norm", "time_limit"):
            if getattr(self, name) is not None or name in ("learning_rate", "checkpoint_seconds"):
                positive(name, getattr(self, name))
        fraction("warmup_fraction", self.warmup_fraction)
        if self.averaging is not None:
            fraction("averaging", self.averaging)
        not_negative("weight_decay", self.weight_decay)
        check_penalty(self.penalty)

    def fingerprint(self) -> dict[str, object]:
        """What a resumed run must share."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in FREE}
        return {**values, "penalty": described(self.penalty)}


DEFAULTS = Settings()
