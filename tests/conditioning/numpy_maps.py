"""Maps in NumPy with functions and Jacobians of their own, so that a test compiles nothing."""

import numpy as np

from shoal.conditioning import AbstractMap


class Rows(AbstractMap):
    """`forward`, `inverse`: functions of rows; `jacobian`: that of forward at latents, (rows, n, n), else by differences.

    `log_det`: of forward at latents, or None; `parts`: the layers.
    """

    def __init__(self, size, forward, inverse, *, log_det=None, parts=(), name="rows"):
        self.name, self.size, self.parts = name, size, tuple(parts)
        self.functions, self.log_det = {"forward": forward, "inverse": inverse}, log_det

    def evaluate(self, quantity, view, *arrays):
        function = self.functions[view.direction]
        with np.errstate(all="ignore"):
            if quantity == "jacobian":
                return (differences(function, arrays[0]),)
            assert quantity == "apply"
            image = function(arrays[0])
            if self.log_det is None:
                return (image,)
            latents = arrays[0] if view.direction == "forward" else image
            sign = 1.0 if view.direction == "forward" else -1.0
            return image, sign * self.log_det(latents)

    def layers(self):
        return self.parts or (self,)


def differences(function, points, step=1e-6):
    """Central differences, exact for linear functions up to rounding."""
    columns = [
        (function(points + step * e) - function(points - step * e)) / (2 * step)
        for e in np.eye(points.shape[1])
    ]
    return np.stack(columns, axis=2)


def linear(matrix, back=None, name="linear"):
    """x = A z, whose inverse multiplies by `back`."""
    back = np.linalg.inv(matrix) if back is None else back
    return Rows(len(matrix), lambda z: z @ matrix.T, lambda x: x @ back.T, name=name)


def composed(*parts):
    """Layers in forward order, as one map that knows them."""

    def run(direction):
        def function(points):
            for part in parts if direction == "forward" else parts[::-1]:
                points = part.functions[direction](points)
            return points

        return function

    def log_det(points):
        total = 0.0
        for part in parts:
            total = total + part.log_det(points)
            points = part.functions["forward"](points)
        return total

    known = log_det if all(part.log_det for part in parts) else None
    return Rows(parts[0].size, run("forward"), run("inverse"), log_det=known, parts=parts, name="chain")
