"""Compositions: `Chain` of different layers, `Scan` of identical ones, and `Inverse`.

Forward order is latent -> data: the first layer acts first on z. `Scan` holds one unit whose arrays have a leading
axis over the repetitions and runs it by `jax.lax.scan`, so that compile time does not grow with depth.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._scalars import Function
from shoal._types import Batch, Context, ContextBatch, Scalar, Vector
from shoal.bijections._base import (
    AbstractBijection,
    AbstractComposite,
    AbstractDataDependent,
    check_input,
    initialize_part,
    layers_of,
    whole,
)

Tree = TypeVar("Tree")


class Chain(AbstractComposite):
    """x = f_k(... f_1(z)): the bijections in forward order. log-dets add."""

    bijections: tuple[AbstractBijection, ...]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijections: Sequence[AbstractBijection]):
        self.bijections = tuple(bijections)
        if not self.bijections:
            raise InputError("`Chain` needs at least one bijection.")
        self.shape = self.bijections[0].shape
        contexts = {b.context_shape for b in self.bijections} - {None}
        if len(contexts) > 1:
            raise InputError(f"`Chain` needs one context shape; its parts have {sorted(map(str, contexts))}.")
        for i, b in enumerate(self.bijections):
            if b.shape != self.shape:
                raise InputError(f"`Chain`: part {i} has shape {b.shape}, part 0 has {self.shape}.")
        self.context_shape = contexts.pop() if contexts else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and the sum of the log-dets."""
        check_input(self, z, context)
        total = jnp.zeros((), z.dtype)
        for b in self.bijections:
            z, log_det = b.forward_and_log_det(z, context)
            total = total + log_det
        return z, total

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and the sum of the log-dets."""
        check_input(self, x, context)
        total = jnp.zeros((), x.dtype)
        for b in reversed(self.bijections):
            x, log_det = b.inverse_and_log_det(x, context)
            total = total + log_det
        return x, total

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The single layers of all parts, in forward order."""
        return tuple(layer for b in self.bijections for layer in layers_of(b))

    def initialized(self, x: Batch, context: ContextBatch) -> "Chain":
        """Each part initialised from the batch as it arrives there from the data side."""
        parts = []
        for b in reversed(self.bijections):
            parts.append(initialize_part(b, x, context))
            x = _to_latent(parts[-1], x, context)
        return eqx.tree_at(lambda c: c.bijections, self, tuple(reversed(parts)))


