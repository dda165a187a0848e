"""What every test relies on: annotations checked while running, and float64 only within a scope.

`shoal` is imported under jaxtyping's hook, so that beartype checks types and shapes wherever annotated.
Tests run in float32, JAX's default; those that need float64 ask for the fixture `x64` or, for both, `dtype`.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Stays for the whole session: sub-packages load lazily, at their first use in a test.
install_import_hook("shoal", "beartype.beartype")

# A suite that was started in the background of a script ignores Ctrl-C, and so do its children; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("shoal", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("shoal")


@contextmanager
def _strict() -> Iterator[None]:
    import jax

    with ExitStack() as stack:
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        yield


@pytest.fixture
def strict() -> Callable[[], AbstractContextManager[None]]:
    """`with strict():` around calls of our own code: no silent change of dtype, no silent change of rank."""
    return _strict


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 for one test, by the scoped switch."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test in float32 and again in float64; the value is the name of the dtype."""
    import jax

    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switches the annotations' check off, as it is for users: for tests of a function's own words on bad input."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _no_global_float64() -> Iterator[None]:
    """No code under test flips JAX's global precision: float32 is the default again after every test."""
    yield
    if "jax" in sys.modules:
        assert not sys.modules["jax"].config.jax_enable_x64, "a test left JAX's global float64 switch on"
