"""Matrices as pictures: what the page needs to draw T, the product and every layer in one scale of colours.

The colour of an entry x is asinh(x / c) / asinh(m / c) on a scale from -1 to 1, with m the largest entry and c the
median of the entries that are neither 0 nor 1: zero is white, signs have their own colours, small entries stay visible.
"""

import math
import statistics
from typing import Any

from ..records import FactorizationRecord
from ..records.factorization import Matrix
from ._numbers import finite, short

Rows = list[list[float | None]]


def pictures(record: FactorizationRecord) -> dict[str, Any] | None:
    """The pictures of a factorization record, T first; None if it holds no matrices."""
    found = [("T", "T", record.target), ("product", "product of the layers", record.product)]
    for place, layer in enumerate(record.layers, 1):
        found.append((f"layer {place}", f"layer {place}, {layer.kind}", layer.matrix))
    items = [
        {"name": name, "title": title, "rows": _rows(matrix)}
        for name, title, matrix in found
        if matrix is not None
    ]
    if not items:
        return None
    entries = [abs(x) for item in items for row in item["rows"] for x in row if x]
    limit = max(entries, default=1.0)
    centre = statistics.median([x for x in entries if x != 1.0] or [limit])
    kept = record.kept
    return {
        "limit": limit,
        "centre": centre,
        "split": len(kept),
        "order": [*kept, *(i for i in range(record.size) if i not in set(kept))],
        "ticks": [[_place(x, centre, limit), short(x)] for x in _ticks(centre, limit)],
        "items": items,
    }


def _rows(matrix: Matrix) -> Rows:
    """The entries to four digits, None for what is not finite."""
    return [[None if (x := finite(cell)) is None else float(f"{x:.3e}") for cell in row] for row in matrix]


def _place(x: float, centre: float, limit: float) -> float:
    return round(math.asinh(x / centre) / math.asinh(limit / centre), 4)


def _ticks(centre: float, limit: float) -> list[float]:
    inner = [centre] if _place(centre, centre, limit) < 0.75 else []
    return [-limit, *(-x for x in inner), 0.0, *inner, limit]
