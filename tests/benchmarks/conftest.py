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
        "process",
        "arms",
        "arms.gaussian",
        "arms.kde",
        "arms.mixture",
        "arms._rounds",
        "mixed",
        "mixed_rows",
        "mixed_measures",
        "mixed_run",
        "arms._margins",
        "arms.latent_class",
        "arms.coded_mixture",
        "arms.forest",
        "arms.shoal_table",
    )
    return {name: import_module(f"tables.{name}") for name in names}
