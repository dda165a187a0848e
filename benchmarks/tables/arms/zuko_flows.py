"""zuko's neural spline flow and masked autoregressive flow.

The spline flow has three transforms, as by default; the affine one five, for its single transforms say less. WIDTHS are
those of the best validation among zuko's default (64, 64), (128, 128) and its front page's (128, 128, 128): `widths.py`.
"""

import zuko
from torch import nn

from ..prepare import Rows
from ._base import Estimate
from ._torch import estimate, trained

WIDTHS = {"zuko-nsf": (128, 128), "zuko-maf": (128, 128)}


def make(arm: str, columns: int, widths: tuple[int, ...]) -> nn.Module:
    """A flow with new weights."""
    if arm == "zuko-nsf":
        return zuko.flows.NSF(columns, transforms=3, hidden_features=widths)
    return zuko.flows.MAF(columns, transforms=5, hidden_features=widths)


def train(arm: str, rows: Rows, budget: float, seed: int, widths: tuple[int, ...] | None = None) -> Estimate:
    """The flow of the best validation."""
    chosen = widths or WIDTHS[arm]
    model, facts = trained(lambda: make(arm, rows.shape[1], chosen), rows, budget, seed)
    depth = 3 if arm == "zuko-nsf" else 5
    return estimate(model(), {"depth": depth, "widths": list(chosen), **facts})
