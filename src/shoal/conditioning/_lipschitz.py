"""Certified upper bounds of the Lipschitz constants of a flow on a box, layer by layer.

The box is propagated from latent to data by interval arithmetic; each layer's bounds hold on the box that reaches it.
Singular values of every Jacobian on the box lie between 1 / inverse and forward: the other side of `extremes`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import AbstractBijection, layer_name, layers_of
from shoal.conditioning._coupling_bounds import Given
from shoal.conditioning._intervals import Box
from shoal.conditioning._layer_bounds import layer_bound


@dataclass(frozen=True)
class LayerBound:
    """Upper bounds for one layer over the box that reaches it; None: no bound known.

    `forward`: of |J v| / |v|, a Lipschitz constant on the box; `inverse`: of |v| / |J v|, so that sigma_min >= 1 / inverse;
    `low`, `high`: (n,), a box that holds all images (None where no box is known).
    """

    name: str
    forward: float | None
    inverse: float | None
    low: FloatArray | None
    high: FloatArray | None
    kind: ClassVar[Literal["upper_bound"]] = "upper_bound"


def lipschitz_bounds(
    bijection: AbstractBijection, low: FloatArray, high: FloatArray, context: FloatArray | None = None
) -> tuple[LayerBound, ...]:
    r"""Bounds of each single layer on the images of the latent box low <= z <= high, in forward order.

    Affine and additive couplings: the norm of [[1, 0], [|C|, max s]], |C| from interval matrices of the conditioner or
    from the product of its norms, whichever is smaller; of spline couplings the box of images alone, unless nothing is kept.
    Linear layers: exact norms. Fronts: the slopes of their curves over the box. `Residual`: 1 / (1 - Lip g) and 1 + Lip g;
    `FFJORD`: exp(Lip v), for the exact solution; `Layerwise`, `Planar`, `Radial`, `Sylvester`, `Support`: what
    their parametrisation says. Every other class: None, and no box after it. In float64, with margins for rounding.

    **Arguments:** `low`, `high`: (n,), in latent space; `context`: one context (c,), or None.
    **Returns:** a `LayerBound` a layer; their product is a bound of the whole. Behrmann et al. (2021) give coarser formulas.
    **Raises:** InputError unless low <= high are finite and of length n.
    """
    size = int(np.prod(bijection.shape))
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if low.shape != (size,) or high.shape != (size,) or not (np.isfinite(low) & np.isfinite(high)).all():
        raise InputError(f"`low` and `high` must hold {size} finite numbers; got {low.shape}, {high.shape}.")
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise InputError(f"`low` must be at most `high`; at coordinate {i} they are {low[i]} and {high[i]}.")
    given, rows = Given(Box(low, high), None if context is None else np.asarray(context, np.float64)), []
    for layer in layers_of(bijection):
        stretch, shrink, box = layer_bound(layer, given)
        ends = (None, None) if box is None else (box.low, box.high)
        given = given._replace(box=box)
        rows.append(LayerBound(layer_name(layer), stretch, shrink, *ends))
    return tuple(rows)
