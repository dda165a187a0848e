"""The planar family on 2-D tables: likelihoods, and how exact the inverses are after training.

    python -m architectures.planar [--depths 32] [--epochs 60] [--out results/planar.json]

Three tables of 4,000 rows (moons, rings, a Gaussian mixture of eight), standardised; float64; test rows apart. For every
trained flow: nats per test row; the largest |f(f^-1(x)) - x| over test rows, |f^-1(f(z)) - z| over latents out to |z| = 8;
the same in float32; rows that did not converge (`convergence`, both sets), the most steps, and the largest error estimate.
The layers' tolerance is 1e-10, as by default. `realnvp` at eight layers is there for comparison:
one seed and one setting for all, tuned for none, so the likelihoods are no ranking.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from resume import RESULTS

from shoal.bijections import convergence
from shoal.flows import householder, planar, radial, realnvp, sylvester
from shoal.records import system_info, write_record
from shoal.training import Settings, fit

ROWS, TEST, TOLERANCE = 4000, 1000, 1e-10
RECIPES: dict[str, Any] = {
    "planar": planar,
    "radial": radial,
    "sylvester": lambda key, dim, depth: sylvester(key, dim, depth, rank=2),
    "householder": householder,
    "realnvp": lambda key, dim, depth: realnvp(key, dim, depth, hidden=(32, 32)),
}


def main() -> None:
    options = arguments()
    jax.config.update("jax_enable_x64", True)
    rows: list[dict[str, Any]] = []
    for table in ("moons", "rings", "mixture"):
        data = standardised(table)
        for name, recipe in RECIPES.items():
            depths = {"householder": [1], "realnvp": [8]}.get(name, options.depths)
            for depth in depths:
                rows.append(
                    {"table": table, "recipe": name, "depth": depth, **one(recipe, depth, data, options)}
                )
                print(
                    *(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in rows[-1].items()),
                    flush=True,
                )
                record = {
                    "script": "benchmarks/architectures/planar.py",
                    "seed": 0,
                    "epochs": options.epochs,
                    "rows": rows,
                }
                write_record({**record, "tolerance": TOLERANCE, "system": system_info()}, options.out)


def arguments() -> Any:
    parser = argparse.ArgumentParser()
    parser.add_argument("--depths", type=lambda s: [int(d) for d in s.split(",")], default=[32])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, default=RESULTS / "planar.json")
    return parser.parse_args()


def one(recipe: Any, depth: int, data: np.ndarray, options: Any) -> dict[str, Any]:
    train, validation, test = data[:ROWS], data[ROWS:-TEST], data[-TEST:]
    started = time.perf_counter()
    result = fit(
        recipe(jax.random.key(0), 2, depth),
        train,
        validation=validation,
        key=jax.random.key(1),
        settings=Settings(batch_size=256, max_epochs=options.epochs, learning_rate=5e-3, patience=None),
    )
    seconds, flow = time.perf_counter() - started, result.flow
    angle = np.random.default_rng(3).uniform(0.0, 2.0 * np.pi, 1000)
    z = np.linspace(0.0, 8.0, 1000)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    low = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, flow)
    reports = [
        *convergence(flow.bijection, jnp.asarray(test)),
        *convergence(flow.bijection, jnp.asarray(z), direction="forward"),
    ]
    return {
        "test_nats": -float(np.mean(flow.log_prob(test))),
        "status": str(result.status),
        "train_seconds": seconds,
        "data_error": worst(flow.forward(flow.inverse(test)), test),
        "latent_error": worst(flow.inverse(flow.forward(z)), z),
        "float32_data_error": worst(low.forward(low.inverse(test)), test),
        "float32_latent_error": worst(low.inverse(low.forward(z)), z),
        "failed": sum(r.failed for r in reports),
        "most_steps": max((r.steps for r in reports), default=0),
        "error_estimate": max((r.error for r in reports), default=0.0),
        "least_singular_value": least(flow, z),
    }


def worst(got: Any, want: np.ndarray) -> float:
    return float(np.max(np.abs(np.asarray(got, np.float64) - want)))


def least(flow: Any, z: np.ndarray) -> float:
    jacobians = jax.jit(jax.vmap(jax.jacfwd(flow.bijection.forward)))(jnp.asarray(z))
    return float(np.min(np.linalg.svd(np.asarray(jacobians), compute_uv=False)))


def standardised(table: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    n = ROWS + 2 * TEST
    if table == "mixture":
        centre = 2.0 * np.pi * rng.integers(0, 8, n) / 8
        x = 3.0 * np.column_stack([np.cos(centre), np.sin(centre)]) + 0.3 * rng.normal(size=(n, 2))
    elif table == "rings":
        radius, angle = rng.choice([1.0, 2.5], n) + 0.1 * rng.normal(size=n), rng.uniform(0, 2 * np.pi, n)
        x = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        half, angle = rng.integers(0, 2, n), rng.uniform(0, np.pi, n)
        x = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(half, -1.0, 1.0)[:, None]
        x = x + half[:, None] * np.array([1.0, 0.5]) + 0.1 * rng.normal(size=(n, 2))
    return (x - x.mean(axis=0)) / x.std(axis=0)


if __name__ == "__main__":
    main()
