"""`JaxMap`: a pair of JAX callables, or a Shoal bijection, as an `AbstractMap`."""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._names import Precision
from shoal._scalars import FloatArray, Function
from shoal._types import Array
from shoal.bijections import (
    AbstractBijection,
    AbstractIterative,
    ArrayPartition,
    Coupling,
    Direction,
    Partition,
    Standardize,
    layer_name,
    layers_of,
    rolled,
)
from shoal.conditioning._map import FEWEST, AbstractMap, MapView, Quantity
from shoal.conditioning._precision import compute
from shoal.conditioning._push import jacobian_of
from shoal.conditioning._rounding import rounding_errors

# rows of a chunk of a whole map whose rows are cheap, so that an audit's sets share their programs
SHARED = 512
SMALL = 32  # coordinates up to which rows are cheap

T = TypeVar("T")
Pair = tuple[Function, Function]


class JaxMap(AbstractMap):
    """`forward(z, context)` and `inverse(x, context)`, unbatched, as rows of NumPy in a stated precision.

    **Arguments:** `forward`, `inverse`: each (n,) and a context (c,) or None -> (n,), or, with `log_dets=True`, a pair of
    (n,) and log|det|; functions, Equinox modules or bound methods of these (only arrays that a module holds are
    cast to the precision, those that a plain function closes over stay as they are); `size`: n; `layers`: maps whose
    composition this is, in forward order, or what gives them; `shape`: that which the functions work on, where it is not
    (n,); `scale`: the (n,) deviations of the data, where the map knows them; `bijection`: the Shoal bijection that this is,
    if it is one.
    """

    def __init__(
        self,
        forward: Function,
        inverse: Function,
        size: int,
        *,
        log_dets: bool = False,
        layers: Sequence[AbstractMap] | Callable[[], Sequence[AbstractMap]] = (),
        shape: tuple[int, ...] | None = None,
        scale: FloatArray | None = None,
        bijection: AbstractBijection | None = None,
        name: str = "map",
    ):
        self.name, self.size, self.shape = name, size, (size,) if shape is None else tuple(shape)
        self.scale, self.bijection = scale, bijection
        self._functions = {"forward": forward, "inverse": inverse}
        self.log_dets, self._layers = log_dets, layers
        self._fewest = SHARED if layers and _is_cheap(bijection, size) else FEWEST

    def evaluate(self, quantity: Quantity, view: MapView, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """One compiled program for all rows; Jacobians of a Shoal bijection by its layers' structure."""
        function: object = self._functions[view.direction]
        closed = not any(map(eqx.is_array_like, jax.tree.leaves(function)))  # its numbers are out of reach
        if quantity == "rounding" and not self.log_dets:
            raise NotImplementedError(f"{self.name} reports no log-det.")
        kernel = partial(_evaluate, quantity, self.shape, self.log_dets)
        if quantity == "jacobian" and self.bijection is not None:
            kernel, function = _structured, (self.bijection, view.direction)
        with _rounded_constants() if closed and view.precision != "float64" else nullcontext():
            return view.in_pieces(
                lambda *a: self._computed(kernel, function, *a, precision=view.precision),
                *arrays,
                fewest=self._fewest,
            )

    def function(self, direction: Direction) -> Function:
        """The callable of one direction, as it was given."""
        return self._functions[direction]

    def layers(self) -> tuple[AbstractMap, ...]:
        """The layers that were given, or the map itself."""
        if callable(self._layers):
            self._layers = self._layers()
        return tuple(self._layers) or (self,)

    def _computed(self, kernel: Function, *arguments: object, precision: Precision) -> object:
        try:
            return compute(kernel, *arguments, precision=precision)
        except (TypeError, ValueError, NotImplementedError) as why:
            if "Reverse-mode differentiation does not work" in str(why):
                raise NotImplementedError(
                    f"`{self.name}` has a loop that JAX can not differentiate in reverse."
                ) from why
            if precision != "bfloat16":
                raise
            first = (str(why).strip() or type(why).__name__).splitlines()[0]
            raise NotImplementedError(f"`{self.name}` does not run in bfloat16: {first}") from why


def from_bijection(bijection: AbstractBijection) -> JaxMap:
    """A Shoal bijection with its layers; `Scan`s are rolled, which compiles them once."""
    singles = layers_of(bijection)
    alone = len(singles) == 1 and singles[0] is bijection
    layers = () if alone else lambda: tuple(_single(_indexed(single)) for single in singles)
    scale = np.asarray(singles[-1].scale, np.float64) if isinstance(singles[-1], Standardize) else None
    return _single(rolled(bijection), layers, scale)


def from_callables(forward: Function, inverse: Function, size: int, layers: Sequence[Pair] = ()) -> JaxMap:
    """Two unbatched callables of one argument, and pairs of such callables as layers, in forward order."""
    singles = [from_callables(f, g, size) for f, g in layers]
    name = getattr(forward, "__name__", type(forward).__name__)
    bare = partial(jax.tree_util.Partial, _without_context)
    return JaxMap(bare(forward), bare(inverse), size, layers=singles, name=name)


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
    split = lambda part: isinstance(part, Partition)
    return jax.tree.map(lambda part: ArrayPartition(part) if split(part) else part, bijection, is_leaf=split)


@contextmanager
def _rounded_constants() -> Generator[None, None, None]:
    """A function that closes over float64 numbers has them rounded to float32; JAX warns of it, and here it is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Explicitly requested dtype float64")
        yield


def _without_context(function: Function, v: Array, context: Array | None) -> Array:
    """A callable of one argument as one of (argument, context)."""
    return function(v)


def _single(
    bijection: AbstractBijection,
    layers: Sequence[AbstractMap] | Callable[[], Sequence[AbstractMap]] = (),
    scale: FloatArray | None = None,
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


@quickly
def _evaluate(
    quantity: Quantity,
    shape: tuple[int, ...],
    log_dets: bool,
    function: Function,
    context: Array | None,
    *arrays: Array,
) -> Array | tuple[Array, ...]:
    def run(c: Array | None, v: Array) -> tuple[Array, ...]:
        out = function(v.reshape(shape), c)
        image, *log_det = out if log_dets else (out,)
        return tuple(jnp.asarray(a).astype(v.dtype) for a in (jnp.asarray(image).reshape(-1), *log_det))

    if quantity == "apply":
        return _each(run, context, *arrays)
    if quantity == "rounding":
        return _each(partial(_rounding, run), context, *arrays)
    derivative = _DERIVATIVES[quantity]
    return _each(lambda c, *point: derivative(lambda v: run(c, v)[0], *point), context, *arrays)


@quickly
def _structured(which: tuple[AbstractBijection, Direction], context: Array | None, points: Array) -> Array:
    bijection, direction = which
    return _each(lambda c, p: jacobian_of(bijection, p, c, direction), context, points)


def _rounding(run: Function, c: Array | None, v: Array, u: Array) -> tuple[Array, ...]:
    """The gradient of <u, image> + log-det, what rounding does to that sum, and its gradient with respect to a context."""
    program = run if c is not None else lambda v: run(None, v)
    given = (v,) if c is None else (c, v)
    (*of_context, of_point), worst, variance = rounding_errors(program, given, (u, jnp.ones((), v.dtype)))
    return of_point, worst, variance, *of_context


def _each(function: Callable[..., T], context: Array | None, *arrays: Array) -> T:
    axes = (None if context is None else 0, *(0 for _ in arrays))
    return jax.vmap(function, in_axes=axes)(context, *arrays)


def _jvp(f: Function, p: Array, v: Array) -> Array:
    return jax.jvp(f, (p,), (v,))[1]


def _log_stretch(f: Function, p: Array, v: Array) -> Array:
    image = _jvp(f, p, v)
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(image)))  # the square of a large norm would overflow
    return jnp.log(top) + 0.5 * jnp.log(jnp.sum((image / top) ** 2))


_DERIVATIVES: dict[Quantity, Function] = {
    "jvp": _jvp,
    "vjp": lambda f, p, u: jax.vjp(f, p)[1](u)[0],
    "jacobian": lambda f, p: jax.jacfwd(f)(p),
    "curvature": lambda f, p, v: _jvp(lambda q: _jvp(f, q, v), p, v),
    "stretch_gradient": lambda f, p, v: jax.value_and_grad(lambda q: _log_stretch(f, q, v))(p),
}
