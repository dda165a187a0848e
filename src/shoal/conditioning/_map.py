"""`AbstractMap`: an invertible map R^n -> R^n as an audit sees it, whatever library it comes from.

Rows of NumPy in, NumPy out, in a stated precision. `forward` is latent z -> data x and `inverse` data x -> latent z,
whatever the library itself calls them: adapters translate. log-det is log|det| of the direction that was asked for.
"""

import abc
from typing import Literal, TypeAlias

from shoal._scalars import FloatArray
from shoal.conditioning._precision import Precision

Direction: TypeAlias = Literal["forward", "inverse"]


class AbstractMap(abc.ABC):
    """An invertible map on R^n, in batches: points (rows, n), context (rows, c) or None.

    Every method computes in `precision` on a copy and returns NumPy (float64 and float32 as they are, bfloat16 as
    float32). A map that can not run in some precision raises NotImplementedError with one sentence that says why.
    """

    name: str
    size: int

    @abc.abstractmethod
    def apply(
        self,
        points: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> tuple[FloatArray, FloatArray | None]:
        """Images (rows, n) and the map's own log|det| (rows,); None where the map reports no log-det."""

    @abc.abstractmethod
    def jvp(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p) v at each row p with its own tangent v, (rows, n)."""

    @abc.abstractmethod
    def vjp(
        self,
        points: FloatArray,
        cotangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p)^T u at each row p with its own cotangent u, (rows, n)."""

    @abc.abstractmethod
    def jacobian(
        self,
        points: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """J(p) at each row, (rows, n, n)."""

    @abc.abstractmethod
    def curvature(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> FloatArray:
        """D^2 f(p)[v, v], the second derivative along v, (rows, n): the jvp of the jvp."""

    @abc.abstractmethod
    def stretch_gradient(
        self,
        points: FloatArray,
        tangents: FloatArray,
        context: FloatArray | None = None,
        *,
        direction: Direction = "forward",
        precision: Precision = "float64",
    ) -> tuple[FloatArray, FloatArray]:
        """log |J(p) v| (rows,) and its gradient with respect to p (rows, n), v held fixed: what `attack` climbs."""

    @abc.abstractmethod
    def layers(self) -> "tuple[AbstractMap, ...]":
        """The single layers in forward order; a map without known layers gives itself."""

    def forward(
        self, z: FloatArray, context: FloatArray | None = None, *, precision: Precision = "float64"
    ) -> FloatArray:
        """x = f(z), latent -> data."""
        return self.apply(z, context, direction="forward", precision=precision)[0]

    def inverse(
        self, x: FloatArray, context: FloatArray | None = None, *, precision: Precision = "float64"
    ) -> FloatArray:
        """z = f^{-1}(x), data -> latent."""
        return self.apply(x, context, direction="inverse", precision=precision)[0]


class AbstractParametric(AbstractMap):
    """A map that knows its parameters, outside of JAX: it can say how much a loss depends on them."""

    @abc.abstractmethod
    def loss_step(
        self, points: FloatArray, cotangents: FloatArray, context: FloatArray | None
    ) -> tuple[float, FloatArray]:
        """With L = <c, f^{-1}(h)> - log|det Df^{-1}(h)|, at each row h with its own cotangent c, in float64:

        the norm of d/dparameters of the mean of L over rows, and dL/dh at each row, (rows, n).
        """
