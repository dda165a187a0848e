"""Linear maps inside flows as ordinary couplings: `from_factors`, `fold_linear` and `realnvp(..., initial=...)`.

A coupling's conditioner is affine + net with the net zero, so a linear coupling is a member, exactly; what
`shoal.linear` computes therefore becomes layers like any others, trained, saved and audited in the same way. The
rightmost factor acts first, so factors become couplings in reverse order.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.typing import DTypeLike

from shoal._errors import InputError
from shoal._types import ArrayLike, Key
from shoal.bijections import (
    AbstractBijection,
    AbstractTransformer,
    Affine,
    Chain,
    DenseLinear,
    ExponentialScale,
    Inverse,
    LULinear,
    OnPart,
    Partition,
    Permutation,
    PixelWise,
    Scan,
    SignFlip,
    first_unlike,
    linear_coupling,
)
from shoal.distributions import Flow
from shoal.flows._common import NAMED, PartitionLike, Settings, paired
from shoal.theory import linear
from shoal.theory.linear import Factorization, GaussianFactors, Layer

LINEAR = Permutation | LULinear | DenseLinear  # what `fold_linear` replaces


def from_factors(
    factors: Factorization,
    shift: ArrayLike | None = None,
    *,
    hidden: tuple[int, ...] = (),
    dtype: DTypeLike | None = None,
) -> AbstractBijection:
    """The bijection x = T z + shift as affine couplings, one a layer of the factorization (and a sign layer if needed).

    **Arguments:** `factors`: from `shoal.linear.factor`; `shift`: (n,), default 0, put into the biases of the last two
    couplings; `hidden`: widths of the conditioners' nets, which are zero at the start (default: none); `dtype`:
    default float64 where it is switched on, else float32.
    **Returns:** a `Chain`, forward order: the rightmost factor first.
    **Raises:** `InputError` for a shift of another length.
    """
    n = len(factors.target)
    offset = np.zeros(n) if shift is None else np.asarray(shift, np.float64)
    if offset.shape != (n,):
        raise InputError(f"`shift` must have length {n}; got shape {offset.shape}.")
    keys = [jr.key(0)] * len(factors.layers)
    parts = _product(factors, offset, keys, Affine(ExponentialScale()), hidden=hidden, dtype=dtype)
    return Chain([*parts, *_signs(factors)])


def started(
    key: Key,
    dim: int,
    depth: int,
    partition: PartitionLike,
    initial: GaussianFactors | Factorization,
    transformer: AbstractTransformer,
    settings: Settings,
) -> AbstractBijection:
    """`depth` couplings of one transformer whose product is the linear map, with the settings of `dense_coupling`.

    The factors are the last couplings. Those before them, on the latent side, where coordinates are standardised, start at
    the identity. All of them have their nets, zero at first.
    **Raises:** `InputError`: another dimension or partition than the map's, fewer couplings than it has layers, or a
    log-scale that the transformer does not reach.
    """
    factors = initial.factors if isinstance(initial, GaussianFactors) else initial
    mean = initial.mean if isinstance(initial, GaussianFactors) else np.zeros(len(factors.target))
    count = len(factors.layers)
    if len(mean) != dim:
        raise InputError(f"`initial` is a map of {len(mean)} coordinates; the flow has `dim` {dim}.")
    if dim < 2:
        raise InputError(
            "`initial` needs `dim` of at least 2; fit a single coordinate's scale and shift instead."
        )
    if depth < count:
        raise InputError(f"`depth` must be at least the {count} layers of `initial`; got {depth}.")
    given = NAMED[partition](dim) if isinstance(partition, str) and partition in NAMED else partition
    both = [set(factors.kept), set(range(dim)) - set(factors.kept)]
    if not isinstance(given, Partition) or given.dim != dim or set(given.kept) not in both:
        raise InputError(
            f"`initial` is for couplings that keep {factors.kept} and the others in turn; `partition` is {partition!r}. "
            f"Pass `partition=Partition({dim}, {factors.kept})`, or make `initial` with another `kept`."
        )
    keys = list(jr.split(key, depth)[::-1])
    parts = _product(factors, mean, keys, transformer, of=" of `initial`", **settings)
    return Chain([paired(parts), *_signs(factors)]) if _signs(factors) else paired(parts)


def fold_linear(flow: Flow | AbstractBijection, **settings: Any) -> Any:
    """The same function with every `Permutation`, `LULinear` and `DenseLinear` replaced by couplings of one fixed partition.

    Those at every pixel (`PixelWise`: invertible 1x1 convolutions) and on a part (`OnPart`) are replaced where they are.

    **Arguments:** `flow`: a flow or a bijection; `settings` go to `shoal.linear.factor` (such as `kept`, `layers`).
    **Returns:** a flow or bijection like the one given. Repetitions of a `Scan` stay stacked where their folded forms
    have one shape, else they become a `Chain`.
    **Raises:** `InputError` where a layer can not be factored; the message names it.
    """
    if isinstance(flow, Flow):
        return eqx.tree_at(lambda f: f.bijection, flow, _folded(flow.bijection, settings, "bijection"))
    return _folded(flow, settings, "bijection")


def _folded(b: AbstractBijection, settings: Settings, where: str) -> AbstractBijection:
    if isinstance(b, Chain):
        return Chain([_folded(part, settings, f"{where}[{i}]") for i, part in enumerate(b.bijections)])
    if isinstance(b, Scan):
        units = [_folded(unit, settings, f"{where} repetition {i}") for i, unit in enumerate(b.units())]
        return Scan(units, unroll=b.unroll) if first_unlike(units) is None else Chain(units)
    if isinstance(b, Inverse):
        inner = b.bijection
        if isinstance(inner, LINEAR):
            matrix, shift, dtype = _affine(inner)
            inverse = np.linalg.inv(matrix)
            return _couplings(inverse, -inverse @ shift, dtype, settings, where)
        return Inverse(_folded(inner, settings, f"{where} inverse"))
    if isinstance(b, PixelWise):
        return PixelWise(_folded(b.bijection, settings, f"{where} at every pixel"), b.image_shape)
    if isinstance(b, OnPart):
        return OnPart(_folded(b.bijection, settings, f"{where} on a part"), b.partition)
    if isinstance(b, LINEAR):
        return _couplings(*_affine(b), settings, where)
    return b


def _couplings(
    matrix: np.ndarray, shift: np.ndarray, dtype: np.dtype, settings: Settings, where: str
) -> AbstractBijection:
    try:
        return from_factors(linear.factor(matrix, **settings), shift, dtype=dtype)
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"{where}: {error}") from error


def _affine(b: Permutation | LULinear | DenseLinear) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """The matrix and the shift of a linear layer in float64, and its dtype."""
    n = b.shape[0]
    if isinstance(b, Permutation):
        return np.eye(n)[np.asarray(b.order)], np.zeros(n), jnp.zeros(()).dtype
    if isinstance(b, DenseLinear):
        return np.asarray(b.weight, np.float64), np.asarray(b.bias, np.float64), b.bias.dtype
    lower = np.tril(np.asarray(b.lower, np.float64), -1) + np.eye(n)
    upper = np.triu(np.asarray(b.upper, np.float64), 1) + np.diag(
        np.exp(np.asarray(b.log_diagonal, np.float64))
    )
    return lower @ upper, np.asarray(b.bias, np.float64), b.bias.dtype


def _product(
    factors: Factorization,
    offset: np.ndarray,
    keys: Sequence[Key],
    transformer: AbstractTransformer,
    *,
    of: str = "",
    **settings: Any,
) -> list[AbstractBijection]:
    """A coupling a key, in forward order, whose product with the signs is x = T z + offset.

    The first key is that of the coupling next to the data. Couplings beyond the layers of T are the identity.
    """
    shifts = _biases(factors, (offset * factors.signs)[factors.order])
    parts: list[AbstractBijection] = []
    for i, key in enumerate(keys):  # from the data side, as the product is written
        if i < len(factors.layers):
            layer, bias = factors.layers[i], shifts[i]
        else:
            like = factors.layers[i % 2]
            layer = Layer(like.kind, np.zeros_like(like.block), np.zeros_like(like.log_scale))
            bias = np.zeros(len(like.block))
        parts.append(
            _coupling(layer, bias, factors.order, transformer, f"layer {i}{of}", key=key, **settings)
        )
    return parts[::-1]


def _signs(factors: Factorization) -> list[AbstractBijection]:
    """The layer of signs, where there is one."""
    negative = np.flatnonzero(factors.signs < 0).tolist()
    return [SignFlip(len(factors.target), negative)] if negative else []


def _biases(factors: Factorization, offset: np.ndarray) -> list[np.ndarray]:
    """A bias for every layer, zero but for the two that act last, so that the sum of effects is `offset`."""
    out: list[np.ndarray] = [np.zeros(len(layer.block)) for layer in factors.layers]
    last = factors.layers[0]
    top, bottom = offset[: last.kept], offset[last.kept :]
    if last.kind == "lower":
        out[1], out[0] = top, bottom - last.block @ top
    else:
        out[1], out[0] = bottom, top - last.block @ bottom
    return out


def _coupling(
    layer: Layer,
    bias: np.ndarray,
    order: np.ndarray,
    transformer: AbstractTransformer,
    name: str,
    *,
    dtype: DTypeLike | None = None,
    **settings: Any,
) -> AbstractBijection:
    """A linear layer as a coupling of the coordinates (S, rest) = `order`, with `linear_coupling`'s settings."""
    first, rest = order[: layer.kept], order[layer.kept :]
    kept, moved = (first, rest) if layer.kind == "lower" else (rest, first)
    partition = Partition(len(order), [int(i) for i in kept])
    rows = np.argsort(moved)  # the partition moves coordinates in ascending order
    dtype = dtype or jnp.zeros(()).dtype
    arrays = [jnp.asarray(a[rows], dtype) for a in (layer.block, layer.log_scale, bias)]
    made = linear_coupling(partition, transformer, *arrays, layer=name, **settings)
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, made)
