"""Checks of single numbers, in the words that every setting uses."""

import math
from typing import Any

from shoal._errors import InputError


def whole_number(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise InputError(f"`{name}` must be a whole number of at least 1; got {value!r}.")


def positive(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a finite number above 0."""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise InputError(f"`{name}` must be a finite number above 0; got {value!r}.")


def not_negative(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not math.isfinite(value) or value < 0:
        raise InputError(f"`{name}` must be a finite number of at least 0; got {value!r}.")


def fraction(name: str, value: Any) -> None:
    """Raise `InputError` unless `value` is a number in [0, 1)."""
    if not (_is_number(value) and 0 <= value < 1):
        raise InputError(f"`{name}` must be at least 0 and below 1; got {value!r}.")


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__float__")
