"""Programs of several processes, one or more on each host, that train together by `jax.distributed`.

Every process runs the same program on the same table; process 0 leads: it writes and prints, and where the clock or a signal
decides, its word counts. All of them must come to the same calls of this module in the same order.
"""

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from shoal._errors import InputError

T = TypeVar("T")
BY_JAX = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def join() -> None:
    """Joins the processes that the environment tells of: the three variables of `BY_JAX`, or those of a Slurm step of several
    tasks. Does nothing where there are none. Before anything is computed.

    **Raises:** `InputError` where the others can not be reached, or one of the variables is no number.
    """
    if jax.distributed.is_initialized():
        return
    try:
        if all(name in os.environ for name in BY_JAX):
            count, place = (int(os.environ[name]) for name in BY_JAX[1:])
            jax.distributed.initialize(os.environ[BY_JAX[0]], count, place, cluster_detection_method="deactivate")
        else:
            jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"The processes of this program can not be joined: {error}") from error


def leads() -> bool:
    """True in the process that writes and prints."""
    return jax.process_index() == 0


def agreed(*values: float) -> tuple[float, ...]:
    """The values of process 0, to the bit."""
    if jax.process_count() == 1:
        return values
    given = np.array(values, np.float64).view(np.uint8)
    return tuple(np.asarray(multihost_utils.broadcast_one_to_all(given), np.uint8).view(np.float64).tolist())


def from_first(make: Callable[[], T]) -> T:
    """What `make()` gives in process 0; the others wait for it and make nothing."""
    if jax.process_count() == 1:
        return make()
    made = pickle.dumps(make()) if leads() else b""
    size = int(agreed(len(made))[0])
    given = np.frombuffer(made.ljust(size, b"\0"), np.uint8) if leads() else np.zeros(size, np.uint8)
    return pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(given), np.uint8).tobytes())


def check_equal(what: str, digest: str) -> None:
    """**Raises:** `InputError` in every process unless all of them give the same digest (hexadecimal) of `what`."""
    if jax.process_count() == 1:
        return
    found = np.asarray(multihost_utils.process_allgather(np.frombuffer(bytes.fromhex(digest), np.uint8)))
    other = np.flatnonzero((found != found[0]).any(axis=1))
    if len(other):
        raise InputError(f"Process {other[0]} has another {what} than process 0; give all processes the same.")
