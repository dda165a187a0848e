"""`fit_density`: a flow that samples a density which is known up to a constant; `pull_back`: the density in its latents.

The steps, the schedule, the checkpoints, the roll-backs and the monitor are those of `fit`; only the loss is another
(`_reverse_kl`), and what validation compares (log-weights of held-out latents).
"""

import os
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from shoal._compiling import make_room, quickly
from shoal._errors import InputError, one_line
from shoal._pieces import in_pieces
from shoal._scalars import FloatArray
from shoal._types import Array, Key, Scalar, Vector
from shoal.bijections import whole
from shoal.distributions import AbstractFlow

from ._checks import KeyLike, one_key
from ._job import make_job, make_tables, trainable
from ._listening import Listener, StopSignal, interruptible, listener
from ._monitor import ConditioningMonitor
from ._result import Epoch, FitResult
from ._reverse_kl import ReverseKL
from ._run import Run
from ._settings import Settings
from ._step import ADAM
from ._weights import TRUSTED_K, WeightFigures, weight_figures

LogDensity: TypeAlias = Any  # of one vector, a scalar: `checked_density` looks
STEPS = 50  # of an epoch
HELD = 2048  # latents by which epochs are compared
DENSITY_SETTINGS = Settings(batch_size=256, max_epochs=60, learning_rate=3e-3, patience=None)
PIECE = 4096
WIDER = 2.0  # how much wider than the base the latents are that look for missed mass
EVEN = 0.9  # the share of draws that count from which on no tail of the weights matters
SURE, MISSED = 3.0, 0.05  # standard errors, and nats of log Z, from which on mass counts as missed


@dataclass(frozen=True)
class DensityResult:
    """A flow that samples a known density, and how well it does.

    - `flow`: the weights with the highest evidence lower bound on held-out latents, those given among them.
    - `weights`: what importance weights of fresh draws say: `elbo` and `log_z` in nats with `elbo_error`, `log_z_error`;
      `ess`, the share of draws that count as independent, with `ess_interval` (95 %); `pareto_k`, None without arviz-stats.
    - `points`, (draws, n), and `log_weights`, (draws,): these draws, weighted by exp(log_weights) draws of p.
    - `notes`: sentences on what the figures do not say: mass that the flow misses, weights that can not be trusted,
      training that did not end well. Empty where nothing was found.
    - `training`: the `FitResult`, its `history` the bound epoch by epoch, its `conditioning` what the
      monitor saw.
    """

    flow: AbstractFlow
    weights: WeightFigures
    points: FloatArray
    log_weights: FloatArray
    notes: tuple[str, ...]
    training: FitResult

    @property
    def steps(self) -> int:
        """Gradient steps done."""
        return self.training.steps


def fit_density(
    flow: AbstractFlow,
    log_density: LogDensity,
    *,
    key: KeyLike,
    coldest: float = 1.0,
    draws: int = 10_000,
    settings: Settings = DENSITY_SETTINGS,
    optimizer: optax.GradientTransformation = ADAM,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[Epoch], object] | None = None,
    progress: Listener | bool | None = None,
    stop: StopSignal | None = None,
    monitor: ConditioningMonitor | None = None,
) -> DensityResult:
    r"""Minimise $KL(q\,|\,p/Z) = E_z[\log q(f(z)) - \log p(f(z))] + \log Z$ over a flow q, by its path gradient.

    No samples of p are needed, only `log_density`. A step draws `settings.batch_size` fresh latents; an epoch is 50 steps,
    after which the bound is compared on latents that are held out. In the end fresh draws give the importance weights, and
    draws of a wider law look for mass that the flow misses: the loss itself is blind to a mode without draws.

    **Arguments:** `flow`: its base without trainable arrays, such as `StandardNormal`; without context or padding; fast in
    both directions, as couplings and `iaf` are. `log_density`: from one vector (n,) to log p up to a constant, by functions
    that JAX can trace. `coldest`: β at the start, in (0, 1]: p^β is aimed at while β rises linearly to 1 over the first half
    of the training; for densities of several modes, such as 0.05. `draws`: for the final figures. The others are those of
    `fit`.

    **Returns:** a `DensityResult`. Where log p or its gradient is not finite training goes back and lowers its rate, and
    the result's `training.status` says "diverged" in the end.

    **Raises:** `InputError` for bad input, before anything is trained: a `log_density` that can not be traced, does not give
    one real number, or is not finite at any point that the untrained flow draws.
    """
    whole("draws", draws)
    check_flow(flow)
    target = checked_density(log_density, flow)
    k_train, k_judge = jr.split(one_key(key))
    with listener(progress) as listen:
        found = train_density(
            flow,
            target,
            key=k_train,
            coldest=coldest,
            settings=settings,
            optimizer=optimizer,
            folder=folder,
            resume=resume,
            callback=callback,
            progress=listen,
            stop=stop,
            monitor=monitor,
        )
    return judged(flow, target, found, key=k_judge, draws=draws)


