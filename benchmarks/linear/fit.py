"""(a) The paper's experiment: k pairs fitted to T by Adam, |product - T|_F^2 / |T|_F^2, float64.

Every matrix and every restart of one (n, k) is trained in one compiled program.
"""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .matrices import KINDS, SEEDS, SIZES, couplings_product, matrix
from .summary import SEED, median_of, opened, show

PAIRS = (1, 2, 3, 4, 8, 16)
RATES = (1e-2, 3e-3)  # in turn over restarts


def settings(n: int) -> dict[str, int]:
    """Steps and restarts: less for the sizes that cost most."""
    return {"steps": 10_000 if n <= 16 else 5_000 if n == 32 else 2_500, "restarts": 4 if n <= 16 else 2}


def run(folder: Path, fresh: bool, quick: bool) -> None:
    """All sizes and numbers of pairs; a row a matrix and k."""
    sizes = (4, 8) if quick else SIZES
    config = {
        "kinds": KINDS,
        "sizes": sizes,
        "seeds": SEEDS,
        "pairs": PAIRS,
        "dtype": "float64",
        "optimizer": "Adam, the learning rate falls to 0 along a cosine",
        "learning_rates": RATES,
        "initialisation": "blocks N(0, 1 / (4 k d)), log-scales 0",
        "settings": {str(n): settings(n) for n in sizes},
    }
    what = "relative Frobenius error of k pairs fitted by gradient descent; the best of the restarts counts"
    record = opened("a", what, config, folder=folder, fresh=fresh)
    for n in sizes:
        cases = [(kind, seed, matrix(kind, n, seed)) for kind in KINDS for seed in SEEDS]
        for k in PAIRS:
            if record.has(n=n, pairs=k):
                continue
            started = time.perf_counter()
            rows = fit_all(np.stack([t for _, _, t in cases]), k, **settings(n))
            seconds = time.perf_counter() - started
            record.add(
                *(
                    {"n": n, "pairs": k, "kind": kind, "seed": seed, **row, "seconds_of_all": seconds}
                    for (kind, seed, _), row in zip(cases, rows, strict=True)
                )
            )
            print(f"a: n = {n}, {k} pairs, {seconds:.1f} s", flush=True)
    record.save(
        summary=[
            {
                "kind": kind,
                "n": n,
                "pairs": k,
                "error": median_of(record.rows, "error", kind=kind, n=n, pairs=k),
            }
            for kind in KINDS
            for n in sizes
            for k in PAIRS
        ]
    )
    lines = [
        [kind, str(n), *(median_of(record.rows, "error", kind=kind, n=n, pairs=k) for k in PAIRS)]
        for kind in KINDS
        for n in sizes
    ]
    show("(a) relative error by gradient descent, median of seeds", ["kind", "n", *map(str, PAIRS)], lines)


def fit_all(targets: np.ndarray, k: int, *, steps: int, restarts: int) -> list[dict[str, Any]]:
    """Fit all targets (cases, n, n) with all restarts; a row a target."""
    cases, n, _ = targets.shape
    rng = np.random.default_rng([SEED, n, k])
    d = n // 2
    blocks = rng.normal(size=(cases * restarts, 2 * k, d, d)) / np.sqrt(4 * k * d)
    with jax.enable_x64(True):
        rates = jnp.tile(jnp.array(RATES, jnp.float64), cases * restarts // len(RATES))
        start = (jnp.asarray(blocks), jnp.zeros(blocks.shape[:3]))
        made = descend(start, jnp.repeat(jnp.asarray(targets), restarts, axis=0), rates, steps)
        blocks, logs = (np.asarray(a) for a in made)
    rows = []
    for i, target in enumerate(targets):
        tried = [_judged(blocks[j], logs[j], target) for j in range(i * restarts, (i + 1) * restarts)]
        error, worst = min(tried)
        rows.append({"error": error, "worst_condition": worst, "errors": [e for e, _ in tried]})
    return rows


def _judged(blocks: np.ndarray, logs: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    if not (np.all(np.isfinite(blocks)) and np.all(np.isfinite(logs))):
        return float("inf"), float("inf")
    made, worst = couplings_product(blocks, logs)
    return float(np.linalg.norm(made - target) / np.linalg.norm(target)), worst


def product(blocks: Any, logs: Any) -> Any:
    """L U L U ... as two halves of columns; blocks (layers, d, d), pairs scanned."""
    d = blocks.shape[-1]
    eye = jnp.eye(2 * d, dtype=blocks.dtype)

    def pair(halves: Any, layer: Any) -> Any:
        (left, right), (b, s) = halves, layer
        left, right = left + right @ b[0], right * jnp.exp(s[0])
        left, right = left * jnp.exp(s[1]), right + left @ b[1]
        return (left, right), None

    grouped = (blocks.reshape(-1, 2, d, d), logs.reshape(-1, 2, d))
    (left, right), _ = jax.lax.scan(pair, (eye[:, :d], eye[:, d:]), grouped)
    return jnp.concatenate([left, right], axis=1)


def fit_loss(params: Any, target: Any) -> Any:
    """|product - T|_F^2 / |T|_F^2."""
    return jnp.sum((product(*params) - target) ** 2) / jnp.sum(target**2)


def descend(start: Any, targets: Any, rates: Any, steps: int, loss: Any = fit_loss) -> Any:
    """Adam with a cosine on every (start, target, rate) at once; the last parameters."""
    adam = optax.scale_by_adam()

    @jax.jit
    def whole(start: Any, targets: Any, rates: Any) -> Any:
        def step(carry: Any, index: Any) -> Any:
            params, moments = carry
            gradient = jax.vmap(jax.grad(loss))(params, targets)
            update, moments = adam.update(gradient, moments)
            rate = rates * 0.5 * (1 + jnp.cos(jnp.pi * index / steps))
            moved = lambda p, u: p - rate.reshape(-1, *[1] * (p.ndim - 1)) * u
            return (jax.tree.map(moved, params, update), moments), None

        return jax.lax.scan(step, (start, adam.init(start)), jnp.arange(steps))[0][0]

    return jax.block_until_ready(whole(start, targets, rates))
