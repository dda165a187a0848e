"""Programs that run for seconds: on a CPU they are compiled at the first level of optimisation.

`benchmarks/speed/compile_level.py` measures what that saves, and what a step then takes.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

LEVEL = "xla_backend_optimization_level"


def quickly(function: Callable, *, jit: Callable = eqx.filter_jit, **arguments: Any) -> Callable:
    """`jit(function, **arguments)`, compiled quickly. It can not be called inside another program.

    A level that the environment variable XLA_FLAGS sets is left as it is.
    """

    @functools.cache
    def made() -> Callable:
        chosen = jax.default_backend() != "cpu" or LEVEL in os.environ.get("XLA_FLAGS", "")
        return jit(function, **arguments, **({} if chosen else {"compiler_options": {LEVEL: 1}}))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return made()(*args, **kwargs)

    call.program = made  # pyright: ignore[reportAttributeAccessIssue]  (for those who count what it has compiled)
    return call
