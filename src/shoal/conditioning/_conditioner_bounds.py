"""Outputs of a conditioner over a box of inputs, and bounds of its Jacobian there, with rows weighted.

J = A + L D_k W_k ... D_1 W_1, D_i the slopes of the activation. Two bounds of its norm, of which the smaller counts: an
interval matrix (sharp on small boxes), and |A| + |L| prod |D_i W_i| with the largest slopes (good on large ones).
"""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import AbstractConditioner, DenseConditioner, HeldConditioner, KnotConditioner
from shoal.conditioning._intervals import Box, Matrices, affine, norm, total
from shoal.conditioning._precision import compute
from shoal.conditioning._slopes import activation_ranges


@dataclass(frozen=True)
class ConditionerBounds:
    """`outputs`: the box of outputs; `jacobian`: interval matrix; `skip`, `last`: A and L; `inner`: >= |D_k ... W_1|."""

    outputs: Box
    jacobian: Matrices
    skip: FloatArray
    last: FloatArray
    inner: float

    def norm(self, parts: list[tuple[Box, slice]]) -> float:
        """At least |sum of diag(r) J[rows]| over all r in the boxes and all inputs, for (r, rows) of equal sizes."""
        sharp = _added([Matrices(*(m[rows] for m in self.jacobian)).scaled(r) for r, rows in parts]).norm()
        weighted = [(r.size[:, None], rows) for r, rows in parts]
        crude = sum(
            norm(w * self.skip[rows]) + norm(w * self.last[rows]) * self.inner for w, rows in weighted
        )
        return float(np.minimum(sharp, crude))


@singledispatch
def conditioner_bounds(
    net: AbstractConditioner, box: Box, context: FloatArray | None
) -> ConditionerBounds | None:
    """The bounds over a box of inputs at one context; parameters in float64. None for a class that is not known here."""
    return None


@conditioner_bounds.register
def _(net: HeldConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds | None:
    return conditioner_bounds(compute(lambda c: c.held(), net, precision="float64"), box, context)


@conditioner_bounds.register
def _(net: DenseConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds:
    inputs = len(box.low)
    fixed = np.zeros(0) if context is None else np.asarray(context, np.float64)
    h = Box(np.concatenate([box.low, fixed]), np.concatenate([box.high, fixed]))
    skip = np.asarray(net.skip)[:, :inputs]
    outputs = affine(np.asarray(net.skip), h, np.asarray(net.bias))
    jacobian, inner = Matrices(skip, np.zeros_like(skip)), 1.0
    last = np.asarray(net.last)
    if not net.weights:
        return ConditionerBounds(outputs, jacobian, skip, np.zeros((len(skip), 0)), 0.0)
    chain = Matrices(np.eye(inputs), np.zeros((inputs, inputs)))
    for i, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        weight = np.asarray(w)
        h, slopes = activation_ranges(net.activation, affine(weight, h, np.asarray(b)))
        weight = weight if i else weight[:, :inputs]  # the context does not move
        chain = chain.after(weight).scaled(slopes)
        inner *= norm(slopes.size[:, None] * weight)
    return ConditionerBounds(
        total(outputs, affine(last, h)), jacobian.plus(chain.after(last)), skip, last, inner
    )


@conditioner_bounds.register
def _(net: KnotConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds:
    # piecewise linear in u = <direction, x>: the values at the ends and the knots between, the slopes of the pieces met
    direction, knots, values = (np.asarray(a, np.float64) for a in (net.direction, net.knots, net.values))
    u = affine(direction[None], box)
    low, high = float(u.low[0]), float(u.high[0])
    ends = np.stack([[np.interp(end, knots, column) for column in values.T] for end in (low, high)])
    between = values[(knots > low) & (knots < high)]
    seen = np.concatenate([ends, between])
    outputs = Box(seen.min(axis=0), seen.max(axis=0)).widened(1e-12 * float(np.abs(values).max()))
    flat = np.zeros((1, values.shape[1]))
    slopes = np.concatenate([flat, np.diff(values, axis=0) / np.diff(knots)[:, None], flat])
    first, last = np.searchsorted(knots, low, side="left"), np.searchsorted(knots, high, side="right")
    met = slopes[first : last + 1]  # slope j holds between the knots j - 1 and j
    range_ = Box(met.min(axis=0), met.max(axis=0)).widened()
    constant = np.asarray(net.constant, np.float64)
    c = len(constant)
    whole = Box(np.concatenate([constant, outputs.low]), np.concatenate([constant, outputs.high]))
    middle, radius = (range_.low + range_.high) / 2, (range_.high - range_.low) / 2
    zeros = np.zeros((c, len(direction)))
    jacobian = Matrices(
        np.concatenate([zeros, middle[:, None] * direction]),
        np.concatenate([zeros, radius[:, None] * np.abs(direction)]),
    )
    steepest = np.concatenate([np.zeros((c, 1)), range_.size[:, None]])
    return ConditionerBounds(
        whole, jacobian, np.zeros((c + len(middle), len(direction))), steepest, norm(direction[None])
    )


def _added(parts: list[Matrices]) -> Matrices:
    result = parts[0]
    for part in parts[1:]:
        result = result.plus(part)
    return result
