"""The modules of benchmarks/tables, imported as the benchmark's own commands do it."""

from importlib import import_module
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def bench() -> dict[str, ModuleType]:
    """By name."""
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
    return {name: import_module(f"tables.{name}") for name in names}
