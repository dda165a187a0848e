"""Ball arithmetic for certificates: the one file that loads python-flint, the extra `certify`.

A ball is a centre and a radius of many bits; every operation returns a ball that contains the exact result for all
members of its arguments (Johansson 2017, Arb). flint's `arb` and `arb_mat` have no types: `Ball`, `BallMatrix`.
A layer here is a kind, a block and the scales b = exp(log_scale) > 0, in which a product of layers is multilinear.
"""

import decimal
import importlib
import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray

Ball: TypeAlias = Any
BallMatrix: TypeAlias = Any

SQUARINGS = 5


def load_flint() -> ModuleType:
    """The module `flint`. **Raises:** InputError (a ValueError) where python-flint is not installed."""
    if importlib.util.find_spec("flint") is None:
        raise InputError('`certificate` needs python-flint: pip install "shoal[certify]".')
    return importlib.import_module("flint")


@dataclass(frozen=True, eq=False)
class BallLayer:
    """lower: [[I, 0], [block, diag(scales)]]; upper: [[diag(scales), block], [0, I]]; p is the size of the first part."""

    kind: str
    p: int
    block: BallMatrix
    scales: tuple[Ball, ...]

    @property
    def n(self) -> int:
        """The size of the layer's matrix."""
        return self.block.ncols() + len(self.scales)

    def matrix(self) -> BallMatrix:
        """The layer as an (n, n) matrix of balls."""
        arb_mat, n, moved, kept = load_flint().arb_mat, self.n, self.moved, self.kept
        out = arb_mat(n, n)
        for i in range(self.p) if self.kind == "lower" else range(self.p, n):
            out[i, i] = 1
        for i, scale in enumerate(self.scales):
            out[moved[i], moved[i]] = scale
            for j in range(len(kept)):
                out[moved[i], kept[j]] = self.block[i, j]
        return out

    @property
    def units(self) -> tuple[float, ...]:
        """A power of two for each scale, at most the scale itself and at most 1."""
        return tuple(
            min(1.0, 2.0 ** (math.frexp(down(s))[1] - 1)) if down(s) > 0 else 0.0 for s in self.scales
        )

    @property
    def moved(self) -> range:
        """The coordinates that the layer moves."""
        return range(self.p, self.n) if self.kind == "lower" else range(self.p)

    @property
    def kept(self) -> range:
        """The coordinates that it leaves alone."""
        return range(self.p) if self.kind == "lower" else range(self.p, self.n)


def ball_layer(kind: str, block: FloatArray, log_scale: FloatArray) -> BallLayer:
    """A float64 layer without error in its block, its exponentials enclosed."""
    arb = load_flint().arb
    p = block.shape[1] if kind == "lower" else block.shape[0]
    return BallLayer(kind, p, balls(block), tuple(arb(float(s)).exp() for s in log_scale))


def balls(x: FloatArray) -> BallMatrix:
    """A matrix of floats as balls of radius 0."""
    return load_flint().arb_mat(*x.shape, np.asarray(x, np.float64).ravel().tolist())


def centres(x: BallMatrix) -> FloatArray:
    """The centres, each rounded to a float64."""
    return np.array([float(v) for v in x.entries()]).reshape(x.nrows(), x.ncols())


def product_halves(layers: Sequence[BallLayer]) -> tuple[BallMatrix, BallMatrix]:
    """The columns [:p] and [p:] of the product from left to right; a layer costs one (n, d) by (d, d) product."""
    n, p = layers[0].n, layers[0].p
    eye = np.eye(n)
    first, second = balls(eye[:, :p]), balls(eye[:, p:])
    for layer in layers:
        if layer.kind == "lower":
            first, second = first + second * layer.block, _columns_times(second, layer.scales)
        else:
            first, second = _columns_times(first, layer.scales), second + first * layer.block
    return first, second


def _columns_times(x: BallMatrix, scales: tuple[Ball, ...]) -> BallMatrix:
    if all(s == 1 for s in scales):
        return x
    width = x.ncols()
    made = [v * scales[i % width] for i, v in enumerate(x.entries())]
    return load_flint().arb_mat(x.nrows(), width, made)


def norm(values: Iterable[Ball]) -> Ball:
    """The Euclidean norm of numbers of radius 0, as a ball."""
    total = load_flint().arb(0)
    for v in values:
        total += v * v
    return total.sqrt()


def frobenius(*parts: BallMatrix) -> Ball:
    """An upper bound of the Frobenius norm of the parts together."""
    return norm(v.abs_upper() for part in parts for v in part.entries()).upper()


def spectral(x: BallMatrix) -> Ball:
    """An upper bound of |x|_2: |x|_2^2 = |G|_2 with G = x^T x, and |G|_2 <= |G^32|_F^(1/32) <= n^(1/64) |G|_2."""
    power = x.transpose() * x
    for _ in range(SQUARINGS):
        power = power * power
    return frobenius(power).root(2 ** (SQUARINGS + 1)).upper()


def largest(values: Iterable[Ball]) -> Ball:
    """The largest upper bound of an absolute value."""
    return max((v.abs_upper() for v in values), default=load_flint().arb(0))


def up(x: Ball) -> float:
    """A float64 that is not below x."""
    top = x.upper()
    return 0.0 if top.is_zero() else math.nextafter(float(top), math.inf)


def shown(x: float) -> str:
    """A bound with three digits, rounded up."""
    return f"{float(decimal.Context(prec=3, rounding=decimal.ROUND_UP).create_decimal_from_float(x)):.2e}"


def down(x: Ball) -> float:
    """A float64 that is not above x."""
    low = x.lower()
    return 0.0 if low.is_zero() else math.nextafter(float(low), -math.inf)
