"""What all adapters share: the single layers of nested maps, the shape of a latent point, and the words on wrong objects."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from shoal._errors import InputError

T = TypeVar("T")


def singles(
    whole: T,
    inverted_of: Callable[[T], T | None],
    parts_of: Callable[[T], Sequence[T] | None],
    inverted: bool = False,
) -> list[tuple[T, bool]]:
    """The single maps that a map is made of, in the order in which it lists them, and whether each is inverted.

    **Arguments:** `inverted_of`: the map whose inverse a map is; `parts_of`: what a composition is made of; both None for
    other maps.
    """
    inner = inverted_of(whole)
    if inner is not None:
        return singles(inner, inverted_of, parts_of, not inverted)
    parts = parts_of(whole)
    if parts is None:
        return [(whole, inverted)]
    order = parts[::-1] if inverted else parts
    return [pair for part in order for pair in singles(part, inverted_of, parts_of, inverted)]


def sized(shape: tuple[int, ...] | None, found: Sequence[int] | None, library: str) -> tuple[int, ...]:
    """The shape that was given or found. **Raises:** InputError where there is neither."""
    if shape is None and found is None:
        raise InputError(f"This {library} flow does not tell the shape of a latent point: give `shape=(n,)`.")
    return tuple(int(n) for n in (found if shape is None else shape) or ())


def wrong_kind(given: object, wanted: str) -> InputError:
    """The error for an object of another kind."""
    kind = type(given)
    return InputError(f"`adapters.to_map` takes {wanted}; got {kind.__module__}.{kind.__name__}.")
