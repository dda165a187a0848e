"""The arms: a target and seconds in, draws with their log-weights out. Each runs in a process of its own (`cell.py`).

The seconds are processor seconds of one core from the first call on, compilation included. Peers are trained as their own
documentation does: normflows by `reverse_kld` (RealNVP: 32 masked affine couplings with activation norms, nets of one
hidden layer of 2n; NSF: 16 coupled rational-quadratic splines with LU permutations; Adam, β from 0.01 to 1 over the first
half), flowjax by `fit_to_key_based_loss` with `ElboLoss(stick_the_landing=True)` on its masked autoregressive flow with the
fast direction for sampling, and on its coupling flow with splines.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .targets import Target

DRAWS = 20_000
BATCH = 256
RATE = {
    "normflows": 5e-4,
    "flowjax": 5e-4,
}  # flowjax: its default; normflows: that of its example of a RealNVP
CHUNK = 200  # steps of a peer between looks at the clock


@dataclass(frozen=True)
class Outcome:
    """`x` (draws, n), `log_weights` (draws,), and what else is known of the flow."""

    x: np.ndarray
    log_weights: np.ndarray
    steps: int
    layers: int
    condition: float | None = None
    notes: tuple[str, ...] = ()
    tried: tuple[int, ...] = ()


def shoal(target: Target, seconds: float, seed: int) -> Outcome:
    """`shoal.selection.density_ladder` as it is; for several modes four layers of splines, with annealing."""
    import jax

    from shoal.flows import Family, spline
    from shoal.selection import density_ladder

    several: dict[str, Any] = {}
    if target.modes:
        several = {"layers": Family(spline, hidden=(32, 32)), "coldest": 0.05, "depths": (4,)}
    found = density_ladder(
        target.in_jax(),
        target.dim,
        key=jax.random.key(seed),
        time_limit=seconds,
        draws=DRAWS,
        **several,
    )
    result = found.result
    return Outcome(
        x=np.asarray(result.points, np.float64),
        log_weights=result.log_weights,
        steps=sum(r.steps for r in found.results),
        layers=found.rung.depth,
        condition=found.rung.figures[0].condition.q99,
        notes=result.notes,
        tried=tuple(r.depth for r in found.rungs),
    )


def flowjax(target: Target, seconds: float, seed: int, *, coupling: bool) -> Outcome:
    """flowjax, in chunks of steps, Adam's state kept from one to the next."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import optax
    import paramax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow
    from flowjax.train.losses import ElboLoss
    from flowjax.train.train_utils import step

    started = time.perf_counter()
    key, k_flow = jr.split(jr.key(seed))
    base = Normal(jnp.zeros(target.dim))
    if coupling:
        spline = RationalQuadraticSpline(knots=8, interval=5)
        flow = coupling_flow(k_flow, base_dist=base, transformer=spline, invert=False)
    else:
        flow = masked_autoregressive_flow(k_flow, base_dist=base, invert=False)
    loss, optimizer = ElboLoss(target.in_jax(), BATCH, stick_the_landing=True), optax.adam(RATE["flowjax"])
    params, static = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    state, steps = optimizer.init(params), 0  # the loop of `fit_to_key_based_loss`, by the clock
    while time.perf_counter() - started < seconds:
        for one in jr.split(jr.fold_in(key, steps), CHUNK):
            params, state, found = step(
                params, static, key=one, optimizer=optimizer, opt_state=state, loss_fn=loss
            )
            found.item()
        steps += CHUNK
    flow = eqx.combine(params, static)
    x, log_q = eqx.filter_jit(lambda f, k: f.sample_and_log_prob(k, (DRAWS,)))(flow, jr.key(seed + 1))
    log_p = jax.jit(jax.vmap(target.in_jax()))(x)
    return Outcome(np.asarray(x, np.float64), np.asarray(log_p - log_q, np.float64), steps, 8)


def normflows(target: Target, seconds: float, seed: int, *, spline: bool) -> Outcome:
    """normflows, its reverse KL with annealing where there are several modes."""
    import normflows as nf
    import torch

    started = time.perf_counter()
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    n = target.dim
    layers, count = (_splines(nf, n), 16) if spline else (_affine(nf, torch, n), 32)

    class Known(nf.distributions.Target):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

        log_prob = staticmethod(target.in_torch())

    model = nf.NormalizingFlow(nf.distributions.DiagGaussian(n, trainable=False), layers, Known())
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE["normflows"], weight_decay=1e-5)
    steps = 0
    while (gone := time.perf_counter() - started) < seconds:
        beta = min(1.0, 0.01 + 2 * gone / seconds) if target.modes else 1.0
        optimizer.zero_grad()
        loss = model.reverse_kld(BATCH, beta=beta, score_fn=False)
        if bool(torch.isfinite(loss)):  # as in its examples
            loss.backward()
            optimizer.step()
        steps += 1
    with torch.no_grad():
        x, log_q = model.sample(DRAWS)
        log_p = model.p.log_prob(x)
    return Outcome(x.double().numpy(), (log_p - log_q).double().numpy(), steps, count)


def _affine(nf: Any, torch: Any, n: int) -> list[Any]:
    layers, mask = [], torch.tensor([float(i % 2) for i in range(n)])
    for i in range(32):
        nets = [nf.nets.MLP([n, 2 * n, n], init_zeros=True) for _ in range(2)]
        layers.append(nf.flows.MaskedAffineFlow(mask if i % 2 else 1 - mask, *nets))
        layers.append(nf.flows.ActNorm(n))
    return layers


def _splines(nf: Any, n: int) -> list[Any]:
    layers = []
    for _ in range(16):
        layers.append(nf.flows.CoupledRationalQuadraticSpline(n, 2, 64))
        layers.append(nf.flows.LULinearPermute(n))
    return layers


ARMS: dict[str, Callable[[Target, float, int], Outcome]] = {
    "shoal": shoal,
    "flowjax, autoregressive": partial(flowjax, coupling=False),
    "flowjax, splines": partial(flowjax, coupling=True),
    "normflows, RealNVP": partial(normflows, spline=False),
    "normflows, NSF": partial(normflows, spline=True),
}
