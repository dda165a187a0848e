"""The arms of the leaderboard: what each is called and the file that trains it.

A file has `train(rows, budget, seed)` or, where it holds several arms, makes one by name. It gives an `Estimate`. Files are
imported in the process that trains, so that no arm carries another's libraries.
"""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from ._base import Estimate

__all__ = ["ARMS", "MIXED", "Estimate", "module", "trained"]

# Cheap ones first: the runner goes through them in this order.
ARMS = {
    "gaussian": "gaussian",
    "mixture": "mixture",
    "kde": "kde",
    "vine": "vine",
    "zuko-nsf": "zuko_flows",
    "zuko-maf": "zuko_flows",
    "flowjax-nsf": "flowjax_flows",
    "sbi": "sbi_marginal",
    "shoal": "shoal_ladder",
}

# The arms of mixed tables: `train(columns, rows, budget, seed)` gives a `MixedEstimate`.
MIXED = {
    "rows": "rows_again",
    "independent": "mixed_independent",
    "latent": "latent_class",
    "mixture": "coded_mixture",
    "arf": "forest",
    "shoal": "shoal_table",
}


def module(arm: str, files: Mapping[str, str] = ARMS) -> ModuleType:
    """The file of an arm."""
    return import_module(f"{__name__}.{files[arm]}")


def trained(arm: str, rows, budget: float, seed: int) -> Estimate:
    """The arm, trained on rows within a budget of processor seconds."""
    return module(arm).train(arm, rows, budget, seed)
