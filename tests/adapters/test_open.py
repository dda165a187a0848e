"""The one door: nothing foreign is loaded before a flow of it is given, and wrong objects get one sentence."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shoal import adapters
from shoal.adapters._open import _FILES
from tests.adapters import checks

LIBRARIES = [*_FILES, "keras"]

# What the libraries say at their import, see their own tests.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),
    pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings:DeprecationWarning"),
]


def test_import_loads_nothing_foreign() -> None:
    code = f"import sys, shoal.adapters; print([n for n in {LIBRARIES} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


def zuko() -> Any:
    from zuko.nn import MLP

    return MLP(2, 2)


def nflows() -> Any:
    from nflows.distributions import StandardNormal

    return StandardNormal([2])


def normflows() -> Any:
    from normflows.nets import MLP

    return MLP([2, 2])


def freia() -> Any:
    from FrEIA.framework import InputNode

    return InputNode(2)


def flowjax() -> Any:
    from flowjax.distributions import Uniform

    return Uniform(0.0, 1.0).base_dist


def distrax() -> Any:
    import distrax

    return distrax.Normal(0.0, 1.0)


@pytest.mark.parametrize("make", [zuko, nflows, normflows, freia, flowjax, distrax])
def test_wrong_object_of_a_library(make: Callable[[], Any]) -> None:
    wrong = make()
    with pytest.raises(ValueError, match=rf"`adapters\.to_map` takes an? .*; got {type(wrong).__module__}\."):
        adapters.to_map(wrong)


def test_object_of_no_library() -> None:
    with pytest.raises(ValueError, match=r"takes a flow of zuko, nflows, .*; got builtins\.dict\."):
        adapters.to_map({"a": 1})


def test_class_of_a_user_that_derives_from_one_of_a_library() -> None:
    from nflows.transforms import PointwiseAffineTransform

    class Mine(PointwiseAffineTransform):
        pass

    found = adapters.to_map(Mine(shift=1.0, scale=2.0), shape=(3,))
    points, _, _ = checks.draws(3, None)
    np.testing.assert_allclose(found.at()(points), (points - 1) / 2, rtol=1e-12, atol=1e-12)
    assert found.name == "Mine"
