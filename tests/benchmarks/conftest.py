"""The modules of benchmarks/tables, imported as the benchmark's own commands do it."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def bench() -> Iterator[dict[str, ModuleType]]:
    """By name."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    names = (
        "tables",
        "prepare",
        "known",
        "results",
        "run",
        "arms",
        "arms.gaussian",
        "arms.kde",
        "arms.mixture",
        "arms._rounds",
    )
    try:
        yield {name: import_module(f"tables.{name}") for name in names}
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
