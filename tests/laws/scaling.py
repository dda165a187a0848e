"""Random parameters at which the laws are tested: one multiplier scales them so that kappa lies in `KAPPA_RANGE`.

The multiplier is found by bisection on the geometric mean of kappa over the test points. Of the draws with seeds
0, 1, 2, ... the first is taken whose kappa lies in the range at every point, with a margin; `test_bijections`
asserts the range.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from shoal.bijections import AbstractBijection
from tests.laws.oracles import Points, kappas, values_and_jacobians
from tests.laws.registry import BY_NAME, built
from tests.laws.tolerances import KAPPA_RANGE

POINTS = 12
TARGET = {"float32": 1e2, "float64": 1e4}
SEEDS = 200
MARGIN = 1.5
_HIDDEN = (
    "weights",
    "biases",
)  # hidden layers do not grow with the multiplier: saturated units would hide errors
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

    Positive ones (`scale` of a standardisation) are exp of that; hidden layers have deviation 1/sqrt(inputs). The
    same seed draws the same numbers.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(bijection)
    rng = np.random.default_rng(seed)
    new = []
    for path, leaf in leaves:
        if not eqx.is_inexact_array(leaf):
            new.append(leaf)
            continue
        name, values = leaf_name(path), np.asarray(leaf, np.float64)
        draw = rng.normal(size=values.shape)
        if name in _HIDDEN:
            values = draw / np.sqrt(values.shape[-1])
        elif name not in kept:
            values = multiplier * draw * (_NET if name == "last" else 1.0)
            values = np.exp(values) if name == "scale" else values
        new.append(values.astype(precision).astype(np.float64))
    return jax.tree_util.tree_unflatten(tree, new)


@functools.cache
def prepared(name: str, precision: str) -> Prepared:
    """The case `name`, its parameters scaled so that kappa lies in the range of `precision` at every point."""
    case = BY_NAME[name]
    bijection = built(name)
    found = None
    for seed in range(SEEDS):
        rng = np.random.default_rng((seed, 1))
        z = rng.normal(size=(POINTS, *bijection.shape)).astype(precision).astype(np.float64)
        context = None
        if bijection.context_shape is not None:
            context = rng.normal(size=(POINTS, *bijection.context_shape)).astype(precision).astype(np.float64)

        def at(multiplier: float, seed=seed, z=z, context=context) -> Prepared:
            candidate = scaled(bijection, multiplier, precision, seed, case.kept)
            kappa = kappas(values_and_jacobians(candidate, z, z, context)[1].forward)
            return Prepared(candidate, Points(z, context, kappa))

        if case.fixed_kappa or case.bounded_kappa:
            return at(0.5 if case.fixed_kappa else 1.0)
        found = _bisected(at, precision)
        if in_range(found.points.kappa, precision, MARGIN):
            return found
    raise AssertionError(
        f"{name}, {precision}: none of {SEEDS} seeds has kappa in the range; the last {found}"
    )


def in_range(kappa: np.ndarray, precision: str, margin: float = 1.0) -> bool:
    """Whether every kappa lies in the range that the laws are stated for, by a factor of `margin` at both ends."""
    low, high = KAPPA_RANGE[precision]
    return bool(np.all((kappa >= low * margin) & (kappa <= high / margin)))


def _bisected(at: Callable[[float], Prepared], precision: str) -> Prepared:
    """The multiplier where the geometric mean of kappa is `TARGET`, to a few per cent."""
    low, high = np.log(0.01), np.log(30.0)
    for _ in range(10):
        middle = (low + high) / 2
        large = np.mean(np.log(at(np.exp(middle)).points.kappa)) > np.log(TARGET[precision])
        low, high = (low, middle) if large else (middle, high)
    return at(np.exp(low))
