"""One linear affine coupling layer as a value: lower [[I, 0], [block, diag(s)]], upper [[diag(s), block], [0, I]].

s = exp(log_scale) > 0. A product of layers is a matrix product: the rightmost layer acts first (Koehler, Mehta and
Risteski 2021, Definition 1, Theorem 2; the first p coordinates are the part S, the other q = n - p the rest).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from shoal._errors import InputError
from shoal._scalars import FloatArray

Kind: TypeAlias = Literal["lower", "upper"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear coupling. Lower: block (q, p), log_scale (q,); upper: block (p, q), log_scale (p,)."""

    kind: Kind
    block: FloatArray
    log_scale: FloatArray

    def __post_init__(self) -> None:
        if self.kind not in ("lower", "upper"):
            raise InputError(f'`Layer(kind=...)` is "lower" or "upper"; got {self.kind!r}.')
        if self.block.ndim != 2 or self.log_scale.shape != self.block.shape[:1]:
            raise InputError(
                f"`Layer` needs a block (a, b) and a log_scale (a,); got {self.block.shape}, {self.log_scale.shape}."
            )

    @property
    def additive(self) -> bool:
        """Whether every log-scale is zero (a NICE layer, determinant 1)."""
        return not np.any(self.log_scale)

    @property
    def kept(self) -> int:
        """p, the size of the first part."""
        return self.block.shape[1 if self.kind == "lower" else 0]

    def matrix(self) -> FloatArray:
        """The layer as an (n, n) matrix in the dtype of its block."""
        p, n = self.kept, sum(self.block.shape)
        out = np.eye(n, dtype=self.block.dtype)
        scale = np.exp(self.log_scale)
        if self.kind == "lower":
            out[p:, :p], out[np.arange(p, n), np.arange(p, n)] = self.block, scale
        else:
            out[:p, p:], out[np.arange(p), np.arange(p)] = self.block, scale
        return out

    def apply(self, x: FloatArray) -> FloatArray:
        """The layer times each vector of x (..., n)."""
        kept, moved = self._parts(x)
        return self._joined(kept, moved * np.exp(self.log_scale) + kept @ self.block.T)

    def inverse(self, x: FloatArray) -> FloatArray:
        """The inverse of the layer times each vector of x (..., n)."""
        kept, moved = self._parts(x)
        return self._joined(kept, (moved - kept @ self.block.T) * np.exp(-self.log_scale))

    def condition(self) -> float:
        """κ = σmax / σmin. An additive layer has κ = ((a + sqrt(a^2 + 4)) / 2)^2 with a the norm of its block."""
        if self.block.size == 0:
            with np.errstate(over="ignore"):  # beyond the range of float64 it is inf
                return float(np.exp(np.ptp(self.log_scale))) if len(self.log_scale) else 1.0
        if self.additive:
            a = float(np.linalg.norm(self.block, 2))
            return ((a + (a * a + 4.0) ** 0.5) / 2.0) ** 2
        values = np.linalg.svd(self.matrix(), compute_uv=False)
        with np.errstate(over="ignore", invalid="ignore"):
            if values[-1] > 1e-8 * values[0]:
                return float(values[0] / values[-1])
            # the least singular value has the error of the largest: take it from the inverse
            inverse = self.inverted().matrix()
            finite = np.all(np.isfinite(inverse))
            return float(values[0] * np.linalg.norm(inverse, 2)) if finite else float("inf")

    def astype(self, dtype: DTypeLike) -> "Layer":
        """The layer with its arrays in another dtype."""
        with np.errstate(over="ignore"):  # an entry that the dtype can not hold becomes inf
            return replace(self, block=self.block.astype(dtype), log_scale=self.log_scale.astype(dtype))

    def mirrored(self) -> "Layer":
        """The same numbers with the two parts exchanged: lower becomes upper."""
        return replace(self, kind="upper" if self.kind == "lower" else "lower")

    def inverted(self) -> "Layer":
        """The inverse, a layer of the same kind."""
        return Layer(self.kind, -np.exp(-self.log_scale)[:, None] * self.block, -self.log_scale)

    def _parts(self, x: object) -> tuple[FloatArray, FloatArray]:
        x = np.asarray(x)
        p = self.kept
        return (x[..., :p], x[..., p:]) if self.kind == "lower" else (x[..., p:], x[..., :p])

    def _joined(self, kept: FloatArray, moved: FloatArray) -> FloatArray:
        return np.concatenate([kept, moved] if self.kind == "lower" else [moved, kept], axis=-1)


