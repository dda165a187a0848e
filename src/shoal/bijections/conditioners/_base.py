"""The interface of a conditioner: what gives a coupling or an autoregressive layer its transformer's parameters."""

import abc

import equinox as eqx

from shoal._types import Array, Context, Float, Vector


class AbstractConditioner(eqx.Module):
    """(x, c) -> raw parameters: a vector of `inputs` numbers and a context of length `context` (0: none) to `outputs`.

    A conditioner without a context ignores one that it is given.
    """

    context: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def inputs(self) -> int:
        """The length of x."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The length of what it gives."""

    @abc.abstractmethod
    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector."""
