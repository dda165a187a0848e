"""What every test relies on: annotations checked while running, and float64 only within a scope.

`shoal` is imported under jaxtyping's hook, so that beartype checks types and shapes wherever annotated.
Tests run in float32, JAX's default; those that need float64 ask for the fixture `x64` or, for both, `dtype`.
Each process of the suite, and each that a test starts, computes in one thread: they share the cores already. XLA optimises
little, as most programs run once, and compiles each in one piece, without its emitters of fused loops, which takes a quarter
to a third off; `make test-long` compiles as users do, and runs the laws so too, and has the combinations of parameters that
the quick suite leaves out.
"""

import gc
import importlib.util
import os
import resource
import signal
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
# bayesflow sets it, but not every test that loads Keras loads that first.
os.environ.setdefault("KERAS_BACKEND", "jax")

# Scalars and 2 x 2 blocks, in calls or closures made up to millions of times: checking annotations there would be most of
# the time of their tests.
_UNCHECKED = {
    "shoal.theory.linear._product_equations",
    "shoal.theory.hardness._minimum_depth",
    "shoal.records._json",
    "shoal.report._numbers",
}


def _checked() -> list[str]:
    """Every module of the package but those, found without importing any."""
    spec = importlib.util.find_spec("shoal")
    assert spec is not None
    assert spec.submodule_search_locations
    (root,) = map(Path, spec.submodule_search_locations)
    paths = [path.relative_to(root).with_suffix("") for path in root.rglob("*.py") if path.stem != "__init__"]
    names = {".".join(("shoal", *path.parts)) for path in paths}
    assert names >= _UNCHECKED
    return sorted(names - _UNCHECKED)


# Stays for the whole session: sub-packages load lazily, at their first use in a test.
install_import_hook(_checked(), "beartype.beartype")

# A suite that was started in the background of a script ignores Ctrl-C, and so do its children; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported and collected is alive to the end, and Python's collector would walk through it at every turn: a
# twelfth of the processor time of tests that trace programs.
gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test over a product of parameters the quick suite has enough for each value to occur; the rest is long.

    A test over one list of cases keeps all of them. The order in which combinations are looked at is arbitrary but fixed.
    """
    products = defaultdict[str, list[tuple[pytest.Item, set[tuple[int, str]]]]](list)
    for item in items:
        words: Sequence[str] = getattr(getattr(item, "callspec", None), "_idlist", ())
        values = set(enumerate(words))
        if len(values) > 1 and item.get_closest_marker("long") is None:
            products[item.nodeid.partition("[")[0]].append((item, values))
    for combinations in products.values():
        seen = set[tuple[int, str]]()
        for item, values in sorted(combinations, key=lambda pair: zlib.crc32(pair[0].nodeid.encode())):
            if values <= seen:
                item.add_marker(pytest.mark.long)
            seen |= values


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def _processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_BEGAN] = _processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "teardown":  # a process of xdist sends it to the one that prints
        report.user_properties.append(("processor seconds", _processor_seconds() - item.stash[_BEGAN]))
    return report


_BEGAN = pytest.StashKey[float]()
_FOLDERS: dict[str, list[float]] = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        folder = "/".join(report.nodeid.split("::")[0].split("/")[:2])
        seconds = dict(report.user_properties)["processor seconds"]
        assert isinstance(seconds, float)
        _FOLDERS[folder].append(seconds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("processor seconds of each folder")
    for folder, seconds in sorted(_FOLDERS.items(), key=lambda item: -sum(item[1])):
        terminalreporter.write_line(f"{sum(seconds):8.1f}  {folder} ({len(seconds)} tests)")


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


@pytest.fixture(scope="module")
def unprofiled() -> Iterator[None]:
    """The ladder does not measure the layers of what it delivers: half of the programs of a small fit, and no claim of the
    tests that ask for this. `tests/selection/test_measure.py` and `tests/cli/test_whole_tables.py` have the profile.
    """
    from shoal.records.fit import LayersRecord
    from shoal.selection import _ladder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ladder, "layer_record", lambda *_, **__: LayersRecord(note="Not measured: a test."))
        yield


@pytest.fixture(autouse=True)
def _no_global_float64() -> Iterator[None]:
    """No code under test flips JAX's global precision: float32 is the default again after every test."""
    yield
    if "jax" in sys.modules:
        assert not sys.modules["jax"].config.jax_enable_x64, "a test left JAX's global float64 switch on"


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_do_not_pile_up() -> Iterator[None]:
    """Forgets what has been compiled where there is much of it, after the last test of a file."""
    yield
    if "jax" in sys.modules:
        from shoal._compiling import make_room

        make_room(30_000)  # the next file shares few programs