def kinds(count: int, first: Kind = "lower") -> tuple[Kind, ...]:
    """Alternating kinds, starting with `first`."""
    pair: tuple[Kind, Kind] = ("lower", "upper") if first == "lower" else ("upper", "lower")
    return tuple(pair[i % 2] for i in range(count))


def identity_layer(kind: Kind, p: int, q: int) -> Layer:
    """The identity as a layer of that kind."""
    shape = (q, p) if kind == "lower" else (p, q)
    return Layer(kind, np.zeros(shape), np.zeros(shape[0]))


def scaled(layers: Sequence[Layer], log_scalar: float, at: int) -> tuple[Layer, ...]:
    """exp(log_scalar) times the product, the scalar taken up by layers `at` and `at` + 1, of different kinds.

    s M N with M lower or upper: s on the part that M scales goes into M, s on the other part into N.
    """
    first, second = layers[at], layers[at + 1]
    taken = replace(first, log_scale=first.log_scale + log_scalar)
    rest = Layer(second.kind, np.exp(log_scalar) * second.block, second.log_scale + log_scalar)
    return (*layers[:at], taken, rest, *layers[at + 2 :])


def rescaled(layers: Sequence[Layer], left: FloatArray, right: FloatArray) -> tuple[Layer, ...]:
    """diag(left) times the product times diag(right), positive, taken up by the two layers at either end.

    diag(a, b) L(A, B) = L(b A / a, b B) diag(a, I) and diag(a, I) U(C, D) = U(a C, a D), with a on the kept half; at the
    right end L(A, B) diag(a, b) = diag(a, I) L(A a, B b) and U(C, D) diag(a, I) = U(C a, D); mirrored for the other kind.
    """
    p = layers[0].kept

    def halves(layer: Layer, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The scales of the half that the layer keeps, and of the one that it moves."""
        return (scale[:p], scale[p:]) if layer.kind == "lower" else (scale[p:], scale[:p])

    out = list(layers)
    kept, moved = halves(out[0], left)
    out[0] = replace(
        out[0], block=moved[:, None] * out[0].block / kept, log_scale=out[0].log_scale + np.log(moved)
    )
    out[1] = replace(out[1], block=kept[:, None] * out[1].block, log_scale=out[1].log_scale + np.log(kept))
    kept, moved = halves(out[-1], right)
    out[-1] = replace(out[-1], block=out[-1].block * kept, log_scale=out[-1].log_scale + np.log(moved))
    out[-2] = replace(out[-2], log_scale=out[-2].log_scale + np.log(kept))
    return tuple(out)


def product(layers: tuple[Layer, ...], scalar: float = 1.0) -> FloatArray:
    """`scalar` times the matrix product of the layers, from left to right, in the dtype of the blocks."""
    n, p = sum(layers[0].block.shape), layers[0].kept
    out = scalar * np.eye(n, dtype=layers[0].block.dtype)
    for layer in layers:
        scale = np.exp(layer.log_scale)
        if layer.kind == "lower":
            out[:, :p] += out[:, p:] @ layer.block
            out[:, p:] *= scale
        else:
            right = out[:, p:] + out[:, :p] @ layer.block
            out[:, :p] *= scale
            out[:, p:] = right
    return out
