"""Spectral normalisation of conditioners: shifts and raw scales with a known Lipschitz constant."""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax

from shoal.bijections import (
    AbstractSpectralBound,
    Coupling,
    DenseConditioner,
    GramBound,
    HeldConditioner,
    layers_of,
)
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan


@dataclass(frozen=True)
class SpectralNormalization(AbstractRemedy):
    """Every matrix of every dense conditioner of a coupling held below `limit` (`HeldConditioner`).

    Certified: `norm` bounds spectral norms from above (Miyato et al. 2018 estimate them from below). A shift of Lipschitz
    constant l shears with kappa <= ((l + sqrt(l^2 + 4)) / 2)^2. Masked and convolutional conditioners are left as they are.
    Expected: the digits of kappa in couplings above that of a shear with l = 2 `limit`.
    """

    limit: float = 1.0
    norm: AbstractSpectralBound = GramBound()
    name: str = "spectral norm"

    def why(self, evidence: Evidence) -> str | None:
        """Where couplings carry more digits than shears with held conditioners would."""
        if self.expected(evidence) <= 0:
            return None
        worst = max(_couplings(evidence), key=lambda i: evidence.own[i])
        return (
            f"Layer {worst} ({evidence.names[worst]}) has κ {10 ** evidence.own[worst]:.3g} by itself; a shift whose "
            f"matrices have norms of at most {self.limit:g} shears with κ of at most {10 ** self._cap():.3g}."
        )

    def expected(self, evidence: Evidence) -> float:
        """Digits above those of the shear, in couplings."""
        if evidence.flow is not None and not conditioners(evidence.flow):
            return 0.0
        layers = _couplings(evidence)
        return evidence.share_above(self._cap(), layers) if layers else 0.0

    def apply(self, plan: Plan) -> Plan:
        """The recipe's flows with held conditioners. **Raises:** ValueError, when made, for a flow without any."""
        return plan.with_flow(lambda flow, key: with_held(flow, self.limit, self.norm))

    def _cap(self) -> float:
        slope = 2.0 * self.limit
        return 2.0 * math.log10((slope + math.sqrt(slope**2 + 4.0)) / 2.0)


def conditioners(tree: Any) -> list[DenseConditioner]:
    """Every dense conditioner of a coupling in a pytree that is not held yet."""
    found = [leaf.conditioner for leaf in jax.tree.leaves(tree, is_leaf=_is_coupling) if _is_coupling(leaf)]
    return [net for net in found if isinstance(net, DenseConditioner)]


def with_held(flow: Any, limit: float, norm: AbstractSpectralBound) -> Any:
    """Any pytree whose couplings' conditioners are held. **Raises:** ValueError where there is none to hold."""
    if not conditioners(flow):
        raise ValueError("The flow has no conditioners of couplings to hold.")

    def held(node: Any) -> Any:
        if not _is_coupling(node) or not isinstance(node.conditioner, DenseConditioner):
            return node
        return eqx.tree_at(lambda c: c.conditioner, node, HeldConditioner(node.conditioner, limit, norm=norm))

    return jax.tree.map(held, flow, is_leaf=_is_coupling)


def _is_coupling(node: Any) -> bool:
    return isinstance(node, Coupling)


def _couplings(evidence: Evidence) -> list[int]:
    """The layers that are couplings: by their class, or by their names where the flow is not one of Shoal's."""
    if evidence.flow is None:
        return [i for i, n in enumerate(evidence.names) if "coupling" in n.lower()]
    return [i for i, layer in enumerate(layers_of(evidence.flow.bijection)) if conditioners(layer)]
