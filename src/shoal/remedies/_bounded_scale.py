"""Bounded scale maps: each coupling's scale kept in an interval."""

import math
from dataclasses import dataclass
from typing import Any

import jax

from shoal.bijections import AbstractScaleMap, SoftBoundedScale
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan

FOREIGN = ("affine", "coupling", "autoregressive", "glow", "nvp")  # words in names of layers that scale


@dataclass(frozen=True)
class BoundedScale(AbstractRemedy):
    """Every scale map of the flow replaced by `scale`, before training: sup s / inf s of a layer is then known.

    `SoftBoundedScale(1.0)` keeps s in (1/e, e); `SigmoidScale()` is 0.5 sigmoid(raw + 2) + 0.5, in (0.5, 1) (Behrmann et
    al. 2021), which can not expand. Shears are not held: a steep shift, or scale, still conditions badly.
    Expected: the digits of kappa in scaling layers above log10(sup s / inf s) each; where points run away, at least the
    digits that these layers' growth may take away: 1 a layer, at most 7, the digits of float32.
    """

    scale: AbstractScaleMap = SoftBoundedScale(1.0)
    name: str = "bounded scale"

    def why(self, evidence: Evidence) -> str | None:
        """Where scaling layers carry digits above the bound, and no tighter bound is in place."""
        layers = self._layers(evidence)
        if not layers or self.expected(evidence) <= 0:
            return None
        low, high = (math.exp(v) for v in self.scale.range)
        if evidence.audit.diagnosis.cause == "runaway":
            return (
                f"Points beyond the data run away; scales in ({low:.3g}, {high:.3g}) multiply by at most "
                f"{max(high, 1 / low):.3g} in each of {len(layers)} layers, however far out a point is."
            )
        worst = max(layers, key=lambda i: evidence.own[i])
        return (
            f"Layer {worst} ({evidence.names[worst]}) has κ {10 ** evidence.own[worst]:.3g} by itself; scales in "
            f"({low:.3g}, {high:.3g}) contribute at most {high / low:.3g} a layer."
        )

    def expected(self, evidence: Evidence) -> float:
        """Digits above the bound in the layers that scale."""
        layers = self._layers(evidence)
        if not layers:
            return 0.0
        least = min(7.0, float(len(layers))) if evidence.audit.diagnosis.cause == "runaway" else 0.0
        return max(least, evidence.share_above(width(self.scale) / math.log(10.0), layers))

    def apply(self, plan: Plan) -> Plan:
        """The recipe's flows with this scale map. **Raises:** ValueError, when made, for a flow without scale maps."""
        return plan.with_flow(lambda flow, key: with_scale(flow, self.scale))

    def _layers(self, evidence: Evidence) -> list[int]:
        if evidence.flow is not None and all(
            width(s) <= width(self.scale) for s in scale_maps(evidence.flow)
        ):
            return []
        return [i for i, n in enumerate(evidence.names) if any(w in n.lower() for w in FOREIGN)]


def width(scale: AbstractScaleMap) -> float:
    """log(sup s / inf s)."""
    return scale.range[1] - scale.range[0]


def scale_maps(tree: Any) -> list[AbstractScaleMap]:
    """Every scale map in a pytree."""
    leaves = jax.tree.leaves(tree, is_leaf=_is_scale)
    return [leaf for leaf in leaves if isinstance(leaf, AbstractScaleMap)]


def with_scale(flow: Any, scale: AbstractScaleMap) -> Any:
    """Any pytree with every scale map in it replaced. **Raises:** ValueError where there is none."""
    if not scale_maps(flow):
        raise ValueError("The flow has no scale maps to bound.")
    return jax.tree.map(lambda n: scale if _is_scale(n) else n, flow, is_leaf=_is_scale)


def _is_scale(node: Any) -> bool:
    return isinstance(node, AbstractScaleMap)
