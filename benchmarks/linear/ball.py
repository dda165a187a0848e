"""(f) Remark 2: smooth affine couplings of 4, 5, 6 layers fitted to Theorem C's T = diag(I, quarter turn) on a ball.

Four and five layers can not be T, so an error near 0 needs growing Jacobians or Hessians of the layers; six are T with
small ones. All seeds of one depth are trained in one program; norms are taken along the way.
"""

import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from shoal.bijections import Scan, halves, layers_of
from shoal.flows import realnvp
from shoal.theory.linear import factor

from .summary import SEED, median_of, opened, show

TARGET = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, -1.0], [0, 0, 1.0, 0]])
DEPTHS, SEEDS, RADIUS = (4, 5, 6), 6, 2.0
HIDDEN, BATCH, RATE = (16, 16), 256, 3e-3
STOPS = (
    500,
    1000,
    2000,
    4000,
    8000,
    16000,
)  # each is a run of its own length: the rate falls to 0 at its end
POINTS, CHUNK = 1000, 500
FIELDS = ("error", "layer_jacobian", "layer_hessian", "map_condition")


def run(folder: Path, fresh: bool, quick: bool) -> None:
    """All depths and lengths of training; a row a seed."""
    stops = STOPS[:2] if quick else STOPS
    config = {
        "target": TARGET.tolist(),
        "depths": DEPTHS,
        "seeds": SEEDS,
        "radius": RADIUS,
        "hidden": HIDDEN,
        "batch": BATCH,
        "activation": "tanh",
        "learning_rate": RATE,
        "optimizer": "Adam, the learning rate falls to 0 along a cosine",
        "steps": stops,
        "points": POINTS,
        "initialisation": "every weight that starts at 0 is N(0, 0.09 / inputs)",
        "dtype": "float64",
        "loss": "mean |f(z) - T z|^2, z uniform in the ball, new points every step",
    }
    what = (
        "RealNVP fitted to T by least squares: `error` = root mean square of |f(z) - T z| over that of |T z| on new points "
        "of the ball; `layer_jacobian` = largest σmax or 1 / σmin of one layer's Jacobian at the points it is used at; "
        "`layer_hessian` = largest Frobenius norm of one layer's second derivatives there; the same of the whole map"
    )
    record = opened("f", what, config, folder=folder, fresh=fresh)
    with jax.enable_x64(True):
        for depth in DEPTHS:
            if record.has(depth=depth):
                continue
            started = time.perf_counter()
            found = fitted(depth, stops)
            seconds = time.perf_counter() - started
            record.add(
                *(
                    {"depth": depth, "steps": steps, "seed": i, **row, "seconds_of_depth": seconds}
                    for steps, rows in zip(stops, found, strict=True)
                    for i, row in enumerate(rows)
                )
            )
            print(f"f: {depth} layers, {seconds:.1f} s", flush=True)
    summary = [
        {"depth": depth, "steps": steps}
        | {f: median_of(record.rows, f, depth=depth, steps=steps) for f in FIELDS}
        | {"least_error": min(r["error"] for r in record.rows if (r["depth"], r["steps"]) == (depth, steps))}
        for depth in DEPTHS
        for steps in stops
    ]
    exact = factor(TARGET)
    norms = [np.linalg.svd(layer.matrix(), compute_uv=False) for layer in exact.layers]
    record.save(
        summary=summary,
        exact={
            "layers": len(exact.layers),
            "error": float(np.linalg.norm(exact.matrix() - TARGET) / np.linalg.norm(TARGET)),
            "layer_jacobian": float(max(max(s[0], 1 / s[-1]) for s in norms)),
        },
    )
    lines = [[str(r["depth"]), str(r["steps"]), *(r[f] for f in FIELDS), r["least_error"]] for r in summary]
    show("(f) fitted to Theorem C's T, median of seeds", ["layers", "steps", *FIELDS, "least error"], lines)


