"""float32 flows on an accelerator: what the precision of products costs and saves, and the time of a training step.

    python -m speed.accelerator [--out results/accelerator.json]

Each family at random parameters: error of latent -> data -> latent, |log-det there + log-det back|, and the distance of
the log-det to a CPU's, with the products as Shoal writes them (every digit) and with JAX's default of the device. The same
for two flows of FlowJAX, where it is installed, as a user gets them and under `jax.default_matmul_precision("highest")`.
Largest of 512 rows; rows that are NaN are counted. Without an accelerator all rows are a CPU's and the record says so.
"""

import argparse
import contextlib
import importlib
import importlib.util
import pkgutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import shoal.bijections
from shoal import flows
from shoal.records import system_info, to_plain, write_record

ROOT = Path(__file__).resolve().parents[2]
ROWS, SEED, STEPS = 512, 0, 20
FAMILIES: dict[str, Callable[[Any], Any]] = {
    "nice, 8 columns, 8 layers": lambda k: flows.nice(k, 8, 8, hidden=(64, 64)),
    "realnvp, 8 columns, 8 layers": lambda k: flows.realnvp(k, 8, 8, hidden=(64, 64)),
    "realnvp, 64 columns, 8 layers": lambda k: flows.realnvp(k, 64, 8, hidden=(256, 256)),
    "spline, 8 columns, 4 layers": lambda k: flows.spline(k, 8, 4, hidden=(64, 64)),
    "maf, 8 columns, 4 layers": lambda k: flows.maf(k, 8, 4, hidden=(64,)),
    "planar, 8 columns, 8 layers": lambda k: flows.planar(k, 8, 8),
    "residual, 8 columns, 4 layers": lambda k: flows.residual(k, 8, 4),
    "layerwise, 8 columns, 8 layers": lambda k: flows.layerwise(k, 8, 8),
}
TRAINED = {
    "realnvp, 8 columns, 8 layers of 32, batch 512": (lambda k: flows.realnvp(k, 8, 8, hidden=(32,)), 512),
    "realnvp, 8 columns, 32 layers of 32, batch 512": (lambda k: flows.realnvp(k, 8, 32, hidden=(32,)), 512),
    "realnvp, 64 columns, 8 layers of 512 x 512, batch 4096": (
        lambda k: flows.realnvp(k, 64, 8, hidden=(512, 512)),
        4096,
    ),
}


@contextlib.contextmanager
def plain_products() -> Iterator[None]:
    """Shoal's products as plain ones, at the precision that the device has by default."""
    found = []
    for info in pkgutil.iter_modules(shoal.bijections.__path__, "shoal.bijections."):
        module: Any = importlib.import_module(info.name)
        if hasattr(module, "matmul"):
            found.append((module, module.matmul))
            module.matmul = jnp.matmul
    try:
        yield
    finally:
        for module, kept in found:
            module.matmul = kept


