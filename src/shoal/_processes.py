"""Programs of several processes, one or more on each host, that train together by `jax.distributed`.

Every process runs the same program on the same table. Process 0 leads: it writes and prints, and where the clock or a signal
decides, its word counts. All of them must come to the same calls of this module in the same order.
"""

import pickle
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from shoal._errors import InputError

T = TypeVar("T")
Number: TypeAlias = float | int  # beartype takes an int for no float


def leads() -> bool:
    """True in the process that writes and prints."""
    return jax.process_index() == 0


def agreed(*values: Number) -> tuple[Number, ...]:
    """The values of process 0, to the bit."""
    if jax.process_count() == 1:
        return values
    return tuple(_from_first(np.array(values, np.float64).tobytes(), np.float64).tolist())


def from_first(make: Callable[[], T]) -> T:
    """What `make()` gives in process 0; the others wait for it and make nothing."""
    if jax.process_count() == 1:
        return make()
    made = pickle.dumps(make()) if leads() else b""
    (size,) = agreed(len(made))
    told = _from_first(made.ljust(int(size), b"\0"), np.uint8).tobytes()
    return pickle.loads(told)  # noqa: S301  (process 0 of this program has made it)


def gathered(value: float) -> list[float]:
    """The values of all processes, in order."""
    if jax.process_count() == 1:
        return [value]
    found = multihost_utils.process_allgather(np.frombuffer(np.float64(value).tobytes(), np.uint8))
    return np.asarray(found, np.uint8).view(np.float64)[:, 0].tolist()


def check_equal(what: str, digest: str) -> None:
    """**Raises:** `InputError` in every process unless all of them give the same digest, in hexadecimal, of `what`."""
    found = gathered(float(int(digest[:13], 16)))  # the 52 bits that a float holds
    others = [place for place, value in enumerate(found) if value != found[0]]
    if others:
        raise InputError(f"Process {others[0]} has another {what} than process 0; give all of them the same.")


def _from_first(given: bytes, dtype: type[np.generic]) -> np.ndarray:
    """As many bytes of process 0 as this one gives. Bytes, as JAX would round numbers of 64 bits to 32."""
    told = multihost_utils.broadcast_one_to_all(np.frombuffer(given, np.uint8))
    return np.asarray(told, np.uint8).view(dtype)
