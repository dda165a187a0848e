"""Depth bounds of `shoal.hardness.minimum_depth`: where they say something, where they do not, and what limits them.

    python -m hardness.bounds [--out results/depth-bounds.json]

`depth` is of a packing of instances, of which at least 1 - delta are left; `drawn` of one instance drawn by lot, with the
stated confidence. Two distances: the theorem's own, radius / sqrt(5), and one deviation, gamma sqrt(d). Families: planar
(2d + 1 parameters a layer), layerwise of rank 1 (4d), additive couplings of width 16, and RealNVP by `hardness.coupling`
with the constants of `COUPLING`.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shoal.records import system_info, to_plain, write_record
from shoal.theory.hardness import (
    Architecture,
    InstanceFamily,
    additive,
    coupling,
    layerwise,
    minimum_depth,
    planar,
)

ROOT = Path(__file__).resolve().parents[2]
MODES = (100, 1_000, 10_000)
DIMENSIONS = (32, 64, 128, 256, 512, 1024)
RADIUS, DELTA, CONFIDENCE = 2.0, 0.5, 0.99
COUPLING = {"width": 16, "lipschitz": 3.0, "parameter_lipschitz": 8.0, "offset": 10.0}


def realnvp(dim: int, *, radius: float = RADIUS) -> Architecture:
    """Affine couplings, by constants that are assumed: none hold on all of R^d.

    p is that of two networks, log-scale and shift, of one hidden layer of `width`: 2 (2 width h + width + h), h = d / 2.
    """
    half, width = -(-dim // 2), int(COUPLING["width"])
    constants = {k: v for k, v in COUPLING.items() if k != "width"}
    return coupling(dim, parameters=2 * (2 * width * half + width + half), radius=radius, **constants)


FAMILIES: dict[str, Callable[..., Architecture]] = {
    "planar": planar,
    "layerwise": layerwise,
    "additive": additive,
    "realnvp": realnvp,
}


def distance(kind: str, d: int) -> float | None:
    """The W1 distance of a row; None is the default of `InstanceFamily`, radius / sqrt(5)."""
    return None if kind == "radius / sqrt(5)" else math.sqrt(d)


KINDS = ("radius / sqrt(5)", "gamma sqrt(d)")


def row(name: str, d: int, k: int, kind: str) -> dict[str, Any]:
    """One setting with its bound."""
    architecture = FAMILIES[name](d, radius=RADIUS)
    found = minimum_depth(architecture, InstanceFamily(k, d, distance=distance(kind, d)), DELTA, CONFIDENCE)
    return {
        "family": name,
        "d": d,
        "k": k,
        "distance_kind": kind,
        "parameters": architecture.parameters,
        "k_by_p": k / architecture.parameters,
        **asdict(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "results" / "depth-bounds.json"))
    options = parser.parse_args()
    started = time.perf_counter()
    rows = [row(n, d, k, kind) for n in FAMILIES for kind in KINDS for k in MODES for d in DIMENSIONS]
    config = {
        "delta": DELTA,
        "confidence": CONFIDENCE,
        "radius": RADIUS,
        "coupling": COUPLING,
        "gamma": 1.0,
        "instance_radius": "10 sqrt(d)",
    }
    record = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m hardness.bounds",
        "seed": None,
        "config": config,
        "rows": rows,
        "kinds": {
            "depth": "lower_bound",
            "drawn": "lower_bound",
            "kl_to_flow": "lower_bound",
            "kl_from_flow": "lower_bound",
        },
        "status": "done",
        "seconds": time.perf_counter() - started,
        "versions": system_info(("shoal", "numpy", "scipy")),
    }
    write_record(to_plain(record), options.out)
    print(
        sum(not r["vacuous"] for r in rows), "of", len(rows), "say something;", round(record["seconds"]), "s"
    )


if __name__ == "__main__":
    main()
