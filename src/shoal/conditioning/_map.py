"""`AbstractMap`: an invertible map R^n -> R^n as an audit sees it, whatever library it comes from.

`map.at(direction, precision, context)` is the map with all three bound, as rows of NumPy in, NumPy out. `forward` is latent
z -> data x and `inverse` data x -> latent z, whatever the library itself calls them: adapters translate.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from shoal._names import Direction, Precision
from shoal._pieces import in_pieces
from shoal._scalars import BoolArray, FloatArray

Quantity: TypeAlias = Literal["apply", "jvp", "vjp", "jacobian", "curvature", "stretch_gradient", "rounding"]
_NUMBERS = 1 << 19  # of one array of tangents in a piece: rows x n x n
_ROWS, FEWEST = 1024, 16  # rows of a piece


@dataclass(frozen=True)
class MapView:
    """A map f in one direction and precision, on rows of points (rows, n) with a context (rows, c) or None.

    Everything is computed in `precision` on a copy and comes back as NumPy (float64 and float32 as they are, bfloat16 as
    float32). A map that can not run in some precision raises NotImplementedError with one sentence that says why.
    """

    map: "AbstractMap"
    direction: Direction
    precision: Precision
    context: FloatArray | None

    def __call__(self, points: FloatArray) -> FloatArray:
        """f(p) at each row, (rows, n)."""
        return self.apply(points)[0]

    def apply(self, points: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """f(p), (rows, n), and the map's own log|det J(p)|, (rows,); None where the map reports no log-det."""
        image, *log_det = self._evaluated("apply", points)
        return image, log_det[0] if log_det else None

    def jvp(self, points: FloatArray, tangents: FloatArray) -> FloatArray:
        """J(p) v at each row p with its own tangent v, (rows, n)."""
        return self._evaluated("jvp", points, tangents)[0]

    def vjp(self, points: FloatArray, cotangents: FloatArray) -> FloatArray:
        """J(p)^T u at each row p with its own cotangent u, (rows, n)."""
        return self._evaluated("vjp", points, cotangents)[0]

    def jacobian(self, points: FloatArray) -> FloatArray:
        """J(p) at each row, (rows, n, n)."""
        return self._evaluated("jacobian", points)[0]

    def curvature(self, points: FloatArray, tangents: FloatArray) -> FloatArray:
        """D^2 f(p)[v, v], the second derivative along v, (rows, n): the jvp of the jvp."""
        return self._evaluated("curvature", points, tangents)[0]

    def stretch_gradient(self, points: FloatArray, tangents: FloatArray) -> tuple[FloatArray, FloatArray]:
        """log |J(p) v| (rows,) and its gradient with respect to p (rows, n), v held fixed: what `attack` climbs."""
        values, gradients = self._evaluated("stretch_gradient", points, tangents)
        return values, gradients

    def rounding(self, points: FloatArray, cotangents: FloatArray) -> tuple[FloatArray, ...]:
        """What the map's own rounding does to <u, f(p)> + log|det J(p)| at each row p with its own u, in float64.

        **Returns:** the gradient with respect to the point (rows, n); to first order the largest change (rows,), in units
        of the unit roundoff, and its variance (rows,), in squares of it; where there is a context, the gradient with respect
        to it (rows, c). **Raises:** NotImplementedError where the map can not say.
        """
        return self._evaluated("rounding", points, cotangents)

    def in_pieces(
        self, function: Callable[..., object], *arrays: FloatArray, fewest: int = FEWEST
    ) -> tuple[FloatArray, ...]:
        """`function(context, *arrays)`, an array or a tuple of them, on pieces of rows, so that memory stays small.

        Sizes of pieces are powers of two, 16 or from `fewest` up, so that sets of similar length share a program.
        """
        rows = len(arrays[0])
        least = fewest if rows > FEWEST else FEWEST
        size = min(_ROWS, max(least, 1 << (rows - 1).bit_length()), max(1, _NUMBERS // self.map.size**2))
        first, *others = (np.asarray(a) for a in arrays)
        context = None if self.context is None else np.asarray(self.context)
        return in_pieces(lambda p, c, *a: function(c, p, *a), size, first, context, *others)

    def _evaluated(self, quantity: Quantity, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        return self.map.evaluate(quantity, self, *arrays)


@dataclass(frozen=True)
class Posterior:
    """What a map that stands for a posterior of parameters x knows besides.

    `observed`: whether it is read at an observation where no context is given; `inside`: which rows (rows, n) lie where
    the prior has a density: the posterior that users get is the map's law cut to these; `note`: what the map has outside.
    """

    observed: bool
    inside: Callable[[FloatArray], BoolArray]
    note: str = ""


class AbstractMap(abc.ABC):
    """An invertible map on R^n. It is measured through its views, `map.at("inverse", "float32").jacobian(x)`."""

    name: str
    size: int
    latent: str = "StandardNormal"  # the class of the base that the latents are meant to have
    posterior: Posterior | None = None  # what it knows besides, if it stands for a posterior

    @abc.abstractmethod
    def evaluate(self, quantity: Quantity, view: MapView, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """What `view` has under the name `quantity`, as a tuple; "apply" gives one array where there is no log-det."""

    @abc.abstractmethod
    def layers(self) -> "tuple[AbstractMap, ...]":
        """The single layers in forward order; a map without known layers gives itself."""

    def at(
        self,
        direction: Direction = "forward",
        precision: Precision = "float64",
        context: FloatArray | None = None,
    ) -> MapView:
        """The map with direction, precision and context bound."""
        return MapView(self, direction, precision, context)


class AbstractParametric(AbstractMap):
    """A map that knows its parameters, outside of JAX: it can say how much a loss depends on them."""

    @abc.abstractmethod
    def loss_step(
        self, points: FloatArray, cotangents: FloatArray, context: FloatArray | None
    ) -> tuple[float, FloatArray]:
        """With L = <c, f^{-1}(h)> - log|det Df^{-1}(h)|, at each row h with its own cotangent c, in float64:

        the norm of d/dparameters of the mean of L over rows, and dL/dh at each row, (rows, n).
        """
