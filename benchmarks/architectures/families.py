"""Every recipe on two coordinates, as benchmarks/architectures/run.py trains it: builders (key, depth) -> distribution."""

from collections.abc import Callable
from typing import Any

from shoal import flows
from shoal.distributions import GaussianPadding

HIDDEN = (64, 64)


def _plain(name: str, **settings: Any) -> Callable[[Any, int], Any]:
    return lambda key, depth: getattr(flows, name)(key, 2, depth, **settings)


FAMILIES: dict[str, Callable[[Any, int], Any]] = {
    "nice": _plain("nice", hidden=HIDDEN),
    "realnvp": _plain("realnvp", hidden=HIDDEN),
    "spline": _plain("spline", hidden=HIDDEN),
    "maf": _plain("maf", hidden=HIDDEN),
    "iaf": _plain("iaf", hidden=HIDDEN),
    "nsf": _plain("nsf", hidden=HIDDEN),
    "single_coordinate": _plain("single_coordinate", hidden=HIDDEN),
    "planar": _plain("planar"),
    "radial": _plain("radial"),
    "sylvester": _plain("sylvester"),
    "householder": _plain("householder"),
    "residual": _plain("residual", hidden=HIDDEN),
    "layerwise": _plain("layerwise"),
    "ffjord": _plain("ffjord", hidden=HIDDEN),
    "anode": _plain("anode", padding=GaussianPadding(2), hidden=HIDDEN),
    "anf": _plain("anf", augment=2, hidden=HIDDEN),
}
DEPTHS: dict[str, tuple[int, ...]] = {
    "ffjord": (1,),
    "anode": (1,),
    "householder": (1, 4),
    "planar": (8, 16, 32, 64),
    "radial": (8, 16, 32, 64),
    "nice": (8, 64),
    "sylvester": (8, 16, 32, 64),
    "layerwise": (8, 16, 32, 64),
    "residual": (4, 8, 16),
    "iaf": (2, 4, 8, 16, 32),
    "single_coordinate": (2, 4, 8, 16, 32),
    "anf": (1, 2, 4, 8),
}
DEFAULT_DEPTHS = (2, 4, 8, 16)
# Settings that differ from those of benchmarks/architectures/run.py: a layer of few parameters takes larger steps, and more.
TRAINING: dict[str, dict[str, Any]] = {
    "layerwise": {"learning_rate": 5e-3, "max_epochs": 400},
    "residual": {"max_epochs": 300},
}
SECONDS: dict[str, float] = {"residual": 420.0, "ffjord": 420.0, "anode": 420.0}