def fitted(depth: int, stops: tuple[int, ...]) -> list[list[dict[str, float]]]:
    """For every length of training: error and norms of all seeds."""
    keys = jr.split(jr.key(SEED), SEEDS)
    starts = [eqx.partition(start(key, depth), eqx.is_inexact_array) for key in keys]
    static = starts[0][1]
    params = jax.tree.map(lambda *a: jnp.stack(a), *(p for p, _ in starts))
    adam = optax.scale_by_adam()

    def loss(p: Any, z: Any) -> Any:
        return jnp.mean(jnp.sum((jax.vmap(eqx.combine(p, static).forward)(z) - z @ TARGET.T) ** 2, axis=1))

    @jax.jit
    def chunk(carry: Any, first: Any, steps: Any) -> Any:
        def step(carry: Any, index: Any) -> Any:
            p, moments = carry
            z = ball(jr.fold_in(jr.key(SEED + 1), index), BATCH)
            gradient = jax.vmap(jax.grad(loss), in_axes=(0, None))(p, z)
            update, moments = adam.update(gradient, moments)
            rate = RATE * 0.5 * (1 + jnp.cos(jnp.pi * index / steps))
            return (jax.tree.map(lambda a, u: a - rate * u, p, update), moments), None

        return jax.lax.scan(step, carry, first + jnp.arange(CHUNK))[0]

    z = ball(jr.key(SEED + 2), POINTS)
    found = []
    for steps in stops:
        carry = (params, adam.init(params))
        for first in range(0, steps, CHUNK):
            carry = chunk(carry, first, float(steps))
        made = carry[0]
        found.append(
            [judged(eqx.combine(jax.tree.map(lambda a, i=i: a[i], made), static), z) for i in range(SEEDS)]
        )
    return found


def start(key: Any, depth: int) -> Any:
    """Couplings of the recipe, its zero weights replaced by small random ones: the identity is a saddle."""
    both = (halves(4), halves(4).swapped())
    made = Scan(layers_of(realnvp(key, 4, depth, hidden=HIDDEN, partition=both).bijection))
    arrays, rest = eqx.partition(made, eqx.is_inexact_array)
    leaves, form = jax.tree.flatten(arrays)
    keys = jr.split(jr.fold_in(key, 1), len(leaves))
    noise = [
        0.3 * jr.normal(k, a.shape) / np.sqrt(max(a.shape[-1], 1)) for k, a in zip(keys, leaves, strict=True)
    ]
    filled = [jnp.where(a == 0, e, a).astype(jnp.float64) for a, e in zip(leaves, noise, strict=True)]
    return eqx.combine(jax.tree.unflatten(form, filled), rest)


def ball(key: Any, rows: int) -> Any:
    """Points uniform in the ball of R^4."""
    direction, depth = jr.split(key)
    v = jr.normal(direction, (rows, 4))
    radius = RADIUS * jr.uniform(depth, (rows, 1)) ** 0.25
    return radius * v / jnp.linalg.norm(v, axis=1, keepdims=True)


def judged(bijection: Any, z: Any) -> dict[str, float]:
    """Error on the points, and the largest norms of first and second derivatives of the layers and of the map."""
    goal = z @ TARGET.T
    off = jax.vmap(bijection.forward)(z) - goal
    jacobian = hessian = 0.0
    x = z
    for layer in layers_of(bijection):
        x, first, second = derivatives(layer, x)
        values = np.linalg.svd(np.asarray(first), compute_uv=False)
        jacobian = max(jacobian, float(values.max()), float(1 / values.min()))
        hessian = max(hessian, float(np.sqrt(np.max(np.sum(np.asarray(second) ** 2, axis=(1, 2, 3))))))
    _, first, second = derivatives(bijection, z)
    values = np.linalg.svd(np.asarray(first), compute_uv=False)
    return {
        "error": float(jnp.sqrt(jnp.sum(off**2) / jnp.sum(goal**2))),
        "largest_error": float(jnp.max(jnp.linalg.norm(off, axis=1)) / RADIUS),
        "layer_jacobian": jacobian,
        "layer_hessian": hessian,
        "map_jacobian": float(values.max()),
        "map_condition": float(np.max(values[:, 0] / values[:, -1])),
        "map_hessian": float(np.sqrt(np.max(np.sum(np.asarray(second) ** 2, axis=(1, 2, 3))))),
    }


@eqx.filter_jit
def derivatives(f: Any, x: Any) -> tuple[Any, Any, Any]:
    """f, its Jacobian and its second derivatives at every row."""
    return (
        jax.vmap(f.forward)(x),
        jax.vmap(jax.jacfwd(f.forward))(x),
        jax.vmap(jax.jacfwd(jax.jacfwd(f.forward)))(x),
    )
