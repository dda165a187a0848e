"""The laws can fail: each bijection here has one seeded mistake, and every law that is named catches it.

The same law passes on the bijection without the mistake, and every law catches at least one.
"""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportIncompatibleVariableOverride=false, reportIncompatibleMethodOverride=false

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from shoal.bijections import AbstractBijection, MaskedConditioner
from shoal.bijections.transformers import _rational_quadratic as rq
from tests.laws import laws, mutants, structure
from tests.laws.mutants import (
    LayersBackwards,
    Mutant,
    log_det_times,
    patched,
    replaced,
    right_forward,
    right_inverse,
)
from tests.laws.scaling import prepared

PLAIN, CONTEXT, SPLINE, MAF = (
    "affine-no-hidden-layer",
    "affine-soft-context-alternating",
    "spline-halves",
    "maf",
)


@dataclass(frozen=True)
class Mistake:
    """A case of the registry, what makes it wrong, and the names of the laws that catch it."""

    name: str
    case: str
    wrong: Callable[[AbstractBijection], AbstractBijection]
    laws: tuple[str, ...]


def both(change: Callable) -> Callable:
    """The same mistake in both directions."""
    return replaced(change(right_forward), change(right_inverse))


def in_code(owner: object, name: str, make: Callable, *, forward: bool, inverse: bool) -> Callable:
    """The mistake in a private function of the library, seen by one or both directions."""
    change = partial(patched, owner, name, make)
    return replaced(change(right_forward) if forward else None, change(right_inverse) if inverse else None)


knot = partial(in_code, rq, "_bin", mutants.off_by_one_knot)
mask = partial(in_code, MaskedConditioner, "_masked")
ROUND, LOG_DET = ("law_round_trip",), ("law_log_det",)

MISTAKES = (
    Mistake("log-det-sign-forward", PLAIN, replaced(log_det_times(-1.0, right_forward)), LOG_DET),
    Mistake("log-det-sign-inverse", SPLINE, replaced(None, log_det_times(-1.0, right_inverse)), LOG_DET),
    Mistake("log-det-sign-both", PLAIN, both(partial(log_det_times, -1.0)), LOG_DET),
    Mistake("log-det-half-forward", MAF, replaced(log_det_times(0.5, right_forward)), LOG_DET),
    Mistake("log-det-half-both", PLAIN, both(partial(log_det_times, 0.5)), LOG_DET),
    Mistake(
        "partition-swapped-inverse", PLAIN, replaced(None, mutants.swapped_partition(right_inverse)), ROUND
    ),
    Mistake("partition-swapped-forward", SPLINE, replaced(mutants.swapped_partition(right_forward)), ROUND),
    Mistake("context-dropped-inverse", CONTEXT, replaced(None, mutants.no_context(right_inverse)), ROUND),
    Mistake("context-dropped-both", CONTEXT, both(mutants.no_context), ("law_context",)),
    Mistake("context-used", PLAIN, replaced(mutants.uses_context), ("law_context",)),
    Mistake("knot-off-by-one-inverse", SPLINE, knot(forward=False, inverse=True), ROUND),
    Mistake("knot-off-by-one-both", SPLINE, knot(forward=True, inverse=True), ROUND),
    Mistake(
        "exponential-missing", PLAIN, replaced(None, mutants.no_exponential), (*ROUND, "law_inverse_jacobian")
    ),
    Mistake(
        "mask-sees-itself",
        MAF,
        mask(mutants.mask_shifted(0), forward=False, inverse=True),
        (*ROUND, *LOG_DET),
    ),
    Mistake(
        "mask-sees-next", MAF, mask(mutants.mask_shifted(1), forward=False, inverse=True), ("law_triangular",)
    ),
    Mistake(
        "mask-too-strict",
        MAF,
        mask(mutants.mask_too_strict, forward=False, inverse=True),
        ("law_triangular",),
    ),
    Mistake("chain-inverse-order", "lu-permutation-lu", replaced(None, mutants.forward_order), ROUND),
    Mistake("layers-backwards", "lu-permutation-lu", LayersBackwards, ("law_layers",)),
    Mistake(
        "inverse-not-inverted", "iaf-context", replaced(mutants.not_inverted), ("law_inverse", "law_layers")
    ),
    Mistake("fold", PLAIN, replaced(mutants.fold), ("law_sign",)),
    Mistake("bfloat16", PLAIN, replaced(mutants.rounded), ("law_precision",)),
    Mistake("parameters-detached", PLAIN, replaced(mutants.detached(right_forward)), ("law_gradient",)),
    Mistake(
        "derivative-tripled",
        PLAIN,
        replaced(None, mutants.wrong_derivative),
        ("law_gradient", "law_inverse_jacobian"),
    ),
    Mistake("only-when-traced", PLAIN, replaced(mutants.only_when_traced), ("law_compiled",)),
    Mistake("log-det-wider", PLAIN, replaced(mutants.widened), ("law_dtype",)),
    Mistake("nothing-checked", PLAIN, replaced(mutants.nothing_checked), ("law_errors",)),
    Mistake("kept-part-touched", PLAIN, replaced(mutants.touches_kept), ("law_coupling",)),
    Mistake("volume-changed", "additive-halves", replaced(mutants.stretched), ("law_volume",)),
    Mistake("permutation-scaled", "permutation", replaced(mutants.touches_kept), ("law_orthogonal",)),
    Mistake("sign-flip-scaled", "sign-flip", replaced(mutants.touches_kept), ("law_signs",)),
    Mistake("diagonal-sheared", "actnorm", replaced(mutants.sheared), ("law_diagonal",)),
    Mistake("lu-exchanged", "lu", replaced(mutants.upper_only), ("law_lu",)),
)


def run(law: str, bijection: AbstractBijection, case: str) -> None:
    """The law of that name, in every precision that it is stated in."""
    function = getattr(laws, law, None) or getattr(structure, law)
    if law in ("law_round_trip", "law_log_det"):
        function(bijection, prepared(case, "float64").points, "float64")
    else:
        function(bijection, prepared(case, _precision(law)).points)


def _precision(law: str) -> str:
    return "float64" if law in ("law_gradient", "law_sign", "law_inverse_jacobian") else "float32"


def _bijection(law: str, case: str) -> AbstractBijection:
    return prepared(
        case, "float64" if law in ("law_round_trip", "law_log_det") else _precision(law)
    ).bijection


@pytest.mark.parametrize(
    ("mistake", "law"),
    [pytest.param(m, law, id=f"{m.name}-{law.removeprefix('law_')}") for m in MISTAKES for law in m.laws],
)
def test_mutant_is_caught(mistake, law):
    right = _bijection(law, mistake.case)
    run(law, right, mistake.case)
    with pytest.raises(AssertionError):
        run(law, mistake.wrong(right), mistake.case)


def test_every_law_catches_a_mutant():
    stated = {name for module in (laws, structure) for name in vars(module) if name.startswith("law_")}
    assert stated == {law for m in MISTAKES for law in m.laws}


@pytest.mark.parametrize("law", sorted({law for m in MISTAKES for law in m.laws if m.case == PLAIN}))
def test_the_wrapper_alone_breaks_no_law(law):
    run(law, Mutant(_bijection(law, PLAIN)), PLAIN)
