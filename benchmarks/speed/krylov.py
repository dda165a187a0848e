"""Matrix-free extreme singular values of trained Glow flows against dense decompositions, and their time and memory.

    python -m speed.krylov [--only 0.3/0,...] [--out results/krylov.json]

Images are smooth random fields with white noise of a given deviation, which sets kappa: a flow that fits them has to
squeeze the noise. n = 512 (16 x 16 x 2): `extremes` with at most 60 steps at four latent points against all singular values
of J, for several noises and lengths of training, in the data's own units and with every coordinate divided by a scale.
n = 3,072 (32 x 32 x 3): time, residuals and peak memory, no dense matrix. The file is written after every row, and a row
that is there stays.
"""

import argparse
import time
import tracemalloc
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from resume import RESULTS, Record

from shoal.bijections import ExponentialScale, initialize
from shoal.conditioning import extremes, from_bijection
from shoal.distributions import Flow
from shoal.flows import glow
from shoal.records import system_info

SEED, DEPTH, HIDDEN, BATCH, RATE, POINTS, STEPS = 0, 2, (24, 24), 32, 2e-3, 4, 60
SMALL, LARGE = (16, 16, 2), (32, 32, 3)
NOISES, LENGTHS = (1.0, 0.1, 0.01, 0.001), (0, 100, 300)
PACKAGES = ("shoal", "numpy", "jax", "jaxlib", "equinox", "optax")


def images(shape: tuple[int, int, int], noise: float, rows: int = 512) -> np.ndarray:
    """Gaussian fields with a spectrum 1 / (1 + |k|^2) of unit deviation, channels mixed, plus white noise."""
    rng = np.random.default_rng(SEED)
    h, w, c = shape
    k = np.fft.fftfreq(h)[:, None] ** 2 * h * h + np.fft.fftfreq(w)[None, :] ** 2 * w * w
    white = np.fft.fft2(rng.normal(size=(rows, c, h, w)))
    fields = np.fft.ifft2(white / (1.0 + k)).real
    fields = np.einsum("rchw,cd->rhwd", fields / fields.std(), np.eye(c) + 0.5)
    return (fields + noise * rng.normal(size=fields.shape)).reshape(rows, -1).astype(np.float32)


@eqx.filter_jit
def _trained(
    arrays: Any, static: Any, state: Any, x: jax.Array, key: Any, length: int
) -> tuple[Any, Any, Any]:
    def loss(a, batch):
        return -jnp.mean(jax.vmap(eqx.combine(a, static).log_prob)(batch)) / x.shape[1]

    def step(carry, k):
        a, s = carry
        rows = jr.randint(k, (BATCH,), 0, len(x))
        value, grad = jax.value_and_grad(loss)(a, x[rows])
        updates, s = OPTIMIZER.update(grad, s, a)
        return (optax.apply_updates(a, updates), s), value

    (arrays, state), values = jax.lax.scan(step, (arrays, state), jr.split(key, length))
    return arrays, state, values


OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE))


def start(shape: tuple[int, int, int], x: np.ndarray) -> Flow:
    flow = glow(jr.key(SEED), shape, DEPTH, scales=2, hidden=HIDDEN, scale=ExponentialScale())
    return Flow(flow.base, initialize(flow.bijection, jnp.asarray(x[:128])))


def more(flow: Flow, state: Any, x: np.ndarray, length: int) -> tuple[Flow, Any, float]:
    """The flow after `length` further steps, the optimizer's state, the mean loss of the last ten, in nats a dimension."""
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)
    state = OPTIMIZER.init(arrays) if state is None else state
    arrays, state, values = _trained(arrays, static, state, jnp.asarray(x), jr.key(SEED + 1), length)
    return eqx.combine(arrays, static), state, float(values[-10:].mean())


