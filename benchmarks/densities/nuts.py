"""NUTS (blackjax) on a density and on what a flow makes of it: effective draws a second, everything included.

Each arm has the same processor seconds of one core, from the first call on: fitting the flow, compiling, adapting
(blackjax's window adaptation, per chain), then chunks of draws until the time is up. Four chains, one after the other in
one program. Figures are of the draws that were made in that time: the least effective size over the coordinates, of the
bulk and of both tails (arviz-stats), in the density's own coordinates.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .targets import Target

CHAINS, WARM_UP, CHUNK = 4, 1000, 500
SHORT = 300  # draws of adaptation behind a flow


@dataclass(frozen=True)
class Arm:
    """`flow`: whether one stands before NUTS; `dense`: the mass matrix; `acceptance`: the target of the step size."""

    flow: bool = False
    dense: bool = False
    acceptance: float = 0.8


ARMS = {
    "NUTS": Arm(),
    "NUTS, dense": Arm(dense=True),
    "NUTS, acceptance 0.95": Arm(acceptance=0.95),
    "NUTS behind a flow": Arm(flow=True),
}


def measured(target: Target, arm: Arm, seconds: float, seed: int) -> dict[str, Any]:
    """What one arm gives in so many seconds."""
    import jax
    import jax.random as jr

    started = time.perf_counter()
    log_density, layers, to_data = target.in_jax(), None, lambda z: z
    if arm.flow:
        log_density, to_data, layers = _behind(target, seed)
    fitted = time.perf_counter() - started
    adapt, sample = _programs(log_density, target.dim, arm)
    key = jr.key(seed)
    states, parameters = jax.block_until_ready(adapt(jr.split(jr.fold_in(key, 1), CHAINS)))
    adapted = time.perf_counter() - started
    chunks, diverged, gradients = [], 0, 0
    while not chunks or time.perf_counter() - started < seconds:
        keys = jr.split(jr.fold_in(key, 2 + len(chunks)), CHAINS)
        states, (points, bad, steps) = jax.block_until_ready(sample(keys, states, parameters))
        chunks.append(np.asarray(points))
        diverged, gradients = diverged + int(bad.sum()), gradients + int(steps.sum())
    draws = np.concatenate(chunks, axis=1)
    x = np.asarray(jax.jit(jax.vmap(jax.vmap(to_data)))(draws), np.float64)
    total = time.perf_counter() - started
    return {
        "layers": layers,
        "fit_seconds": fitted,
        "adapted_seconds": adapted,
        "seconds": total,
        "draws": int(np.prod(draws.shape[:2])),
        "gradients": gradients,
        "divergent": diverged,
        **_sizes(target, x, total),
    }


def _behind(target: Target, seed: int) -> tuple[Callable, Callable, int]:
    """The pulled-back density, the way back, and how many layers the flow has: the fewest that pay."""
    import jax

    from shoal.selection import density_ladder
    from shoal.training import Settings, pull_back

    found = density_ladder(
        target.in_jax(),
        target.dim,
        key=jax.random.key(seed),
        depths=(1,),
        hidden=(32,),
        draws=2000,
        settings=Settings(**STEPS),
    )
    return pull_back(found.flow, target.in_jax()), found.flow.bijection.forward, found.rung.depth


# A flow to walk behind is good enough sooner than one whose own draws are used: 800 steps of one narrow layer.
STEPS = {"batch_size": 128, "max_epochs": 16, "learning_rate": 1e-2, "patience": None}


def _programs(log_density: Callable, dim: int, arm: Arm) -> tuple[Callable, Callable]:
    import blackjax
    import jax
    import jax.random as jr

    count = SHORT if arm.flow else WARM_UP
    warm_up = blackjax.window_adaptation(
        blackjax.nuts,
        log_density,
        is_mass_matrix_diagonal=not arm.dense,
        target_acceptance_rate=arm.acceptance,
        adaptation_info_fn=lambda *_: None,
    )
    kernel = blackjax.nuts.build_kernel()

    def adapted(key: Any) -> Any:
        k_start, k_run = jr.split(key)
        (state, parameters), _ = warm_up.run(k_run, jr.normal(k_start, (dim,)), num_steps=count)
        return state, parameters

    def sampled(given: Any) -> Any:
        key, state, parameters = given

        def one(now: Any, k: Any) -> Any:
            now, info = kernel(k, now, log_density, **parameters)
            return now, (now.position, info.is_divergent, info.num_integration_steps)

        return jax.lax.scan(one, state, jr.split(key, CHUNK))

    adapt = jax.jit(lambda keys: jax.lax.map(adapted, keys))
    sample = jax.jit(lambda keys, states, parameters: jax.lax.map(sampled, (keys, states, parameters)))
    return adapt, sample


def _sizes(target: Target, x: np.ndarray, seconds: float) -> dict[str, float]:
    from arviz_stats.base import array_stats

    size = partial(array_stats.ess, chain_axis=0, draw_axis=1)
    bulk = np.array([size(column, method="bulk") for column in np.moveaxis(x, 2, 0)])
    tail = np.array([size(column, method="tail", prob=(0.05, 0.95)) for column in np.moveaxis(x, 2, 0)])
    least = np.minimum(bulk, tail)
    features = target.features(x.reshape(-1, x.shape[2]))
    off = np.abs(features.mean(axis=0) - target.mean) / target.sd
    return {
        "least": float(least.min()),
        "least_a_second": float(least.min() / seconds),
        "first_bulk": float(bulk[0]),  # of the funnel's v
        "first_tail": float(tail[0]),
        "first_a_second": float(least[0] / seconds),
        "mean_error": float(off.max()),
        "sd_error": float(np.max(np.abs(features.std(axis=0) / target.sd - 1))),
    }
