"""A flow that was read without running constructors, held to what they guarantee.

Every class's `__check_init__` is called, as after a constructor. Then shapes are checked by evaluating log_prob and
sampling abstractly: no numbers are computed.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import one_line
from shoal.bijections import Scan
from shoal.distributions import AbstractFlow, Dequantized, Mixed
from shoal.flows._tree import join
from shoal.records import damaged


def check_flow(flow: AbstractFlow | Dequantized | Mixed, file: Path) -> None:
    """**Raises:** `InputError`, naming `file`, unless the parts of the flow fit together."""
    for module, place in _modules(flow, ""):
        for parent in type(module).__mro__:
            if "__check_init__" in parent.__dict__:
                try:
                    parent.__dict__["__check_init__"](module)
                except Exception as error:
                    raise damaged(file, f"`{place or 'the top'}`: {one_line(error)}") from error
    try:
        shapes = eqx.filter_eval_shape(_evaluate, flow)
    except Exception as error:
        raise damaged(file, f"its parts do not fit together ({one_line(error)})") from error
    if shapes != ((), (2, *flow.shape), (2,)):
        raise damaged(file, f"log_prob and samples of the flow have shapes {shapes}")


def _evaluate(flow: AbstractFlow | Dequantized | Mixed) -> object:
    x = jnp.zeros(flow.shape, flow.dtype)
    c = None if flow.context_shape is None else jnp.zeros((2, *flow.context_shape), flow.dtype)
    log_prob = flow.log_prob_one(x, None if c is None else c[0])
    samples, density = flow.sample_rows(jr.key(0), 2, c)
    return log_prob.shape, samples.shape, density.shape


def _modules(value: object, place: str) -> Iterator[tuple[eqx.Module, str]]:
    """Every module and its place, inner ones first; the repetitions of a `Scan` one by one, as they were constructed."""
    if isinstance(value, Scan):
        yield value, place
        for i in range(value.length):
            row = lambda leaf, i=i: jnp.asarray(np.asarray(leaf)[i]) if eqx.is_array(leaf) else leaf
            yield from _modules(jax.tree.map(row, value.unit), join(place, "unit"))
    elif isinstance(value, eqx.Module):
        for field in fields(value):
            yield from _modules(getattr(value, field.name), join(place, field.name))
        yield value, place
    elif isinstance(value, tuple):
        for i, part in enumerate(value):
            yield from _modules(part, join(place, i))