class Scan(AbstractComposite):
    """`length` repetitions of one unit, the arrays of `unit` stacked along a leading axis, in forward order.

    `unroll` repetitions are compiled at a time; `length` compiles them all in line.
    """

    unit: AbstractBijection
    length: int = eqx.field(static=True)
    unroll: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, units: Sequence[AbstractBijection], *, unroll: int = 1):
        if not units:
            raise InputError("`Scan` needs at least one unit.")
        whole("Scan(unroll=...)", unroll)
        self.unit = _stacked(units)
        self.length, self.unroll = len(units), min(int(unroll), len(units))
        self.shape, self.context_shape = units[0].shape, units[0].context_shape

    def __check_init__(self) -> None:
        arrays = jax.tree.leaves(eqx.filter(self.unit, eqx.is_array))
        if not 1 <= self.unroll <= self.length or any(a.shape[:1] != (self.length,) for a in arrays):
            raise InputError(f"`Scan`: length {self.length} and unroll {self.unroll} do not fit its arrays.")

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and the sum of the log-dets."""
        check_input(self, z, context)
        return self._run(z, lambda unit, v: unit.forward_and_log_det(v, context), reverse=False)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and the sum of the log-dets."""
        check_input(self, x, context)
        return self._run(x, lambda unit, v: unit.inverse_and_log_det(v, context), reverse=True)

    def units(self) -> tuple[AbstractBijection, ...]:
        """The repetitions, unstacked, in forward order."""
        arrays, static = eqx.partition(self.unit, eqx.is_array)
        return tuple(
            eqx.combine(jax.tree.map(lambda a, i=i: a[i], arrays), static) for i in range(self.length)
        )

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The single layers, in forward order."""
        return tuple(layer for unit in self.units() for layer in layers_of(unit))

    def rolled(self) -> "Scan":
        """The same map, compiled one repetition at a time: quicker to compile, at most a little slower to run."""
        other = object.__new__(Scan)
        for f in dataclasses.fields(self):
            object.__setattr__(other, f.name, 1 if f.name == "unroll" else getattr(self, f.name))
        return other

    def initialized(self, x: Batch, context: ContextBatch) -> "Scan":
        """Each repetition initialised from the batch as it arrives there from the data side."""
        units = []
        for unit in reversed(self.units()):
            units.append(initialize_part(unit, x, context))
            x = _to_latent(units[-1], x, context)
        return eqx.tree_at(lambda s: s.unit, self, _stacked(units[::-1]))

    def _run(self, v: Vector, function: Function, *, reverse: bool) -> tuple[Vector, Scalar]:
        arrays, static = eqx.partition(self.unit, eqx.is_array)

        def body(carry: tuple[Vector, Scalar], part: PyTree) -> tuple[tuple[Vector, Scalar], None]:
            vector, total = carry
            vector, log_det = function(eqx.combine(part, static), vector)
            return (vector, total + log_det), None

        start = (v, jnp.zeros((), v.dtype))
        return jax.lax.scan(body, start, arrays, reverse=reverse, unroll=self.unroll)[0]


class Inverse(AbstractComposite):
    """The inverse of a bijection as a bijection: `Inverse(MaskedAutoregressive(...))` is IAF."""

    bijection: AbstractBijection
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection):
        self.bijection = bijection
        self.shape, self.context_shape = bijection.shape, bijection.context_shape

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """The wrapped bijection's inverse."""
        return self.bijection.inverse_and_log_det(z, context)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """The wrapped bijection's forward."""
        return self.bijection.forward_and_log_det(x, context)

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The inverses of the wrapped layers, in reversed order."""
        if not isinstance(self.bijection, AbstractComposite):
            return (self,)
        return tuple(Inverse(layer) for layer in reversed(self.bijection.layers()))

    def initialized(self, x: Batch, context: ContextBatch) -> "Inverse":
        """Data-dependent layers can not be set through an inverse. **Raises:** InputError where there is one."""
        from_data = [b for b in layers_of(self.bijection) if isinstance(b, AbstractDataDependent)]
        if from_data:
            raise InputError(
                f"`Inverse` holds {type(from_data[0]).__name__}, which is set from data; initialise it before wrapping."
            )
        return self


@eqx.filter_jit
def _to_latent(bijection: AbstractBijection, x: Batch, context: ContextBatch) -> Batch:
    """The batch one part further; compiled once for all parts of one structure."""
    return jax.vmap(bijection.inverse)(x, context)


def first_unlike(units: Sequence[AbstractBijection]) -> int | None:
    """The first unit that can not be stacked with unit 0 (another class, size or static value); None: all can."""
    structure = [jax.tree.structure(eqx.partition(u, eqx.is_array)) for u in units]
    shapes = [[(a.shape, a.dtype) for a in jax.tree.leaves(eqx.filter(u, eqx.is_array))] for u in units]
    pairs = zip(structure, shapes, strict=True)
    return next((i for i, (s, h) in enumerate(pairs) if s != structure[0] or h != shapes[0]), None)


def _stacked(units: Sequence[AbstractBijection]) -> AbstractBijection:
    i = first_unlike(units)
    if i is not None:
        raise InputError(
            f"`Scan` needs identical units (same classes, sizes and static values); unit {i} differs from unit 0. "
            "Use `Chain` for mixed layers."
        )
    return jax.tree.map(lambda *a: jnp.stack(a) if eqx.is_array(a[0]) else a[0], *units)


def rolled(tree: Tree) -> Tree:
    """Any pytree with every `Scan` in it rolled: for figures that are computed once, where compiling costs most."""
    is_scan = lambda node: isinstance(node, Scan)
    return jax.tree.map(lambda node: node.rolled() if isinstance(node, Scan) else node, tree, is_leaf=is_scan)
