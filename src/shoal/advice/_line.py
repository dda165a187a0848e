"""`Line`: one sentence of advice, with what it rests on."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["proven", "measured", "heuristic"]


@dataclass(frozen=True)
class Line:
    """One sentence of advice.

    `status`: "proven" (a theorem's bound, for the data and the flows that the sentence names), "measured" (a figure of
    this table, which says what it is) or "heuristic" (a rule of thumb). `about`: the subject, such as "columns",
    "modes" or "depth". `figures`: the numbers in the sentence, by name; each name ends in its kind, `_exact`,
    `_lower_bound` or `_estimate`, where it is no plain count or share.
    """

    text: str
    status: Status
    about: str
    figures: dict[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """The fields."""
        return {"text": self.text, "status": self.status, "about": self.about, "figures": dict(self.figures)}

    def __str__(self) -> str:
        return f"[{self.status}] {self.text}"
