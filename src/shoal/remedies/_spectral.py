"""Spectral normalisation of conditioners: shifts and raw scales with a known Lipschitz constant."""

import math
from dataclasses import dataclass
from typing import Any

import jax

from shoal.bijections import AbstractSpectralBound, GramBound, HeldConditioner
from shoal.bijections._conditioners import Conditioner
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan


@dataclass(frozen=True)
class SpectralNormalization(AbstractRemedy):
    """Every matrix of every conditioner of additive, affine and spline couplings held below `limit` (`HeldConditioner`).

    Certified: `norm` bounds spectral norms from above (Miyato et al. 2018 estimate them from below). A shift of Lipschitz
    constant l shears with kappa <= ((l + sqrt(l^2 + 4)) / 2)^2. Masked and convolutional conditioners are left as they are.
    Expected: the digits of kappa in couplings above that of a shear with l = 2 `limit`.
    """

    limit: float = 1.0
    norm: AbstractSpectralBound = GramBound()  # noqa: RUF009 - a value without state
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


def conditioners(tree: Any) -> list[Conditioner]:
    """Every coupling conditioner in a pytree that is not held yet."""
    leaves = jax.tree.leaves(tree, is_leaf=_is_conditioner)
    return [leaf for leaf in leaves if isinstance(leaf, Conditioner)]


def with_held(flow: Any, limit: float, norm: AbstractSpectralBound) -> Any:
    """Any pytree whose couplings' conditioners are held. **Raises:** ValueError where there is none to hold."""
    if not conditioners(flow):
        raise ValueError("The flow has no conditioners of couplings to hold.")
    held = lambda n: HeldConditioner(n, limit, norm=norm) if isinstance(n, Conditioner) else n  # noqa: E731
    return jax.tree.map(held, flow, is_leaf=_is_conditioner)


def _is_conditioner(node: Any) -> bool:
    return isinstance(node, Conditioner | HeldConditioner)


def _couplings(evidence: Evidence) -> list[int]:
    return [i for i, n in enumerate(evidence.names) if "coupling" in n.lower()]
