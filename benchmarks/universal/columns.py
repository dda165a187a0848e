"""Deeper constructions with 3 to 6 columns: 4, 8 and 16 layers on three targets, into results/transport-columns.json.

Each is fitted twice, with the slopes of a coordinate shared among all maps that are left for it, and with whole maps. W2 is
measured as in universal.transport. As exact transport between 1,000 points tells less the more columns there are, the
root mean square of W2 along 200 fixed directions, 4,000 points a side, stands beside it. `two`: the certified construction.
Goes on where it stopped.  python -m universal.columns [--results results]
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
from numpy.random import Generator
from resume import RESULTS, Record

from shoal.conditioning import compute
from shoal.distributions import wasserstein
from shoal.records import system_info
from shoal.theory import universal
from shoal.theory.universal._transport import changed_halves, transport
from universal.transport import POINTS, REPEATS, SEED, kappas, measured, summary

ROWS, BINS, SLICES, SHARED, EPSILON = 10_000, 16, 12, (48, 1), 0.3
LAYERS, COLUMNS, DIRECTIONS, ALONG = (4, 8, 16), (3, 6, 4), 200, 4000


def clusters(rng: Generator, rows: int, n: int) -> np.ndarray:
    """Six normals of deviation 0.25, means drawn once from N(0, 1.5^2)."""
    means = 1.5 * np.random.default_rng(7).normal(size=(6, n))
    return means[rng.integers(6, size=rows)] + 0.25 * rng.normal(size=(rows, n))


def sphere(rng: Generator, rows: int, n: int) -> np.ndarray:
    """Radius N(2, 0.1^2), direction uniform."""
    v = rng.normal(size=(rows, n))
    return v / np.linalg.norm(v, axis=1, keepdims=True) * (2 + 0.1 * rng.normal(size=(rows, 1)))


def chain(rng: Generator, rows: int, n: int) -> np.ndarray:
    """x_1 ~ N(0, 1), x_(k+1) ~ N(sin 2 x_k, 0.2^2)."""
    columns = [rng.normal(size=rows)]
    for _ in range(n - 1):
        columns.append(np.sin(2 * columns[-1]) + 0.2 * rng.normal(size=rows))
    return np.stack(columns, axis=1)


DRAWS = {f.__name__: f for f in (clusters, sphere, chain)}


def along(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square over fixed directions of W2 between the two projections."""
    w = np.random.default_rng(0).normal(size=(x.shape[1], DIRECTIONS))
    w /= np.linalg.norm(w, axis=0)
    return float(np.sqrt(np.mean((np.sort(x @ w, axis=0) - np.sort(y @ w, axis=0)) ** 2)))


def images(flow: Any, rng: Generator) -> np.ndarray:
    z = rng.standard_normal((ALONG, flow.shape[0]))
    return np.asarray(compute(lambda f, v: f.forward(v), flow, z, precision="float64"))


def row(name: str, n: int) -> dict[str, Any]:
    draw, rng = (lambda generator, rows: DRAWS[name](generator, rows, n)), np.random.default_rng(SEED)
    x, weights = draw(rng, ROWS), np.full(ROWS, 1 / ROWS)
    floor = summary([wasserstein(draw(rng, POINTS), draw(rng, POINTS)) ** 2 for _ in range(REPEATS)])
    normal = x.mean(0) + rng.standard_normal((REPEATS, POINTS, n)) @ np.linalg.cholesky(np.cov(x.T)).T
    out: dict[str, Any] = {
        "target": name,
        "columns": n,
        "floor": {**floor, "along": along(draw(rng, ALONG), draw(rng, ALONG))},
        "normal": summary([wasserstein(part, draw(rng, POINTS)) ** 2 for part in normal]),
        "changes": {str(layers): changed_halves(n, layers) for layers in LAYERS},
        "deeper": [],
    }
    made = universal.construct(x, EPSILON, key=jr.key(SEED), dtype="float64")
    c = made.certificate.conditions
    out["two"] = {
        "epsilon": EPSILON,
        "atoms": made.certificate.atoms,
        "worst_layer_cells": max(c[f"layer {i}"].cells.value for i in (1, 2)),
    }
    for layers in LAYERS:
        for shared in SHARED:
            flow = transport(x, weights, layers, bins=BINS, slices=SLICES, shared=shared, dtype="float64")
            distance = {"along": along(images(flow, rng), draw(rng, ALONG)), **measured(draw, flow, rng)}
            out["deeper"].append({"layers": layers, "shared": shared, **distance, **kappas(flow)})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    file = parser.parse_args().results / "transport-columns.json"
    config = {"rows": ROWS, "points": POINTS, "repeats": REPEATS, "bins": BINS, "slices": SLICES}
    config |= {"directions": DIRECTIONS, "points_along": ALONG}
    head = {
        "what": "kappa and W2 of constructed flows of 4, 8, 16 layers with 3 to 6 columns",
        "command": "cd benchmarks && python -m universal.columns",
        "seed": SEED,
        "versions": system_info(),
        "config": config,
        "dtype": "float64",
    }
    record = Record(file, head, {"rows": []})
    for n in COLUMNS:
        for name in DRAWS:
            if not record.has(target=name, columns=n):
                record.add(row(name, n))
                print(name, n, flush=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
