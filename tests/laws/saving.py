"""The law of files: a bijection that is saved and loaded is the same, to the last bit, in structure and in values."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from shoal.bijections import AbstractBijection
from shoal.distributions import Flow, StandardNormal
from shoal.flows import load, save
from tests.laws.laws import data
from tests.laws.oracles import Points, cast, values, values_and_jacobians


def bits(x: Any) -> bytes:
    """The bytes of an array."""
    return np.asarray(x).tobytes()


def same(a: Any, b: Any) -> bool:
    """The same structure and static fields, and arrays of the same dtype, shape and bits."""
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.dtype == y.dtype and x.shape == y.shape and bits(x) == bits(y) for x, y in pairs)


def law_saved(bijection: AbstractBijection, points: Points, precision: str, folder: Path) -> None:
    """save -> load -> the same structure and the same bits, of the arrays, of both directions and of both log-dets."""
    with jax.enable_x64(precision == "float64"):
        before = cast(bijection, precision)
        save(Flow(StandardNormal(before.shape[0]), before), folder)
        after = load(folder).bijection
    assert same(after, before), "another structure, static field or array came back"
    x = data(bijection, points)
    given = [None if a is None else np.asarray(a, precision) for a in (points.z, x, points.context)]
    first, second = (_values(b, precision, given) for b in (before, after))
    for name, one, two in zip(first._fields, first, second, strict=True):
        assert np.all(np.isfinite(one)), f"{name} is not finite"
        assert bits(one) == bits(two), f"{name} has other bits after loading"


def _values(bijection: AbstractBijection, precision: str, given: list[Any]) -> Any:
    """As the other laws of that precision evaluate, so that no program is compiled for this law alone."""
    return values(bijection, *given) if precision == "float32" else values_and_jacobians(bijection, *given)[0]
