"""`JaxMap`: a pair of JAX callables, or a Shoal bijection, as an `AbstractMap`."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import (
    AbstractBijection,
    AbstractIterative,
    ArrayPartition,
    Coupling,
    Partition,
    Standardize,
    layer_name,
    layers_of,
    rolled,
)
from shoal.conditioning._chunks import FEWEST, chunks
from shoal.conditioning._map import AbstractMap, Direction
from shoal.conditioning._precision import Precision, compute
from shoal.conditioning._push import jacobian_of

SHARED = (
    512  # rows of a chunk of a whole map, where these are cheap, so that an audit's sets share their programs
)
SMALL = 32  # coordinates up to which they are

Pair = tuple[Callable, Callable]


class JaxMap(AbstractMap):
    """`forward(z, context)` and `inverse(x, context)`, unbatched, as rows of NumPy in a stated precision.

    **Arguments:** `forward`, `inverse`: each (n,) and a context (c,) or None -> (n,), or, with `log_dets=True`, a pair of
    (n,) and log|det|; functions, Equinox modules or bound methods of these (only arrays that a module holds are
    cast to the precision, those that a plain function closes over stay as they are); `size`: n; `layers`: maps whose
    composition this is, in forward order; `shape`: the shape that the functions work on, where it is not (n,); `scale`: the
    (n,) deviations of the data, where the map knows them; `bijection`: the Shoal bijection that this is, if it is one.
    """

    def __init__(
        self,
        forward: Callable,
        inverse: Callable,
        size: int,
        *,
        log_dets: bool = False,
        layers: Sequence[AbstractMap] = (),
        shape: tuple[int, ...] | None = None,
        scale: FloatArray | None = None,
        bijection: AbstractBijection | None = None,
        name: str = "map",
    ):
        self.name, self.size, self.shape = name, size, (size,) if shape is None else tuple(shape)
        self.scale, self.bijection = scale, bijection
        self._functions = {"forward": forward, "inverse": inverse}
        self.log_dets, self._layers = log_dets, tuple(layers)
        self._fewest = SHARED if self._layers and _is_cheap(bijection, size) else FEWEST

    def apply(
        self,
        points: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> tuple[FloatArray, FloatArray | None]:
        """Images and, where the callables return them, log-dets."""
        parts = self._run(_apply, direction, precision, (points,), context)
        images, log_dets = (np.concatenate(p) for p in zip(*parts, strict=True))
        return images, log_dets if self.log_dets else None

    def jvp(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p) v, forward mode."""
        return np.concatenate(list(self._run(_jvp, direction, precision, (points, tangents), context)))

    def vjp(
        self,
        points: FloatArray,
        cotangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p)^T u, reverse mode."""
        return np.concatenate(list(self._run(_vjp, direction, precision, (points, cotangents), context)))

    def jacobian(
        self,
        points: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p): by the layers' structure for a Shoal bijection, else forward mode over the unit vectors."""
        if self.bijection is not None:
            parts = self._run(
                _structured, direction, precision, (points,), context, (self.bijection, direction)
            )
            return np.concatenate(list(parts))
        return np.concatenate(list(self._run(_jacobian, direction, precision, (points,), context)))

    def curvature(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """D^2 f(p)[v, v], the jvp of the jvp."""
        return np.concatenate(list(self._run(_curvature, direction, precision, (points, tangents), context)))

    def stretch_gradient(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> tuple[FloatArray, FloatArray]:
        """log |J(p) v| and its gradient: reverse mode over the jvp."""
        parts = self._run(_stretch, direction, precision, (points, tangents), context)
        values, gradients = (np.concatenate(p) for p in zip(*parts, strict=True))
        return values, gradients

    def function(self, direction: Direction) -> Callable:
        """The callable of one direction, as it was given."""
        return self._functions[direction]

    def layers(self) -> tuple[AbstractMap, ...]:
        """The layers that were given, or the map itself."""
        return self._layers or (self,)

    def _run(
        self,
        kernel: Callable,
        direction: Direction,
        precision: Precision,
        arrays: tuple[FloatArray, ...],
        context: FloatArray | None,
        instead: Any = None,
    ) -> Iterator[Any]:
        """The kernel on chunks of rows, one compiled program for all. `instead`: what the kernel gets for the callable."""
        function = self._functions[direction] if instead is None else instead
        closed = not any(
            map(eqx.is_array_like, jax.tree.leaves(function))
        )  # its numbers, if any, are out of reach
        for part, c, rows in chunks(arrays, context, self.size, self._fewest):
            with _rounded_constants() if closed and precision != "float64" else nullcontext():
                out = self._computed(kernel, function, part, c, precision)
            yield jax.tree.map(lambda a, rows=rows: a[:rows], out)

    def _computed(
        self,
        kernel: Callable,
        function: Any,
        arrays: Any,
        context: FloatArray | None,
        precision: Precision,
    ) -> Any:
        try:
            return compute(kernel, function, self.log_dets, self.shape, arrays, context, precision=precision)
        except (TypeError, ValueError, NotImplementedError) as why:
            if precision != "bfloat16":
                raise
            first = (str(why).strip() or type(why).__name__).splitlines()[0]
            raise NotImplementedError(f"`{self.name}` does not run in bfloat16: {first}") from why


def from_bijection(bijection: AbstractBijection) -> JaxMap:
    """A Shoal bijection with its layers; `Scan`s are rolled, which compiles them once."""
    singles = layers_of(bijection)
    alone = len(singles) == 1 and singles[0] is bijection
    layers = () if alone else tuple(_single(_indexed(single)) for single in singles)
    scale = np.asarray(singles[-1].scale, np.float64) if isinstance(singles[-1], Standardize) else None
    return _single(rolled(bijection), layers, scale)


def from_callables(forward: Callable, inverse: Callable, size: int, layers: Sequence[Pair] = ()) -> JaxMap:
    """Two unbatched callables of one argument, and pairs of such callables as layers, in forward order."""
    singles = [
        JaxMap(_Bare(f), _Bare(g), size, name=getattr(f, "__name__", type(f).__name__)) for f, g in layers
    ]
    return JaxMap(
        _Bare(forward),
        _Bare(inverse),
        size,
        layers=singles,
        name=getattr(forward, "__name__", type(forward).__name__),
    )


def _is_cheap(bijection: AbstractBijection | None, size: int) -> bool:
    """Whether more rows cost less than another program: few coordinates, and nothing that iterates."""
    if bijection is None or size > SMALL:
        return False
    found = jax.tree.leaves(bijection, is_leaf=lambda part: isinstance(part, AbstractIterative))
    return not any(isinstance(part, AbstractIterative) for part in found)


def _indexed(bijection: AbstractBijection) -> AbstractBijection:
    """The same map with the index sets of a coupling as data: couplings that differ in these alone share their programs."""
    if not isinstance(bijection, Coupling):
        return bijection
    split = lambda part: isinstance(part, Partition)  # noqa: E731
    return jax.tree.map(lambda part: ArrayPartition(part) if split(part) else part, bijection, is_leaf=split)


@contextmanager
def _rounded_constants() -> Iterator[None]:
    """A function that closes over float64 numbers has them rounded to float32; JAX warns of it, and here it is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Explicitly requested dtype float64")
        yield


class _Bare(eqx.Module):
    """A callable of one argument as one of (argument, context)."""

    function: Callable

    def __call__(self, v: Array, context: Array | None) -> Array:
        return self.function(v)


def _single(
    bijection: AbstractBijection, layers: Sequence[AbstractMap] = (), scale: FloatArray | None = None
) -> JaxMap:
    return JaxMap(
        bijection.forward_and_log_det,
        bijection.inverse_and_log_det,
        int(np.prod(bijection.shape)),
        log_dets=True,
        layers=layers,
        shape=bijection.shape,
        scale=scale,
        bijection=bijection,
        name=layer_name(bijection),
    )


def _plain(function: Callable, log_dets: bool, shape: tuple[int, ...]) -> Callable:
    """(n,), context -> ((n,), log-det or 0) in the dtype of the argument."""

    def run(v: Array, context: Array | None) -> tuple[Array, Array]:
        out = function(v.reshape(shape), context)
        image, log_det = out if log_dets else (out, jnp.zeros((), v.dtype))
        return jnp.asarray(image).reshape(-1).astype(v.dtype), jnp.asarray(log_det).astype(v.dtype)

    return run


def _rows(function: Callable, arrays: tuple[Array, ...], context: Array | None) -> Any:
    axes = (*(0 for _ in arrays), None if context is None else 0)
    return jax.vmap(function, in_axes=axes)(*arrays, context)


@eqx.filter_jit
def _apply(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    return _rows(_plain(function, log_dets, shape), arrays, context)


@eqx.filter_jit
def _jvp(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    f = _plain(function, log_dets, shape)
    return _rows(lambda p, v, c: jax.jvp(lambda q: f(q, c)[0], (p,), (v,))[1], arrays, context)


@eqx.filter_jit
def _vjp(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    f = _plain(function, log_dets, shape)
    return _rows(lambda p, u, c: jax.vjp(lambda q: f(q, c)[0], p)[1](u)[0], arrays, context)


@eqx.filter_jit
def _jacobian(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    f = _plain(function, log_dets, shape)
    return _rows(lambda p, c: jax.jacfwd(lambda q: f(q, c)[0])(p), arrays, context)


@eqx.filter_jit
def _structured(
    which: tuple[AbstractBijection, Direction], log_dets: bool, shape: tuple[int, ...], arrays, context
):
    bijection, direction = which
    return _rows(lambda p, c: jacobian_of(bijection, p, c, direction), arrays, context)


@eqx.filter_jit
def _curvature(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    f = _plain(function, log_dets, shape)

    def along(p, v, c):
        first = lambda q: jax.jvp(lambda r: f(r, c)[0], (q,), (v,))[1]  # noqa: E731
        return jax.jvp(first, (p,), (v,))[1]

    return _rows(along, arrays, context)


@eqx.filter_jit
def _stretch(function: Callable, log_dets: bool, shape: tuple[int, ...], arrays, context):
    f = _plain(function, log_dets, shape)

    def log_norm(p, v, c):
        image = jax.jvp(lambda q: f(q, c)[0], (p,), (v,))[1]
        top = jax.lax.stop_gradient(jnp.max(jnp.abs(image)))  # the square of a large norm would overflow
        return jnp.log(top) + 0.5 * jnp.log(jnp.sum((image / top) ** 2))

    return _rows(jax.value_and_grad(log_norm), arrays, context)
