"""zuko's neural spline flow and masked autoregressive flow.

The spline flow has three transforms, as by default; the affine one five, for its single transforms say less. Hidden layers
are those of the best mean validation in results/tables-widths.json, which `widths.py` writes.
"""

import json
from pathlib import Path

import zuko
from torch import nn

from ..prepare import Rows
from ._base import Estimate
from ._torch import estimate, trained

CHOSEN = Path(__file__).resolve().parents[3] / "results" / "tables-widths.json"


def best_widths(arm: str) -> tuple[int, ...]:
    """The hidden layers of the best mean validation."""
    means: dict[tuple[int, ...], list[float]] = {}
    for row in json.loads(CHOSEN.read_text(encoding="utf-8"))["rows"]:
        if row["arm"] == arm:
            means.setdefault(tuple(row["widths"]), []).append(row["validation"])
    return max(means, key=lambda widths: sum(means[widths]) / len(means[widths]))


def make(arm: str, columns: int, widths: tuple[int, ...]) -> nn.Module:
    """A flow with new weights."""
    if arm == "zuko-nsf":
        return zuko.flows.NSF(columns, transforms=3, hidden_features=widths)
    return zuko.flows.MAF(columns, transforms=5, hidden_features=widths)


def train(arm: str, rows: Rows, budget: float, seed: int, widths: tuple[int, ...] | None = None) -> Estimate:
    """The flow of the best validation."""
    chosen = widths or best_widths(arm)
    model, facts = trained(lambda: make(arm, rows.shape[1], chosen), rows, budget, seed)
    depth = 3 if arm == "zuko-nsf" else 5
    return estimate(model(), {"depth": depth, "widths": list(chosen), **facts})
