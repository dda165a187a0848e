"""Outputs of a `Conditioner` over a box of inputs, and bounds of its Jacobian there, with rows weighted.

J = A + L D_k W_k ... D_1 W_1, D_i the slopes of the activation. Two bounds of its norm, of which the smaller counts: an
interval matrix (sharp on small boxes), and |A| + |L| prod |D_i W_i| with the largest slopes (good on large ones).
"""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import Conditioner
from shoal.conditioning._intervals import Box, Matrices, affine, norm, total
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


def conditioner_bounds(net: Conditioner, box: Box, context: FloatArray | None) -> ConditionerBounds:
    """The bounds over a box of inputs at one context; parameters in float64."""
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


def _added(parts: list[Matrices]) -> Matrices:
    result = parts[0]
    for part in parts[1:]:
        result = result.plus(part)
    return result
