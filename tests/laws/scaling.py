"""Random parameters at which the laws are tested: one multiplier scales them so that kappa lies in `KAPPA_RANGE`.

The multiplier is found by bisection on the geometric mean of kappa over the test points; `test_registry` asserts the
range at every point.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from shoal.bijections import AbstractBijection
from tests.laws.oracles import Points, kappas, values_and_jacobians
from tests.laws.registry import BY_NAME
from tests.laws.tolerances import KAPPA_RANGE

POINTS = 12
TARGET = {"float32": 1e2, "float64": 1e4}
_KEEP = ("weights", "biases")  # hidden layers stay at their random start: saturated units would hide errors
_NET = 0.3  # the net's share, against the affine part: kappa then varies little from point to point


class Prepared(NamedTuple):
    """A case at one precision: the bijection (in float64, its numbers exact in that precision) and its test points."""

    bijection: AbstractBijection
    points: Points


def leaf_name(path: tuple) -> str:
    """The name of the field that holds a leaf."""
    return next(str(p.name) for p in reversed(path) if isinstance(p, jax.tree_util.GetAttrKey))


def scaled(
    bijection: AbstractBijection, multiplier: float, precision: str, seed: int, kept: tuple[str, ...] = ()
) -> AbstractBijection:
    """The bijection with every parameter a normal draw times `multiplier`, rounded to `precision`, in float64.

    Positive ones (`scale` of a standardisation) are exp of that. The same seed draws the same numbers.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(bijection)
    rng = np.random.default_rng(seed)
    new = []
    for path, leaf in leaves:
        if not eqx.is_inexact_array(leaf):
            new.append(leaf)
            continue
        name, values = leaf_name(path), np.asarray(leaf, np.float64)
        if name not in (*_KEEP, *kept):
            values = multiplier * rng.normal(size=values.shape) * (_NET if name == "last" else 1.0)
            values = np.exp(values) if name == "scale" else values
        new.append(values.astype(precision).astype(np.float64))
    return jax.tree_util.tree_unflatten(tree, new)


@functools.cache
def prepared(name: str, precision: str) -> Prepared:
    """The case `name`, its parameters scaled so that kappa lies in the range of `precision` at every point."""
    case = BY_NAME[name]
    with jax.enable_x64(True):
        bijection = case.build(jr.key(case.seed))
        rng = np.random.default_rng(case.seed + 1000)
        z = rng.normal(size=(POINTS, *bijection.shape)).astype(precision).astype(np.float64)
        context = None
        if bijection.context_shape is not None:
            context = rng.normal(size=(POINTS, *bijection.context_shape)).astype(precision).astype(np.float64)

        def at(multiplier: float) -> Prepared:
            candidate = scaled(bijection, multiplier, precision, case.seed + 2000, case.kept)
            kappa = kappas(values_and_jacobians(candidate, z, z, context)[1].forward)
            return Prepared(candidate, Points(z, context, kappa))

        if case.fixed_kappa:
            return at(0.5)
        low, high = np.log(1e-3), np.log(30.0)
        for _ in range(24):
            middle = (low + high) / 2
            large = np.mean(np.log(at(np.exp(middle)).points.kappa)) > np.log(TARGET[precision])
            low, high = (low, middle) if large else (middle, high)
        return at(np.exp(low))


def in_range(kappa: np.ndarray, precision: str) -> bool:
    """Whether every kappa lies in the range that the laws are stated for."""
    low, high = KAPPA_RANGE[precision]
    return bool(np.all((kappa >= low) & (kappa <= high)))
