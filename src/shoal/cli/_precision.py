"""JAX's 64-bit switch, which a program may set for itself as a library may not."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def float64(on: bool) -> Iterator[None]:
    """Switches float64 on, in every thread, for the length of the scope; does nothing unless `on`."""
    if not on:
        yield
        return
    import jax  # here and not above: `shoal --help` must not wait for it

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
