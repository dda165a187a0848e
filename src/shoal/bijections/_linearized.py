"""The derivative of a function as one linear operation of JAX, with a program for each mode of differentiation.

JAX transposes the program of a derivative, and a loop of unknown length can not be transposed. Here J v is taken from one
program of the function and J^T w from another program of the same function, each traced only where it is used. `vmap`
batches the function itself, so what all rows share gets one gradient, not one a row. Derivatives of J to the point of
linearisation (second derivatives) are refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from shoal._types import Array

Function = Callable[..., Sequence[Array]]  # of arrays: those that derivatives are taken to, then the others
Axes = Sequence[int | None]
Shapes = tuple[ShapedArray, ...]


def linearized(
    tangents: Function,
    cotangents: Function,
    point: Sequence[Array],
    v: Sequence[Array],
    like: Sequence[Array],
) -> list[Array]:
    """J v: J is the Jacobian of a function to the first len(v) arrays of `point`; its values are arrays `like` these.

    `tangents` and `cotangents` are two programs of that function, for forward mode and for reverse mode.
    """
    free = len(v)

    def push(*arrays: Array) -> Sequence[Array]:
        point, v = arrays[:-free], arrays[-free:]
        return jax.jvp(lambda *p: list(tangents(*p, *point[free:])), point[:free], v)[1]

    def near(*arrays: Array) -> list[Array]:  # at the point moved by u: J^T is its derivative to u
        point, u = arrays[:-free], arrays[-free:]
        return list(cotangents(*map(jnp.add, point[:free], u), *point[free:]))

    return _push.bind(*point, *v, push=push, near=near, free=free, out=_shapes(like))


def _transpose(
    w: Sequence[Array | ad.Zero], *arrays: Any, near: Function, free: int, out: Shapes, **_: object
) -> list[Array | None]:
    point, v = arrays[:-free], [u.aval for u in arrays[-free:]]
    given = [
        jnp.zeros(s.shape, s.dtype) if isinstance(a, ad.Zero) else a for a, s in zip(w, out, strict=True)
    ]

    def pull(*arrays: Array) -> Sequence[Array]:
        point, w = arrays[: -len(out)], arrays[-len(out) :]
        start = [jnp.zeros(a.shape, a.dtype) for a in v]
        return jax.vjp(lambda *u: list(near(*point, *u)), *start)[1](list(w))

    return [None] * len(point) + _pull.bind(*point, *given, pull=pull, free=len(out), out=_shapes(v))


def _push_batched(
    arrays: Sequence[Array], axes: Axes, *, push: Function, near: Function, out: Shapes, **rest: object
) -> tuple[list[Array], list[int]]:
    size, arrays, axes = _fronted(arrays, axes)
    push, near = (jax.vmap(f, in_axes=axes, axis_size=size) for f in (push, near))
    return _push.bind(*arrays, push=push, near=near, out=_shapes(out, size), **rest), [0] * len(out)


def _pull_batched(
    arrays: Sequence[Array], axes: Axes, *, pull: Function, out: Shapes, **rest: object
) -> tuple[list[Array], list[int]]:
    size, arrays, axes = _fronted(arrays, axes)
    pull = jax.vmap(pull, in_axes=axes, axis_size=size)
    return _pull.bind(*arrays, pull=pull, out=_shapes(out, size), **rest), [0] * len(out)


def _fronted(arrays: Sequence[Array], axes: Axes) -> tuple[int, list[Array], Axes]:
    """The size of the batch, and the arrays with their batch axes in front."""
    size = next(a.shape[i] for a, i in zip(arrays, axes, strict=True) if i is not None)
    moved = [a if i is None else jnp.moveaxis(a, i, 0) for a, i in zip(arrays, axes, strict=True)]
    return size, moved, tuple(None if i is None else 0 for i in axes)


def _jvp(primitive: Primitive) -> Callable[..., tuple[list[Array], ...]]:
    def rule(
        arrays: Sequence[Array], dots: Sequence[Array | ad.Zero], *, free: int, **rest: object
    ) -> tuple[list[Array], ...]:
        if any(not isinstance(d, ad.Zero) for d in dots[:-free]):
            raise NotImplementedError(
                "The derivative of a solution by iteration can not be differentiated again: there are no second derivatives."
            )
        point, v = arrays[:-free], [ad.instantiate_zeros(d) for d in dots[-free:]]
        return tuple(primitive.bind(*point, *u, free=free, **rest) for u in (arrays[-free:], v))

    return rule


def _shapes(arrays: Sequence[Array | ShapedArray], size: int | None = None) -> Shapes:
    lead = () if size is None else (size,)
    return tuple(ShapedArray((*lead, *a.shape), a.dtype) for a in arrays)


def _primitive(name: str, function: str, batched: Callable[..., object]) -> Primitive:
    """A primitive whose parameter `function` is what it does."""
    made = Primitive(name)
    made.multiple_results = True
    run = lambda *arrays, **params: params[function](*arrays)
    made.def_impl(lambda *arrays, **params: jax.jit(params[function])(*arrays))
    made.def_abstract_eval(lambda *_, out, **__: list(out))
    mlir.register_lowering(made, mlir.lower_fun(run, multiple_results=True))
    batching.primitive_batchers[made] = batched
    ad.primitive_jvps[made] = _jvp(made)
    return made


_push = _primitive("shoal_push", "push", _push_batched)
_pull = _primitive("shoal_pull", "pull", _pull_batched)
ad.primitive_transposes[_push] = _transpose
