"""The interface of a transformer: the elementwise, increasing map of a coupling or an autoregressive layer.

Parameters come from a conditioner as one vector of free values, parameter by parameter: for m coordinates raw[p m + i] is
parameter p of coordinate i. All zero gives the identity, up to the scale map's value at 0.
"""

import abc

import equinox as eqx

from shoal._types import Array, Float, Vector

Raw = Float[Array, "pm"]


class AbstractTransformer(eqx.Module):
    """x_i = f(z_i; raw_i), increasing in z_i, with `parameters` free values a coordinate; m coordinates at once."""

    @property
    @abc.abstractmethod
    def parameters(self) -> int:
        """P: the number of free values of a coordinate."""

    @abc.abstractmethod
    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """x and log dx_i/dz_i."""

    @abc.abstractmethod
    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """z and log dz_i/dx_i."""

    @abc.abstractmethod
    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """The raw values with which f is x = exp(log_scale) z + shift, exactly; affine in `shift`.

        **Raises:** InputError, naming `layer`, for a log-scale that the transformer does not reach.
        """
