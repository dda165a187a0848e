"""Every law on every case of the registry, at random parameters scaled so that kappa lies in the stated range."""

from pathlib import Path

import numpy as np
import pytest

from tests.laws import laws, products, structure
from tests.laws.registry import BY_NAME, OP_BY_OP
from tests.laws.saving import law_saved
from tests.laws.scaling import in_range, prepared
from tests.laws.tolerances import KAPPA_RANGE

SLOW = ("ffjord-context-fixed",)  # its laws take seconds each, and the quick suite has "ffjord"
cases = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long) if n in SLOW else n for n in BY_NAME]
)
# Where a law costs much and rarely has something to say, these stand for the other cases.
QUICK = (
    "affine-no-hidden-layer",
    "affine-random-array",
    "maf",
    "lu",
    "permutation",
    "actnorm",
    "chain-mixed",
)
precisions = pytest.mark.parametrize("precision", ["float64", "float32"])


@precisions
@cases
def test_kappa_lies_in_the_range(name, precision):
    made, case = prepared(name, precision), BY_NAME[name]
    kappa = made.points.kappa
    if case.fixed_kappa:
        rounding = (
            8 * made.bijection.shape[0] * np.finfo(np.float64).eps
        )  # two singular values, to some n eps each
        np.testing.assert_allclose(kappa, 1.0, rtol=rounding, err_msg=f"no longer so: {case.fixed_kappa}")
    elif case.bounded_kappa:
        assert np.all((kappa > 1.01) & (kappa < KAPPA_RANGE[precision][1])), f"{case.bounded_kappa}: {kappa}"
    else:
        assert in_range(kappa, precision), kappa


@precisions
@cases
def test_round_trip(name, precision):
    laws.law_round_trip(*prepared(name, precision), precision)


@precisions
@cases
def test_log_det(name, precision):
    laws.law_log_det(*prepared(name, precision), precision)


@cases
def test_sign_of_det(name):
    laws.law_sign(*prepared(name, "float64"))


@cases
def test_inverse_jacobian(name):
    laws.law_inverse_jacobian(*prepared(name, "float64"))


@cases
def test_gradient(name):
    laws.law_gradient(*prepared(name, "float64"), BY_NAME[name].frozen)


@cases
def test_float32_agrees_with_float64(name):
    laws.law_precision(*prepared(name, "float32"))


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in OP_BY_OP]
)
def test_compiled_and_not(name):
    laws.law_compiled(*prepared(name, "float32"))


@cases
def test_products_have_all_digits(name):
    products.law_products(*prepared(name, "float32"))


@cases
def test_dtype(name):
    laws.law_dtype(*prepared(name, "float32"))


@cases
def test_context(name):
    laws.law_context(*prepared(name, "float32"))


@cases
def test_errors(name):
    laws.law_errors(*prepared(name, "float32"))


@cases
def test_structure(name):
    bijection, points = prepared(name, "float32")
    for law in structure.laws_of(bijection):
        law(bijection, points)


@cases
def test_saved_and_loaded(name, tmp_path: Path):
    law_saved(*prepared(name, "float32"), "float32", tmp_path)


@pytest.mark.parametrize("name", QUICK)
def test_saved_and_loaded_in_float64(name, tmp_path: Path):
    """One way for every array of either dtype: a few cases show it."""
    law_saved(*prepared(name, "float64"), "float64", tmp_path)
