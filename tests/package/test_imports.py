"""What an import loads, and what it costs. Every measurement is made in a fresh interpreter."""

import json
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

import pytest

NO_JAX = ["jax", "jaxlib", "equinox", "jaxtyping", "optax"]
HEAVY = [*NO_JAX, "numpy", "scipy", "polars", "altair"]


def fresh(code: str) -> str:
    """Runs code in a fresh interpreter, in the environment of this one; its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str) -> set[str]:
    """The top-level modules that are loaded after running code."""
    listing = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    return set(json.loads(fresh(f"{code}\n{listing}")))


def extra_seconds(command: list[str], repeats: int = 7) -> float:
    """The least time of command beyond that of bare Python, over interleaved repeats."""
    bare, full = [], []
    for _ in range(repeats):
        for arguments, times in (([sys.executable, "-c", "pass"], bare), (command, full)):
            start = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    return min(full) - min(bare)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("shoal", HEAVY),
        ("shoal.theory", HEAVY),
        ("shoal.theory.linear", NO_JAX),
        ("shoal.cli", ["jax", "polars", "altair"]),
        ("shoal.records", HEAVY),
        ("shoal.tables", NO_JAX),
        ("shoal.report", NO_JAX),
        ("shoal._errors", HEAVY),
    ],
)
def test_loads_nothing_heavy(module: str, absent: list[str]) -> None:
    assert loaded(f"import {module}").isdisjoint(absent)


@pytest.mark.long
def test_import_takes_less_than_a_tenth_of_a_second() -> None:
    assert extra_seconds([sys.executable, "-c", "import shoal"]) < 0.1


@pytest.mark.long
def test_help_takes_less_than_six_tenths_of_a_second() -> None:
    assert extra_seconds([str(Path(sys.executable).with_name("shoal")), "--help"]) < 0.6


def test_every_name_of_the_root_loads_without_scikit_learn_but_the_estimator() -> None:
    """An entry None in `sys.modules` is a module that can not be imported."""
    functions = {"FlowDensity", "advise", "audit", "ladder", "load", "register", "save"}
    packages = {"bijections", "conditioning", "distributions", "flows", "training", "selection"}
    packages |= {
        "adapters",
        "advice",
        "export",
        "hardness",
        "remedies",
        "linear",
        "tables",
        "records",
        "report",
        "theory",
    }
    packages |= {"universal"}
    code = """import json, sys
sys.modules["sklearn"] = None
import shoal
from shoal import *
needing = ("FlowDensity", "estimators")
print(json.dumps({name: type(getattr(shoal, name)).__name__ for name in dir(shoal) if name not in needing}))
try:
    shoal.FlowDensity
except ImportError as error:
    print(error.name, error)
del sys.modules["sklearn"]
print(type(shoal.FlowDensity).__name__, type(shoal.estimators).__name__, sorted({*needing} - {*dir(shoal)}))"""
    listed, told, mended = fresh(code).splitlines()
    names = json.loads(listed)
    assert {name for name, kind in names.items() if kind == "module"} == packages
    assert {name for name, kind in names.items() if kind != "module"} == functions - {"FlowDensity"}
    assert told == 'sklearn `shoal.FlowDensity` needs scikit-learn: run `pip install "shoal[sklearn]"`.'
    assert mended == "type module []"


def test_unknown_root_name_is_an_attribute_error() -> None:
    import shoal

    with pytest.raises(AttributeError, match="No shoal attribute flow"):
        _ = shoal.flow  # pyright: ignore[reportAttributeAccessIssue]  (the misspelling is the test)


def test_version_is_the_installed_one() -> None:
    import shoal

    assert shoal.__version__ == distribution("shoal").version
