"""Checks of single values at the entry, and of a resumed run against the one that left its checkpoints."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Key

KeyLike: TypeAlias = Any  # one JAX random key, of either kind: `one_key` checks it


def positive(name: str, value: object) -> None:
    """Raise `InputError` unless `value` is a finite number above 0."""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise InputError(f"`{name}` must be a finite number above 0; got {value!r}.")


def not_negative(name: str, value: object) -> None:
    """Raise `InputError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not math.isfinite(value) or value < 0:
        raise InputError(f"`{name}` must be a finite number of at least 0; got {value!r}.")


def fraction(name: str, value: object) -> None:
    """Raise `InputError` unless `value` is a number in [0, 1)."""
    if not (_is_number(value) and 0 <= value < 1):
        raise InputError(f"`{name}` must be at least 0 and below 1; got {value!r}.")


def one_key(key: KeyLike) -> Key:
    """The key as a typed one. **Raises:** `InputError` unless it is one JAX random key."""
    if not isinstance(key, jax.Array):
        raise InputError(
            f"`key` must be a JAX random key such as `jax.random.key(0)`; got a {type(key).__name__}."
        )
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.dtype != jnp.uint32 or key.shape != (2,):
            raise InputError(
                f"`key` must be one JAX random key; got an array of shape {key.shape}, dtype {key.dtype}."
            )
        key = jax.random.wrap_key_data(key)
    if key.shape != ():
        raise InputError(f"`key` must be one JAX random key; got {key.shape[0]} of them.")
    return key


def described(value: object) -> str | None:
    """The text of a value, the same in every process: without the addresses of functions."""
    return None if value is None else re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def check_same(folder: Path, stored: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise `InputError` naming everything in which a run differs from the one that left the checkpoints."""
    different = []
    for name, value in now.items():
        if stored.get(name) != value:
            shown = not isinstance(value, str)
            different.append(f"`{name}` ({stored.get(name)} there, {value} here)" if shown else f"`{name}`")
    if different:
        raise InputError(
            f"The checkpoints in {folder} are of another run: {', '.join(different)} differ; "
            "resume with the same data and settings, or name another folder."
        )


def _is_number(value: object) -> TypeGuard[float]:
    return not isinstance(value, bool) and hasattr(value, "__float__")
