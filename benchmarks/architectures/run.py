"""Every recipe on two-dimensional targets: the depth at which it comes within 0.1 nats of the best, and what that costs.

    python -m architectures.run [--targets moons,four-gaussians,pinwheel] [--families ...] [--seconds 60]

8,000 training rows, 2,000 validation rows (best weights), 10,000 test rows, standardised; Adam, cosine decay, batches of
256, at most 100 epochs or `--seconds` of training a flow, whichever ends first (`families.py` names the families with other
steps or seconds). A family climbs its depths until it is
within `NEAR` of the best test log-likelihood that any family before it had, or is at its last. Condition numbers are those
of latent -> data at 500 test points, exact; the round trip is the largest |x -> z -> x| in float32, and |z -> x -> z| at
|z| = 8. The file is written after every flow, and the run goes on where it was. The last flow of every family on the
pinwheel is drawn: its density, and 2,000 samples.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from PIL import Image
from resume import RESULTS, ROOT, Record
from targets import TARGETS

from shoal.bijections import convergence
from shoal.conditioning import spectrum
from shoal.distributions import Flow
from shoal.records import system_info, to_plain
from shoal.training import Settings, fit

from .families import DEFAULT_DEPTHS, DEPTHS, FAMILIES, HIDDEN, SECONDS, TRAINING
from .parameters import parameters_per_layer

SEED, NEAR, BATCH, RATE, EPOCHS = 0, 0.1, 256, 2e-3, 100
ROWS = (8_000, 2_000, 10_000)
PACKAGES = ("shoal", "numpy", "jax", "jaxlib", "equinox", "optax", "diffrax", "optimistix")


def parts(target: str) -> list[np.ndarray]:
    """Train, validation and test rows in units of the training part's deviation."""
    rng = np.random.default_rng(SEED)
    made = [TARGETS[target](rng, rows) for rows in ROWS]
    mean, deviation = made[0].mean(0), made[0].std(0)
    return [((x - mean) / deviation).astype(np.float32) for x in made]


def likelihood(model: Any, x: np.ndarray) -> tuple[float, str]:
    """Mean test log-likelihood in nats, and its kind: exact, or importance-weighted where there is no density."""
    return float(np.mean(densities(model, x))), "exact" if isinstance(model, Flow) else "estimate"


def densities(model: Any, x: np.ndarray) -> np.ndarray:
    """log p at rows."""
    if isinstance(model, Flow):
        return np.asarray(model.log_prob(x), np.float64)
    return np.asarray(model.log_prob_estimate(jr.key(5), x, samples=64).value, np.float64)


def picture(model: Any, path: Path) -> None:
    """The density on [-3, 3]^2, and samples beside it."""
    size, zoom = 128, 2
    axis = np.linspace(-3.0, 3.0, size, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis[::-1]), axis=-1).reshape(-1, 2)
    density = np.exp(np.nan_to_num(densities(model, grid), nan=-np.inf)).reshape(size, size)
    left = 255 * np.clip(density / np.quantile(density, 0.995), 0.0, 1.0) ** 0.5
    samples = np.asarray(model.sample(jr.key(3), 2_000))
    places = np.round((np.nan_to_num(samples, nan=9.0) + 3.0) / 6.0 * (zoom * size - 1)).astype(int)
    places = places[np.all((places >= 0) & (places < zoom * size), axis=1)]
    right = np.zeros((zoom * size, zoom * size))
    right[zoom * size - 1 - places[:, 1], places[:, 0]] = 255.0
    between = np.full((zoom * size, 4), 110.0)
    both = np.concatenate([np.kron(left, np.ones((zoom, zoom))), between, right], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(255 - both)).save(path, optimize=True)


