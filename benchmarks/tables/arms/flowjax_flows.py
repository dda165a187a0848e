"""flowjax's masked autoregressive flow with rational quadratic splines, the library's neural spline flow.

`masked_autoregressive_flow` with nothing set (8 layers, one hidden layer of 50) and the transformer of the library's
examples, `RationalQuadraticSpline(knots=8, interval=4)`, on a standard normal. Adam and the cosine are those of the
other flows here.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.flows import masked_autoregressive_flow
from paramax import NonTrainable, unwrap

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate, held_out
from ._rounds import AbstractTrainee, best_of_rounds, cosine

RATE, CLIP, DECAY, LAYERS, BLOCK = 2e-3, 5.0, 1e-6, 8, 4096
OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(CLIP), optax.scale_by_adam(), optax.add_decayed_weights(DECAY)
)


def make(key: Any, columns: int) -> Any:
    """A flow with new weights."""
    return masked_autoregressive_flow(
        key,
        base_dist=Normal(jnp.zeros(columns)),
        transformer=RationalQuadraticSpline(knots=8, interval=4),
        flow_layers=LAYERS,
    )


def trainable(leaf: Any) -> bool:
    """Whether a leaf is trained."""
    return eqx.is_inexact_array(leaf)


@eqx.filter_jit
def stepped(parameters: Any, static: Any, state: Any, batch: Any, rate: Any) -> tuple[Any, Any, Any]:
    """One step; where a gradient is not finite nothing changes."""

    def loss(p: Any) -> Any:
        return -unwrap(eqx.combine(p, static)).log_prob(batch).mean()

    gradient = jax.grad(loss)(parameters)
    finite = jnp.isfinite(optax.global_norm(gradient))
    updates, new_state = OPTIMIZER.update(gradient, state, parameters)
    moved = eqx.apply_updates(parameters, jax.tree.map(lambda u: -rate * u, updates))
    new, old = (moved, new_state), (parameters, state)
    return *jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old), finite


@eqx.filter_jit
def log_probs(flow: Any, x: Any) -> Any:
    """Log-likelihoods of rows."""
    return unwrap(flow).log_prob(x)


class Trainee(AbstractTrainee):
    """A flow of flowjax under Adam with clipped gradients."""

    def __init__(self, flow: Any, fit: Rows, validation: Rows) -> None:
        self.parameters, self.static = eqx.partition(
            flow, trainable, is_leaf=lambda leaf: isinstance(leaf, NonTrainable)
        )
        self.state, self.fit, self.validation = OPTIMIZER.init(self.parameters), fit, validation

    def step(self, batch: Any, share: float) -> bool:
        self.parameters, self.state, finite = stepped(
            self.parameters, self.static, self.state, self.fit[batch], np.float32(RATE * cosine(share))
        )
        return bool(finite)

    def score(self) -> float:
        return float(log_probs(self.weights(), self.validation).mean())

    def weights(self) -> Any:
        return eqx.combine(self.parameters, self.static)


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The flow of the best validation."""
    clock, key = Clock(budget), jr.key(seed)
    fit, validation = (part.astype(np.float32) for part in held_out(rows, seed))

    def new(number: int) -> Trainee:
        return Trainee(make(jr.fold_in(key, number), rows.shape[1]), fit, validation)

    flow, facts = best_of_rounds(new, len(fit), clock, seed)
    flow = unwrap(flow)
    there, back = (jax.jit(jax.vmap(f)) for f in (flow.bijection.inverse, flow.bijection.transform))

    def log_prob(x: Rows) -> Rows:
        return np.asarray(log_probs(flow, x.astype(np.float32)), float)

    def sample(n: int) -> Rows:
        return np.asarray(flow.sample(jr.fold_in(key, 1_000_000), (n,)), float)

    def round_trip(x: Rows) -> Rows:
        start = x.astype(np.float32)
        return np.abs(np.asarray(back(there(start)), float) - start).max(1)

    def condition(x: Rows) -> Rows:
        lines = jax.vmap(jax.jacfwd(flow.bijection.inverse))(x.astype(np.float32))
        values = np.linalg.svd(np.asarray(lines, float), compute_uv=False)
        return values[:, 0] / values[:, -1]

    parameters = sum(p.size for p in jax.tree.leaves(eqx.filter(flow, trainable)))
    return Estimate(
        log_prob, {"depth": LAYERS, "parameters": parameters, **facts}, sample, round_trip, condition
    )
