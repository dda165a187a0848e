"""The price of depth: the best worst-layer condition number found for each number of layers, docs/dev/mathematics.md 2.3.

Lower bound: a layer fixes the vectors of one half, so that σmax >= 1 >= σmin and κ >= max(σmax, 1/σmin) for each;
hence the worst of m layers has κ >= max(κ(T), σ1, 1/σn)^(1/m).
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import asdict

from shoal._scalars import FloatArray
from shoal.records import factorization as records
from shoal.records import write_text
from shoal.theory.linear._continuation import FEWEST, MOST
from shoal.theory.linear._factorization import Factorization
from shoal.theory.linear._layer import Kind
from shoal.theory.linear._prepare import prepare
from shoal.theory.linear._routes import Step, handed_on
from shoal.theory.linear._search import Effort


class FrontierRow(records.FrontierRow, frozen=True, kw_only=True, eq=False):
    """One number of layers: the figures, and the `factors` that have them; None where nothing was found.

    `condition`: that of the worst layer; `lower_bound`: no factorization has less; `first`: the kind of the leftmost layer;
    `route`: the way that was taken ("handed on": from the row before); `seconds`: the time for this row.
    """

    factors: Factorization | None

    def to_record(self) -> records.FrontierRow:
        """The figures alone."""
        names = records.FrontierRow.__struct_fields__
        return records.FrontierRow(**{name: getattr(self, name) for name in names})

    def __str__(self) -> str:
        if self.factors is None:
            return f"{self.layers:2d} layers: {self.reason}"
        return (
            f"{self.layers:2d} layers: condition {self.condition:.4g}, at least {self.lower_bound:.4g}, "
            f"residual {self.residual_float64:.1e} ({self.route}, {self.seconds:.1f} s)"
        )


@dataclass(frozen=True, eq=False)
class Frontier:
    """What `frontier` found: a row for each number of layers, ascending; conditions never rise along the rows."""

    size: int
    kept: tuple[int, ...]
    rows: tuple[FrontierRow, ...]

    def within(self, max_condition: float) -> Factorization | None:
        """The factorization with the fewest layers whose worst condition number is at most `max_condition`."""
        fits = (
            row.factors for row in self.rows if row.condition is not None and row.condition <= max_condition
        )
        return next(fits, None)

    def to_record(self) -> records.FrontierRecord:
        """What `shoal.report` draws."""
        rows = [row.to_record() for row in self.rows]
        return records.FrontierRecord(size=self.size, kept=list(self.kept), rows=rows)

    def to_csv(self, path: str | Path) -> None:
        """Write the rows as CSV; cells of what was not found are empty. **Raises:** InputError (not writable)."""
        text = io.StringIO()
        writer = csv.DictWriter(text, records.FrontierRow.__struct_fields__, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row.to_record()) for row in self.rows)
        write_text(text.getvalue(), path)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {row}" for row in self.rows)
        return f"Frontier({self.size}x{self.size}:\n{lines}\n)"


def frontier(
    T: Any,
    layers: Sequence[int] = (5, 6, 7, 8, 9, 10, 11),
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    effort: Effort | None = None,
    seconds: float | None = None,
    tolerance: float = 1e-12,
    progress: Callable[[FrontierRow], None] | None = None,
) -> Frontier:
    """Depth against conditioning: for each m the least max_i κ(layer i) found, beside max(κ(T), σ1, 1/σn)^(1/m).

    Each row starts from the one before with an identity layer more, so conditions never rise with m. Five layers need
    T12 or T21 invertible; where only the other kind can stand first, the row says so by `first`.

    **Arguments:** `T`, `first`, `kept`, `effort`, `tolerance`: as in `factor`. `layers`: which m, each in 5 ... 11.
    `seconds`: the time for descent in all rows together; solutions to start from take what they need. `progress`: is
    called with each row when it is done.

    **Returns:** a `Frontier`. A row for which nothing was found (m too small for T, or `tolerance` missed) is kept, with
    its `reason`.

    **Raises:** ValueError: T not square, not finite or singular, or another argument out of its range.

    ```python
    print(shoal.linear.frontier(T, (5, 6, 8), seconds=60))
    ```
    """
    counts = tuple(sorted(set(layers)))
    if not counts or any(isinstance(m, bool) or not FEWEST <= m <= MOST for m in counts):
        raise ValueError(f"`layers` must hold numbers in {FEWEST} ... {MOST}; got {tuple(layers)}.")
    if seconds is not None and not seconds >= 0.0:
        raise ValueError(f"`seconds` must be at least 0; got {seconds}.")
    problem = prepare(T, kept, first)
    values = np.linalg.svd(problem.target, compute_uv=False)
    rows: list[FrontierRow] = []
    for step in handed_on(problem, counts, effort=effort, seconds=seconds, tolerance=tolerance):
        rows.append(_row(step, values))
        if progress is not None:
            progress(rows[-1])
    return Frontier(len(problem.target), problem.kept, tuple(rows))


def lower_bound(values: FloatArray, count: int) -> float:
    """max(κ, σ1, 1/σn)^(1/count) from the singular values, descending; 1 for n = 1, where no coordinate is kept."""
    if len(values) == 1:
        return 1.0
    top, low = float(np.log(values[0])), float(np.log(values[-1]))
    return float(np.exp(max(top - low, top, -low) / count))


def _row(step: Step, values: FloatArray) -> FrontierRow:
    made = step.factors
    return FrontierRow(
        layers=step.count,
        condition=None if made is None else made.conditions.largest,
        lower_bound=lower_bound(values, step.count),
        residual_float64=None if made is None else made.residual.float64,
        residual_float32=None if made is None else made.residual.float32,
        first="" if made is None else made.layers[0].kind,
        route="" if made is None else made.route,
        seconds=step.seconds,
        reason=step.reason,
        factors=made,
    )
