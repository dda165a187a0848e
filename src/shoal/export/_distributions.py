"""Flows as distributions of numpyro and of distrax: the same arrays, so the same numbers; none loads before it is used."""

from typing import Any

import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, ArrayLike
from shoal.distributions import Flow
from shoal.export._programs import checked


def to_numpyro(flow: object, context: ArrayLike | None = None) -> Any:
    """A `numpyro.distributions.Distribution` with the flow's `log_prob` and `sample`, to observe or to draw from in a model.

    It is a pytree, so its weights may be traced. `support` is R^n, or the intervals of the columns where all of them have
    two bounds, a lower one or an upper one.

    **Arguments:** `context`: (..., c), of a conditional flow; its leading axes are the batch shape.
    **Raises:** `InputError` for what is no `Flow`, and for a context that is missing or does not fit; ImportError without
    numpyro.
    """
    from shoal.export import _numpyro  # here: it imports numpyro

    return _numpyro.FlowDistribution(*_given(flow, context))


def to_distrax(flow: object, context: ArrayLike | None = None) -> Any:
    """A `distrax.Distribution` with the flow's `log_prob`, `sample` and `sample_and_log_prob`.

    **Arguments:** `context`: (..., c), of a conditional flow; its leading axes are the batch shape.
    **Raises:** `InputError` for what is no `Flow`, and for a context that is missing or does not fit; ImportError without
    distrax.
    """
    from shoal.export import _distrax  # here: it imports distrax

    return _distrax.FlowDistribution(*_given(flow, context))


def _given(flow: object, context: ArrayLike | None) -> tuple[Flow, Array | None]:
    known = checked(flow)
    if known.context_shape is None:
        return known, None
    (size,) = known.context_shape
    if context is None:
        raise InputError(f"This flow needs a context of shape (..., {size}); none was given.")
    found = jnp.asarray(context, known.dtype)
    if found.shape[-1:] != (size,):
        raise InputError(f"`context` must have shape (..., {size}); got {found.shape}.")
    return known, found
