"""The shape of a latent point, given or found."""

from typing import Any

from shoal._errors import InputError


def sized(shape: tuple[int, ...] | None, found: Any, library: str) -> tuple[int, ...]:
    """The shape that was given or found. **Raises:** InputError where there is neither."""
    if shape is None and found is None:
        raise InputError(f"This {library} flow does not tell the shape of a latent point: give `shape=(n,)`.")
    return tuple(int(n) for n in (found if shape is None else shape))
