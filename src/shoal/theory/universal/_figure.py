"""A figure with its kind, as certificates hold them."""

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["exact", "lower_bound", "upper_bound", "estimate", "unresolved"]


@dataclass(frozen=True)
class Figure:
    """`value`; `kind`; `low`, `high`: an interval of 99 % for an estimate that has one."""

    value: float
    kind: Kind
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        mark = {"exact": "", "lower_bound": ">= ", "upper_bound": "<= ", "estimate": "~ ", "unresolved": "? "}
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{mark[self.kind]}{self.value:.4g}{interval}"

    def to_record(self) -> dict[str, Any]:
        """The fields; what is not finite as None."""
        record: dict[str, Any] = {
            "value": self.value if math.isfinite(self.value) else None,
            "kind": self.kind,
        }
        if self.low is not None and self.high is not None:
            record |= {"low": self.low, "high": self.high}
        return record