def against_dense(flow: Flow, noise: float, length: int, loss: float | None) -> dict[str, Any]:
    """Errors of both ends relative to the dense ones, with and without a scale."""
    map_, n = from_bijection(flow.bijection), flow.shape[0]
    z = np.random.default_rng(SEED + 2).normal(size=(POINTS, n))
    jacobian = map_.at().jacobian(z)
    row: dict[str, Any] = {"n": n, "noise": noise, "training_steps": length, "loss": loss}
    for name, scale in (("own units", np.ones(n)), ("scaled", np.geomspace(0.1, 10.0, n))):
        exact = np.linalg.svd(jacobian / scale[:, None], compute_uv=False)
        found = extremes(map_, z, scale=scale, steps=STEPS)
        row[name] = {
            "kappa": exact[:, 0] / exact[:, -1],
            "sigma_max_error": 1.0 - found.sigma_max / exact[:, 0],
            "sigma_min_error": found.sigma_min / exact[:, -1] - 1.0,
            "residuals": found.residuals,
            "steps": found.steps,
            "gap_to_second": np.stack([1 - exact[:, 1] / exact[:, 0], 1 - exact[:, -1] / exact[:, -2]], 1),
        }
    return row


def at_image_size(flow: Flow, noise: float, length: int, loss: float | None) -> dict[str, Any]:
    """Processor seconds a point, warm, and the peak of NumPy's memory in vectors of length n."""
    map_, n = from_bijection(flow.bijection), flow.shape[0]
    z = np.random.default_rng(SEED + 2).normal(size=(POINTS, n))
    extremes(map_, z[:1], steps=2)
    began = time.process_time()
    found = extremes(map_, z, steps=STEPS)
    seconds = (time.process_time() - began) / POINTS
    peaks = {}
    for steps in (15, 30, 60):
        tracemalloc.start()
        extremes(map_, z[:1], steps=steps, tolerance=0.0)
        peaks[str(steps)] = tracemalloc.get_traced_memory()[1] / (8 * n)
        tracemalloc.stop()
    return {
        "n": n,
        "noise": noise,
        "training_steps": length,
        "loss": loss,
        "cpu_seconds_a_point": seconds,
        "kappa": found.condition_numbers,
        "residuals": found.residuals,
        "steps": found.steps,
        "peak_vectors_by_steps": peaks,
        "dense_matrix_vectors": n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="0,1,2,3,image", help="positions in NOISES, and `image`")
    parser.add_argument("--out", type=Path, default=RESULTS / "krylov.json")
    options = parser.parse_args()
    config = {
        "depth": DEPTH,
        "scales": 2,
        "hidden": HIDDEN,
        "batch": BATCH,
        "learning_rate": RATE,
        "points": POINTS,
        "steps": STEPS,
        "scale_map": "ExponentialScale",
        "training_dtype": "float32",
        "dtype": "float64",
    }
    head: dict[str, Any] = {
        "what": "extreme singular values of trained Glow flows without matrices: errors against dense ones, seconds, memory",
        "command": "cd benchmarks && python -m speed.krylov",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": config,
    }
    record = Record(options.out, head, {"rows": []})
    for choice in options.only.split(","):
        image = choice == "image"
        noise, shape = (0.1, LARGE) if image else (NOISES[int(choice)], SMALL)
        lengths = (60,) if image else LENGTHS
        known = [(r["n"], r["noise"], r["training_steps"]) for r in record.rows]
        if all((int(np.prod(shape)), noise, length) in known for length in lengths):
            continue
        x = images(shape, noise)
        flow, state, done, loss = start(shape, x), None, 0, None
        for length in lengths:
            if length > done:
                flow, state, loss = more(flow, state, x, length - done)
                done = length
            if (int(np.prod(shape)), noise, length) in known:
                continue
            row = (at_image_size if image else against_dense)(flow, noise, length, loss)
            record.add(row)
            print(summary(row), flush=True)


def summary(row: dict[str, Any]) -> str:
    """One line for the terminal."""
    head = f"n {row['n']} noise {row['noise']} trained {row['training_steps']}"
    if "own units" not in row:
        peaks = row["peak_vectors_by_steps"]
        return f"{head}: {row['cpu_seconds_a_point']:.2f} s a point, peaks {peaks}, kappa {row['kappa']}"
    parts = []
    for name in ("own units", "scaled"):
        r = row[name]
        error = max(np.max(r["sigma_max_error"]), np.max(r["sigma_min_error"]))
        steps, residual = np.max(r["steps"]), np.max(r["residuals"])
        kappa = np.median(r["kappa"])
        parts.append(f"{name}: kappa {kappa:.3g} error {error:.2g} steps {steps} residual {residual:.2g}")
    return f"{head}: {'; '.join(parts)}"


if __name__ == "__main__":
    main()