def train_density(
    flow: AbstractFlow,
    target: LogDensity,
    *,
    key: Key,
    coldest: float,
    settings: Settings,
    stop: StopSignal | None = None,
    **others: Any,
) -> FitResult:
    """The training of `fit_density`, for a flow and a density that are checked; `others` are those of `make_job`."""
    started = time.perf_counter()
    make_room()
    if not (isinstance(coldest, (int, float)) and 0 < coldest <= 1):
        raise InputError(f"`coldest` must be a number above 0 and at most 1; got {coldest!r}.")
    loss = ReverseKL(target, float(coldest))
    k_rows, k_held, k_steps = jr.split(key, 3)
    rows, held = loss.draws(flow, k_rows, STEPS * settings.batch_size), loss.draws(flow, k_held, HELD)
    tables = make_tables(flow, rows, validation=held)
    with interruptible(stop) as stopped:
        job = make_job(flow, tables, k_steps, settings, loss=loss, **others)
        return Run(job, stopped, started, settings.time_limit).finish()


def pull_back(flow: AbstractFlow, log_density: LogDensity) -> LogDensity:
    r"""$z \mapsto \log p(f(z)) + \log|\det f'(z)|$: the density in the flow's latents, up to the same constant.

    Where the flow samples p well this is close to the base, nearly a standard normal, whatever p looks like: a Markov chain
    that walks there and is mapped by `flow.forward` samples p exactly, the better the flow the faster (Hoffman et al. 2019,
    "NeuTra"). The function is for one vector, traceable by JAX, without the flow's own error.

    **Raises:** `InputError` as `fit_density` does, for the flow.
    """
    check_flow(flow)

    def pulled(z: Vector) -> Scalar:
        x, log_det = flow.bijection.forward_and_log_det(z)
        return log_density(x) + log_det

    return pulled


def check_flow(flow: object) -> None:
    """**Raises:** `InputError` unless densities can be sampled by this flow."""
    if not isinstance(flow, AbstractFlow):
        raise InputError(
            f"`flow` must be a flow such as `shoal.flows.realnvp(...)`; got a {type(flow).__name__}."
        )
    if flow.extra:
        raise InputError(
            f"`flow` is a {type(flow).__name__} with {flow.extra} coordinates beyond the data's; pass one without."
        )
    if flow.context_shape is not None:
        raise InputError(
            "`flow` has a context; a density to be sampled has none: build the flow without `context_dim`."
        )
    if jax.tree.leaves(eqx.filter(flow.joint.base, trainable(flow.joint.base))):
        raise InputError(
            f"The flow's base is a {type(flow.joint.base).__name__} with trainable arrays, whose draws have no gradient; "
            "use `StandardNormal`."
        )


def checked_density(log_density: LogDensity, flow: AbstractFlow) -> LogDensity:
    """`log_density`, hashable. **Raises:** `InputError` where it does not give one number, finite at some of the draws."""
    if not callable(log_density):
        raise InputError(
            f"`log_density` must be a function of one point; got a {type(log_density).__name__}."
        )
    point = jax.ShapeDtypeStruct(flow.shape, flow.dtype)
    try:
        found = jax.eval_shape(log_density, point)
    except Exception as error:
        raise InputError(
            f"`log_density` fails at a point of shape {flow.shape}: {one_line(error)}."
        ) from error
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape != () or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(
            f"`log_density` must give one real number for one point of shape {flow.shape}; "
            f"got {'shape ' + str(shape) + ', ' + str(dtype) if dtype is not None else type(found).__name__}."
        )
    values = np.asarray(jax.jit(jax.vmap(log_density))(flow.sample(jr.key(0), 256)))
    if not np.isfinite(values).any():
        raise InputError(
            f"`log_density` is {values[0]} at all of {len(values)} points that the untrained flow draws; "
            "begin with a flow whose draws lie where the density is above 0."
        )
    return log_density if isinstance(log_density, Hashable) else partial(log_density)


