"""Depth against conditioning for constructed flows: 2, 4, 8 and 16 layers on five targets, into results/transport.json.

Two layers (Theorem D) at several epsilon, deeper ones at the resolutions that `construct` tries. Every W2 is measured in
the same way: exact transport between 1,000 points of the flow and 1,000 fresh points of the target, 16 times. Goes on where
it stopped.  python -m universal.transport [--results results]
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from resume import RESULTS, Record
from targets import TARGETS, eight_gaussians, rings

from shoal.conditioning import compute
from shoal.distributions import Flow, wasserstein
from shoal.records import system_info
from shoal.theory import universal
from shoal.theory.universal._transport import RESOLUTIONS, _conditions, transport

DRAWS = {
    **{name: TARGETS[name] for name in ("checkerboard", "moons", "pinwheel")},
    "rings": rings,
    "eight-gaussians": eight_gaussians,
}
ROWS, POINTS, REPEATS, SEED = 20_000, 1000, 16, 20261126
EPSILONS = (0.6, 0.45, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)


def measured(draw: Any, flow: Any, rng: np.random.Generator) -> dict[str, float]:
    z = rng.standard_normal((REPEATS, POINTS, flow.shape[0]))
    squares = []
    for part in z:
        x = np.asarray(compute(lambda f, v: f.forward(v), flow, part, precision="float64"))
        squares.append(wasserstein(x, draw(rng, POINTS)) ** 2)
    return summary(squares)


def summary(squares: list[float]) -> dict[str, float]:
    mean, error = float(np.mean(squares)), float(np.std(squares, ddof=1) / len(squares) ** 0.5)
    return {
        "w2": mean**0.5,
        "low": max(mean - 2.576 * error, 0.0) ** 0.5,
        "high": (mean + 2.576 * error) ** 0.5,
    }


def kappas(flow: Flow) -> dict[str, float]:
    found = _conditions(flow, SEED)
    couplings = [v for k, v in found.items() if k != "composition"]
    return {
        "worst_layer_at99": max(a.value for a, _ in couplings),
        "worst_layer_largest": max(b.value for _, b in couplings),
        "composition_at99": found["composition"][0].value,
        "composition_largest": found["composition"][1].value,
    }


def row(name: str) -> dict[str, Any]:
    draw, rng = DRAWS[name], np.random.default_rng(SEED)
    x = draw(rng, ROWS)
    weights = np.full(ROWS, 1 / ROWS)
    floor = summary([wasserstein(draw(rng, POINTS), draw(rng, POINTS)) ** 2 for _ in range(REPEATS)])
    out: dict[str, Any] = {"target": name, "floor": floor, "two": [], "deeper": []}
    for epsilon in EPSILONS:
        made = universal.construct(x, epsilon, key=jr.key(SEED), dtype="float64")
        c = made.certificate.conditions
        out["two"].append(
            {
                "epsilon": epsilon,
                **measured(draw, made.flow, rng),
                "atoms": made.certificate.atoms,
                "worst_layer_at99": max(c[f"layer {i}"].at99.value for i in (1, 2)),
                "worst_layer_largest": max(c[f"layer {i}"].largest.value for i in (1, 2)),
                "composition_at99": c["composition"].at99.value,
                "composition_largest": c["composition"].largest.value,
            }
        )
    for layers in (4, 8, 16):
        for bins, slices, shared in RESOLUTIONS:
            flow = transport(x, weights, layers, bins=bins, slices=slices, shared=shared, dtype="float64")
            out["deeper"].append(
                {
                    "layers": layers,
                    "bins": bins,
                    "slices": slices,
                    **measured(draw, flow, rng),
                    **kappas(flow),
                }
            )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    file = parser.parse_args().results / "transport.json"
    config = {"rows": ROWS, "points": POINTS, "repeats": REPEATS, "epsilons": list(EPSILONS)}
    head = {
        "what": "kappa and W2 of constructed flows of 2, 4, 8, 16 layers",
        "command": "cd benchmarks && python -m universal.transport",
        "seed": SEED,
        "versions": system_info(),
        "config": config,
        "dtype": "float64",
    }
    record = Record(file, head, {"rows": []})
    for name in DRAWS:
        if not record.has(target=name):
            record.add(row(name))
            print(name, flush=True)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    assert jnp.zeros(()).dtype == jnp.float64
    main()