def conditions(model: Any, x: np.ndarray) -> dict[str, float]:
    """κ of the map (of the joint map where coordinates are added), round trip and convergence at test points."""
    flow = model if isinstance(model, Flow) else model.joint
    points = x[:500]
    if flow.shape[0] > x.shape[1]:
        extra = np.random.default_rng(1).normal(size=(len(points), flow.shape[0] - x.shape[1]))
        points = np.concatenate([points, extra.astype(np.float32)], axis=1)
    kappa = spectrum(flow.to_map(), points, dense=True).condition_numbers
    z = flow.to_latent(points)
    back = np.asarray(flow.to_data(z))
    tail = 8.0 * z / jnp.linalg.norm(z, axis=1, keepdims=True)
    there = np.asarray(flow.to_latent(flow.to_data(tail)))
    solved = (
        *convergence(flow.bijection, jnp.asarray(points)),
        *convergence(flow.bijection, tail, None, "forward"),
    )
    return {
        "kappa_median": float(np.median(kappa)),
        "kappa_99": float(np.quantile(kappa, 0.99)),
        "round_trip": float(np.max(np.abs(back - points))),
        "round_trip_8_sigma": float(np.max(np.abs(there - tail))),
        "not_converged": int(sum(c.failed for c in solved)),
    }


def allowed_of(family: str, seconds: float) -> dict[str, Any]:
    """Learning rate, epochs and time limit of a family."""
    return {
        "learning_rate": RATE,
        "max_epochs": EPOCHS,
        "time_limit": SECONDS.get(family, seconds),
        **TRAINING.get(family, {}),
    }


def cut_short(row: dict[str, Any], allowed: dict[str, Any]) -> bool:
    """A row that reached its limit of epochs or of time, where more is allowed now."""
    before = row["allowed"]
    full = row["epochs"] >= before["max_epochs"]
    return (full and allowed["max_epochs"] > before["max_epochs"]) or (
        not full and allowed["time_limit"] > before["time_limit"]
    )


def row_of(
    family: str, target: str, depth: int, data: list[np.ndarray], seconds: float
) -> tuple[dict[str, Any], Any]:
    """One flow, trained and measured."""
    train, validation, test = data
    model, started = FAMILIES[family](jr.key(SEED), depth), time.perf_counter()
    made = fit(
        model,
        train,
        key=jr.key(SEED + 1),
        validation=validation,
        settings=Settings(batch_size=BATCH, patience=None, **allowed_of(family, seconds)),
    )
    spent = time.perf_counter() - started
    value, kind = likelihood(made.flow, test)
    inner = made.flow if isinstance(made.flow, Flow) else made.flow.joint
    p = parameters_per_layer(inner.bijection)
    row = to_plain(
        {
            "family": family,
            "target": target,
            "depth": depth,
            "log_likelihood": value,
            "kind": kind,
            "allowed": allowed_of(family, seconds),
            "status": str(made.status),
            "epochs": len(made.history),
            "seconds": spent,
            "parameters_per_layer": max(p),
            **conditions(made.flow, test),
        }
    )
    return row, made.flow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default="moons,four-gaussians,pinwheel")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--out", default=RESULTS / "architectures.json")
    parser.add_argument("--pictures", default=str(ROOT / "docs" / "images" / "architectures"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    head: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m architectures.run",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {
            "rows": list(ROWS),
            "batch": BATCH,
            "learning_rate": RATE,
            "epochs": EPOCHS,
            "seconds": options.seconds,
            "near": NEAR,
            "hidden": list(HIDDEN),
            "dtype": "float32",
        },
    }
    record = Record(options.out, head, {"rows": []}, fresh=options.fresh)
    first = ("spline", "realnvp")  # the best are known early, so that the others know when to stop
    families = sorted(options.families.split(","), key=lambda f: first.index(f) if f in first else len(first))
    for target in options.targets.split(","):
        data = parts(target)
        for family in families:
            depths = DEPTHS.get(family, DEFAULT_DEPTHS)
            for depth in depths:
                here = [r for r in record.rows if r["target"] == target]
                best = max((r["log_likelihood"] for r in here), default=-np.inf)
                mine = [r for r in here if r["family"] == family]
                if family not in first and any(r["log_likelihood"] > best - NEAR for r in mine):
                    break
                old = [r for r in mine if r["depth"] == depth]
                # what fell short is tried once more where it may take longer now, at the last depth only
                again = (
                    depth == depths[-1] and cut_short(old[0], allowed_of(family, options.seconds))
                    if old
                    else True
                )
                if not again:
                    continue
                row, model = row_of(family, target, depth, data, options.seconds)
                if target == "pinwheel":
                    picture(model, Path(options.pictures) / f"{family}.png")
                record.save(rows=[*(r for r in record.rows if r not in old), row])
                print({k: (round(v, 4) if isinstance(v, float) else v) for k, v in row.items()}, flush=True)


if __name__ == "__main__":
    main()