def drawn(module: Any, scale: float = 0.3) -> Any:
    """The module with noise of deviation scale / sqrt(last axis) on every array of floats."""
    arrays, static = eqx.partition(module, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(SEED + 1), len(leaves))
    moved = [
        a + scale * jr.normal(k, a.shape, a.dtype) / max(a.shape[-1] if a.ndim else 1, 1) ** 0.5
        for a, k in zip(leaves, keys, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(tree, moved), static)


def on(device: Any, tree: Any) -> Any:
    """The arrays of a tree on a device."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, device), static)


def there_and_back(there: Callable, back: Callable, module: Any, dim: int, device: Any) -> dict[str, Any]:
    """z, log-det of x = f(z), z again, log-det of it: as float64 arrays."""
    z = jr.normal(jr.key(SEED + 2), (ROWS, dim))

    def both(module: Any, z: Any) -> Any:
        x, log_det = jax.vmap(lambda v: there(module, v))(z)
        again, other = jax.vmap(lambda v: back(module, v))(x)
        return log_det, again, other

    with jax.default_device(device):
        log_det, again, other = eqx.filter_jit(both)(on(device, module), on(device, z))
    arrays = (np.asarray(a, np.float64) for a in (z, log_det, again, other))
    return dict(zip(("z", "log_det", "again", "other"), arrays, strict=True))


def errors(found: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """The largest errors over the rows that are finite, and how many are not."""
    bad = ~np.isfinite(found["again"]).all(axis=1) | ~np.isfinite(found["other"])
    good = ~bad
    if not good.any():
        return {"rows_not_finite": int(bad.sum())}
    return {
        "round_trip": float(np.abs(found["again"] - found["z"])[good].max()),
        "cancel": float(np.abs(found["log_det"] + found["other"])[good].max()),
        "log_det": float(np.abs(found["log_det"] - reference["log_det"])[good].max()),
        "rows_not_finite": int(bad.sum()),
    }


def family(name: str, device: Any, cpu: Any) -> dict[str, Any]:
    """One family, both ways."""
    bijection = drawn(FAMILIES[name](jr.key(SEED)).bijection)
    dim = bijection.shape[0]

    def measured(where: Any) -> dict[str, Any]:
        there, back = (lambda f, v: f.forward_and_log_det(v)), (lambda f, v: f.inverse_and_log_det(v))
        return there_and_back(there, back, bijection, dim, where)

    reference = measured(cpu)
    full = errors(measured(device), reference)
    with plain_products():
        default = errors(measured(device), reference)
    return {"name": name, "cpu": errors(reference, reference), "full": full, "default": default}


def foreign_there(flow: Any, z: Any) -> Any:
    """FlowJAX's name for it."""
    return flow.bijection.transform_and_log_det(z)


def foreign_back(flow: Any, x: Any) -> Any:
    """FlowJAX's name for it."""
    return flow.bijection.inverse_and_log_det(x)


def flowjax(device: Any, cpu: Any) -> list[dict[str, Any]]:
    """Two flows of FlowJAX under both settings of JAX."""
    if importlib.util.find_spec("flowjax") is None:
        return []
    made: Any = importlib.import_module("flowjax.flows")
    base: Any = importlib.import_module("flowjax.distributions").StandardNormal((8,))
    rows = []
    for name in ("coupling_flow", "masked_autoregressive_flow"):
        flow = drawn(getattr(made, name)(jr.key(SEED), base_dist=base, flow_layers=4, invert=False))
        reference = there_and_back(foreign_there, foreign_back, flow, 8, cpu)
        row = {"name": f"flowjax {name}, 8 columns, 4 layers", "cpu": errors(reference, reference)}
        for setting, precision in (("default", None), ("full", "highest")):
            with jax.default_matmul_precision(precision) if precision else contextlib.nullcontext():
                found = there_and_back(foreign_there, foreign_back, flow, 8, device)
                row[setting] = errors(found, reference)
        rows.append(row)
    return rows


def seconds_a_step(build: Callable, batch: int, device: Any) -> float:
    """Seconds of one step of gradient descent on the likelihood, the second of two runs of `STEPS`."""
    flow = build(jr.key(SEED))
    arrays, static = eqx.partition(flow.bijection, eqx.is_inexact_array)
    x = jr.normal(jr.key(SEED + 3), (batch, flow.bijection.shape[0]))

    def loss(arrays: Any, x: Any) -> Any:
        z, log_det = jax.vmap(eqx.combine(arrays, static).inverse_and_log_det)(x)
        return jnp.mean(0.5 * jnp.sum(z**2, axis=1) - log_det)

    def steps(arrays: Any, x: Any) -> Any:
        def step(arrays: Any, _: Any) -> Any:
            return jax.tree.map(lambda p, g: p - 1e-4 * g, arrays, jax.grad(loss)(arrays, x)), None

        return jax.lax.scan(step, arrays, None, length=STEPS)[0]

    with jax.default_device(device):
        arrays, x, compiled = on(device, arrays), on(device, x), jax.jit(steps)
        jax.block_until_ready(compiled(arrays, x))
        started = time.perf_counter()
        jax.block_until_ready(compiled(arrays, x))
    return (time.perf_counter() - started) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "results" / "accelerator.json"))
    options = parser.parse_args()
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    speeds = []
    for name, (build, batch) in TRAINED.items():
        full = seconds_a_step(build, batch, device)
        with plain_products():
            default = seconds_a_step(build, batch, device)
        on_cpu = seconds_a_step(build, batch, cpu)
        speeds.append({"name": name, "full": full, "default": default, "cpu": on_cpu})
        print(speeds[-1], flush=True)
    print("speeds are measured", flush=True)
    rows = []
    for name in FAMILIES:
        rows.append(family(name, device, cpu))
        print(rows[-1], flush=True)
    rows += flowjax(device, cpu)
    record = {
        "what": (__doc__ or "").strip().splitlines()[0],
        "command": "cd benchmarks && python -m speed.accelerator",
        "seed": SEED,
        "device": device.device_kind,
        "accelerator": device.platform != "cpu",
        "config": {"rows": ROWS, "dtype": "float32"},
        "versions": system_info(("shoal", "numpy", "jax", "jaxlib", "equinox", "flowjax")),
        "errors": rows,
        "seconds_a_step": speeds,
    }
    write_record(to_plain(record), options.out)


if __name__ == "__main__":
    main()