def judged(
    start: AbstractFlow,
    target: LogDensity,
    found: FitResult,
    *,
    key: Key,
    draws: int,
) -> DensityResult:
    """The result: weights of fresh draws, and in `notes` what they do not say.

    `start`: the flow before it was trained. One key gives any flow the same latents.
    """
    flow = found.flow
    k_own, k_wide = jr.split(key)
    points, logs = weighted_draws(flow, target, k_own, draws)
    figures, notes = weight_figures(logs), []
    if found.status not in ("finished", "stopped early"):
        notes.append(found.message)
    if not np.isfinite(figures.log_z):
        notes.append(
            f"{np.sum(~np.isfinite(logs))} of {draws} log-weights are not finite: no figure stands on them."
        )
    elif figures.pareto_k is not None and figures.pareto_k > TRUSTED_K and figures.ess_interval[0] < EVEN:
        notes.append(
            f"Pareto k is {figures.pareto_k:.2f}, above {TRUSTED_K}: log Z, the share of draws and weighted means are rough."
        )
    missed = _missed(start, flow, target, k_wide, max(draws // 3, 2))
    if missed is not None:
        gap, error = missed[0] - figures.log_z, float(np.hypot(missed[1], figures.log_z_error))
        if gap > max(MISSED, SURE * error):
            notes.append(
                f"Draws of a wider law find {gap:.2f} ± {error:.2f} nats of log Z more than the flow's own: it misses about "
                f"{1 - np.exp(-gap):.0%} of the mass."
            )
    return DensityResult(flow, figures, points, logs, tuple(notes), found)


def weighted_draws(
    flow: AbstractFlow, target: LogDensity, key: Key, draws: int
) -> tuple[FloatArray, FloatArray]:
    """So many draws of the flow and their log p - log q, in float64 NumPy; one key gives any flow the same latents."""
    z = np.asarray(ReverseKL(target).draws(flow, key, draws))
    x, logs = in_pieces(partial(_weighted, flow, target), min(PIECE, draws), z)
    return x.astype(np.float64), logs.astype(np.float64)


@quickly
def _weighted(flow: AbstractFlow, target: LogDensity, z: Array) -> tuple[Array, Array]:
    return ReverseKL(target).weighted(flow, z)


def _missed(
    start: AbstractFlow, flow: AbstractFlow, target: LogDensity, key: Key, each: int
) -> tuple[float, float] | None:
    """log Z and its error from draws of three laws in equal parts: the flow, the flow on wider latents, and `start`.

    Every draw is weighed by the mean of the three densities (Owen and Zhou 2000), so weights are at most three times those
    of the law that has them. None where one is not finite: a flow may not be invertible so far out.
    """
    z = np.asarray(ReverseKL(target).draws(flow, key, 3 * each))
    parts = [np.asarray(part, np.float64) for part in _mixed(start, flow, target, z)]
    values, laws = parts[0], np.stack(parts[1:])
    logs = values - (np.logaddexp.reduce(laws, axis=0) - np.log(3.0))
    if np.isnan(logs).any() or not np.isfinite(logs.max()):
        return None
    found = weight_figures(logs)
    return found.log_z, found.log_z_error


@quickly
def _mixed(start: AbstractFlow, flow: AbstractFlow, target: LogDensity, z: Array) -> tuple[Array, ...]:
    """log p, and the log-densities of the three laws, at draws of the three."""
    own, wide, first = jnp.split(z, 3)
    x = jnp.concatenate(
        [
            jax.vmap(flow.bijection.forward)(jnp.concatenate([own, WIDER * wide])),
            jax.vmap(start.bijection.forward)(first),
        ]
    )
    base, n = flow.joint.base, flow.shape[0]

    def laws(row: Vector) -> tuple[Array, ...]:
        latent, log_det = flow.bijection.inverse_and_log_det(row)
        narrow = base.log_prob_one(latent, None) + log_det
        wider = base.log_prob_one(latent / WIDER, None) - n * jnp.log(WIDER) + log_det
        return target(row), narrow, wider, start.joint.log_prob_one(row, None)

    return jax.vmap(laws)(x)
