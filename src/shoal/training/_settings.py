"""The settings of a run, checked once, and the difference between two runs' settings and data."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shoal._errors import InputError

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Settings:
    """Plain numbers only. `None` switches clipping, early stopping or the time limit off."""

    batch_size: int
    max_epochs: int
    learning_rate: float
    warmup_fraction: float
    clip_norm: float | None
    patience: int | None
    max_rollbacks: int
    time_limit: float | None

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "max_rollbacks"):
            whole_number(name, getattr(self, name))
        if self.patience is not None:
            whole_number("patience", self.patience)
        positive("learning_rate", self.learning_rate)
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm)
        if self.time_limit is not None:
            positive("time_limit", self.time_limit)
        if not (_is_number(self.warmup_fraction) and 0 <= self.warmup_fraction < 1):
            raise InputError(
                f"`warmup_fraction` must be at least 0 and below 1; got {self.warmup_fraction!r}."
            )

    def fingerprint(self) -> dict[str, Any]:
        """What a resumed run must share: all but the time limit, whose effect is in the stored plan."""
        return {name: value for name, value in asdict(self).items() if name != "time_limit"}


def whole_number(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise InputError(f"`{name}` must be a whole number of at least 1; got {value!r}.")


def positive(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a finite number above 0."""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise InputError(f"`{name}` must be a finite number above 0; got {value!r}.")


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__float__")


def check_same(folder: Any, stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `InputError` naming everything in which a run differs from the one that left the checkpoints."""
    different = []
    for name, value in now.items():
        if stored.get(name) != value:
            shown = not isinstance(value, str)
            different.append(f"`{name}` ({stored.get(name)} there, {value} here)" if shown else f"`{name}`")
    if different:
        raise InputError(
            f"The checkpoints in {folder} are of another run: {', '.join(different)} differ; "
            "resume with the same data and settings, or name another folder."
        )
