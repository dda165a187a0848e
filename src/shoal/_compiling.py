"""Programs that run for seconds: on a CPU they are compiled at the first level of optimisation.

`benchmarks/speed/compile_level.py` measures what that saves, and what a step then takes.
"""

import ctypes
import functools
import gc
import os
from pathlib import Path

import equinox as eqx
import jax

from shoal._scalars import Function

LEVEL = "xla_backend_optimization_level"
MAPPINGS, MANY = Path("/proc/self/maps"), 45_000  # of a process; Linux gives it 65,530 at most


def quickly(function: Function, *, jit: Function = eqx.filter_jit, **arguments: object) -> Function:
    """`jit(function, **arguments)`, compiled quickly. It can not be called inside another program.

    A level that the environment variable XLA_FLAGS sets is left as it is.
    """

    @functools.cache
    def made() -> Function:
        chosen = jax.default_backend() != "cpu" or LEVEL in os.environ.get("XLA_FLAGS", "")
        return jit(function, **arguments, **({} if chosen else {"compiler_options": {LEVEL: 1}}))

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return made()(*args, **kwargs)

    call.program = made  # pyright: ignore[reportAttributeAccessIssue]  (for those who count what it has compiled)
    return call


def make_room(many: int | None = None) -> None:
    """Gives memory that is free back to the system, and forgets what JAX has compiled in this process where it takes more
    than `many` mappings of memory (None: `MANY`).

    The compiler's memory is freed in pieces, which the C library keeps: 0.3 GB in a short fit. On a CPU a program takes some
    hundred mappings of memory, a ladder some ten thousand, and a process that has no more of them is ended while it compiles
    the next. What is used again is compiled again.
    """
    try:
        count = MAPPINGS.read_bytes().count(b"\n")
    except OSError:  # another system than Linux
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
    if trim is not None:
        trim(0)
    if count > (MANY if many is None else many):
        jax.clear_caches()
        gc.collect()
