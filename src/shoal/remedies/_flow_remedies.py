"""Remedies that change the flow, its training or its evaluation; the rows stay as they are."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeGuard, TypeVar

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._types import Key
from shoal.bijections import (
    AbstractScaleMap,
    AbstractSpectralBound,
    Coupling,
    DenseConditioner,
    GramBound,
    HeldConditioner,
    SoftBoundedScale,
    layers_of,
)
from shoal.distributions import Flow, GaussianPadding, Padded
from shoal.remedies._base import AbstractRemedy, Evidence
from shoal.remedies._plan import Plan
from shoal.training import JacobianPenalty

N = TypeVar("N")  # a kind of node

SCALING = ("affine", "coupling", "autoregressive", "glow", "nvp")  # words in names of layers that scale


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

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where scaling layers carry digits above the bound, and no tighter bound is in place."""
        layers = [i for i, n in enumerate(evidence.names) if any(w in n.lower() for w in SCALING)]
        width = _width(self.scale)
        maps = [] if evidence.flow is None else _nodes(evidence.flow, _is_scale)
        if not layers or (evidence.flow is not None and all(_width(s) <= width for s in maps)):
            return None
        runs_away = evidence.audit.diagnosis.cause == "runaway"
        expected = evidence.share_above(width / math.log(10.0), layers)
        if runs_away:
            expected = max(expected, min(7.0, float(len(layers))))
        if expected <= 0:
            return None
        low, high = (math.exp(v) for v in self.scale.range)
        if runs_away:
            return expected, (
                f"Points beyond the data run away; scales in ({low:.3g}, {high:.3g}) multiply by at most "
                f"{max(high, 1 / low):.3g} in each of {len(layers)} layers, however far out a point is."
            )
        worst = max(layers, key=lambda i: evidence.own[i])
        return expected, (
            f"Layer {worst} ({evidence.names[worst]}) has κ {10 ** evidence.own[worst]:.3g} by itself; scales in "
            f"({low:.3g}, {high:.3g}) contribute at most {high / low:.3g} a layer."
        )

    def apply(self, plan: Plan) -> Plan:
        """The recipe's flows with this scale map. **Raises:** InputError, when made, for a flow without scale maps."""
        missing = "The flow has no scale maps to bound."
        return plan.with_flow(lambda flow: _changed(flow, _is_scale, lambda _: self.scale, missing))


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

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where couplings carry more digits than shears with held conditioners would."""
        if evidence.flow is None:
            layers = [i for i, n in enumerate(evidence.names) if "coupling" in n.lower()]
        else:
            singles = layers_of(evidence.flow.bijection)
            layers = [i for i, layer in enumerate(singles) if _nodes(layer, _is_free)]
        slope = 2.0 * self.limit
        cap = 2.0 * math.log10((slope + math.sqrt(slope**2 + 4.0)) / 2.0)
        expected = evidence.share_above(cap, layers)
        if expected <= 0:
            return None
        worst = max(layers, key=lambda i: evidence.own[i])
        return expected, (
            f"Layer {worst} ({evidence.names[worst]}) has κ {10 ** evidence.own[worst]:.3g} by itself; a shift whose "
            f"matrices have norms of at most {self.limit:g} shears with κ of at most {10**cap:.3g}."
        )

    def apply(self, plan: Plan) -> Plan:
        """The recipe's flows with held conditioners. **Raises:** InputError, when made, for a flow without any."""

        def held(coupling: Coupling) -> Coupling:
            net = coupling.conditioner
            assert isinstance(net, DenseConditioner)
            held_net = HeldConditioner(net, self.limit, norm=self.norm)
            return eqx.tree_at(lambda c: c.conditioner, coupling, held_net)

        missing = "The flow has no conditioners of couplings to hold."
        return plan.with_flow(lambda flow: _changed(flow, _is_free, held, missing))


@dataclass(frozen=True)
class LipschitzPenalty(AbstractRemedy):
    """`training.JacobianPenalty` of f and f^{-1} in the loss: coefficient 1e-4, every 10 steps (Behrmann et al. 2021).

    Expected: a quarter of kappa's digits above the audit's limit, whatever the layers: it trades, it does not bound.
    """

    penalty: JacobianPenalty = JacobianPenalty()
    name: str = "Lipschitz penalty"

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where kappa is above the limit."""
        p, limit = self.penalty, evidence.audit.limits.max_condition
        expected = 0.25 * (evidence.digits - math.log10(limit))
        if expected <= 0:
            return None
        return expected, (
            f"κ is {evidence.kappa:.3g}, above {limit:.3g}; {p.coefficient:g} (|J f|^2 + |J f^-1|^2) every {p.every} steps "
            "holds back both ends of the spectrum."
        )

    def apply(self, plan: Plan) -> Plan:
        """Training with the penalty. **Raises:** InputError where the plan has another one."""
        if plan.settings.penalty is not None:
            raise InputError("The plan already has a penalty; one can be given.")
        return replace(plan, settings=replace(plan.settings, penalty=self.penalty))


@dataclass(frozen=True)
class GaussianPad(AbstractRemedy):
    """The recipe on R^{n + `size`} as a `Padded` with e ~ N(0, I): room to go around.

    Lee et al. (2021); Koehler, Mehta and Risteski (2021).

    kappa is then the joint map's, and the log-likelihood an importance-weighted estimate.
    Expected: a fifth of kappa's digits above the audit's limit, where the layers or their product are at fault; data that
    are degenerate stay so.
    """

    size: int = 1
    name: str = "Gaussian padding"

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where the layers are at fault, not the data."""
        at_fault = evidence.audit.diagnosis.cause in ("layer", "product", "non-finite")
        if (
            (evidence.flow is not None and evidence.flow.extra)
            or not at_fault
            or evidence.kappa <= evidence.audit.limits.max_condition
        ):
            return None
        return 0.2 * evidence.digits, (
            f"κ {evidence.kappa:.3g} is made by the layers, not by the data; {self.size} more normal coordinates give "
            "paths that need not squeeze."
        )

    def apply(self, plan: Plan) -> Plan:
        """The recipe in `size` more dimensions. **Raises:** InputError, when made, for a recipe of one dimension only."""
        recipe, size = plan.recipe, self.size

        def padded(key: Key, dim: int) -> Padded:
            k_flow, k_noise = jr.split(key)
            joint = recipe(k_flow, dim + size)
            if not isinstance(joint, Flow) or joint.shape != (dim + size,):
                raise InputError(
                    f"Padding needs a recipe (key, dim) -> Flow that heeds `dim`; for {dim + size} it gave shape "
                    f"{getattr(joint, 'shape', None)}."
                )
            return Padded(joint, GaussianPadding(size), key=k_noise)

        return replace(plan, recipe=padded)


@dataclass(frozen=True)
class InFloat64(AbstractRemedy):
    """The layers `layers` (forward order, from 0) evaluated in float64, by `MixedMap`; kappa stays what it is.

    It mends the round-off that these layers make, and overflow in them; what other layers make and these amplify stays.
    Expected: digits by which their own float32 round trip is worse than the worst of the other layers, at most float32's 7.
    """

    layers: frozenset[int]
    name: str = "float64 layers"

    def judge(self, evidence: Evidence) -> tuple[float, str] | None:
        """Where a named layer's own float32 round trip is the worst, or not finite."""
        rows = evidence.audit.layers
        if not self.layers or max(self.layers) >= len(rows):
            return None
        trips = [_size(row.round_trip) for row in rows]
        worst = max(self.layers, key=lambda i: trips[i])
        rest = max((t for i, t in enumerate(trips) if i not in self.layers), default=1e-8)
        expected = min(7.0, float(np.log10(trips[worst] / rest)))
        if expected <= 0:
            return None
        lost = rows[worst].round_trip
        return expected, (
            f"Layer {worst} ({rows[worst].name}) by itself loses {np.nan if lost is None else lost:.3g} in a float32 round "
            f"trip, the others at most {rest:.3g}."
        )

    def apply(self, plan: Plan) -> Plan:
        """Evaluation with these layers in float64."""
        return replace(plan, float64=plan.float64 | self.layers)


def _width(scale: AbstractScaleMap) -> float:
    """log(sup s / inf s)."""
    return scale.range[1] - scale.range[0]


def _is_scale(node: object) -> TypeGuard[AbstractScaleMap]:
    return isinstance(node, AbstractScaleMap)


def _is_free(node: object) -> TypeGuard[Coupling]:
    """A coupling whose conditioner is dense and not held yet."""
    return isinstance(node, Coupling) and isinstance(node.conditioner, DenseConditioner)


def _nodes(tree: PyTree, wanted: Callable[[object], TypeGuard[N]]) -> list[N]:
    return [node for node in jax.tree.leaves(tree, is_leaf=wanted) if wanted(node)]


def _changed(
    tree: PyTree, wanted: Callable[[object], TypeGuard[N]], change: Callable[[N], object], missing: str
) -> PyTree:
    """`tree` with its wanted nodes changed. **Raises:** InputError with the sentence `missing` where there is none."""
    if not _nodes(tree, wanted):
        raise InputError(missing)
    return jax.tree.map(lambda node: change(node) if wanted(node) else node, tree, is_leaf=wanted)


def _size(trip: float | None) -> float:
    """A round trip's size for comparison; one that is not finite counts as 1e7."""
    return max(trip, 1e-8) if trip is not None and np.isfinite(trip) else 1e7
