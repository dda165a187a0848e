"""The ladder for a known density: a Gaussian, then flows of growing depth, and the shallowest that samples it as well.

The rule is that of the ladder for tables (`_rule`), on log-weights log p - log q in place of log-likelihoods: their mean,
the evidence lower bound, tells rungs apart exactly as far as KL(q | p) does. All are compared on the same latents.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._types import Key
from shoal.bijections import Chain, Inverse, SoftBoundedScale, Standardize
from shoal.conditioning import unit_scale
from shoal.distributions import AbstractFlow, Flow, StandardNormal
from shoal.flows import Family, Front, family, iaf
from shoal.selection._delivery import Delivery, delivered, sentence
from shoal.selection._gaussian import closest_gaussian
from shoal.selection._measure import Figures, measure
from shoal.selection._options import depths_of
from shoal.selection._prepare import Part
from shoal.selection._rule import ONE_SIDED, Choice, Gates, choose, paired_difference
from shoal.selection._rung import Listener, Rung
from shoal.training import (
    DENSITY_SETTINGS,
    ConditioningMonitor,
    DensityResult,
    FitResult,
    LogDensity,
    Settings,
    checked_density,
    judged,
    train_density,
)

LAYERS = Family(iaf, name="iaf", scale=SoftBoundedScale(8.0), activation="gelu")
DEPTHS = (1, 2, 3, 4, 6)
MARGIN = 0.02  # nats, times the square root of the number of coordinates
MEASURED = 1_000  # draws at which κ and round trips are measured
SHORT = 60.0  # seconds left up to which one rung gets them all; beyond, half of them
WORTH = 2.0  # a deeper rung is begun where the time left is so many times what its program took to compile
MEASURING = 1.5  # what judging a rung is taken to last, in times of the Gaussian's
MOST_EPOCHS = 400  # of a rung under a limit of time


@dataclass(frozen=True)
class DensityLadder:
    """The outcome of a ladder for a density.

    `result`: the `DensityResult` of the delivered rung (`flow`, elbo, log Z, share of draws that count, Pareto k, notes).
    `rungs`: the layers that were tried, shallow first, and `results`, one each; `choice`, `delivery`: the rule's verdicts,
    and what is delivered; `why`: the same in a sentence; `seconds`: of everything.
    """

    result: DensityResult
    rungs: tuple[Rung, ...]
    results: tuple[DensityResult, ...]
    choice: Choice
    delivery: Delivery
    why: str
    seconds: float

    @property
    def flow(self) -> AbstractFlow:
        """The delivered flow."""
        return self.result.flow

    @property
    def rung(self) -> Rung:
        """The delivered rung: `depth`, `figures`."""
        return self.rungs[self.delivery.rung]


def density_ladder(
    log_density: LogDensity,
    dim: int,
    *,
    key: Key,
    layers: str | Family | None = None,
    depths: Sequence[int] = DEPTHS,
    coldest: float = 1.0,
    draws: int = 10_000,
    hidden: tuple[int, ...] | None = None,
    settings: Settings | None = None,
    time_limit: float | None = None,
    gates: Gates | None = None,
    monitor: ConditioningMonitor | None = None,
    progress: Listener = None,
) -> DensityLadder:
    """Begin with the closest Gaussian, add layers while they gain, deliver the shallowest flow that is as good as the best.

    **Arguments:** `log_density`: from one vector (dim,) to log p up to a constant. `layers`: a name out of
    `shoal.flows.FAMILIES`, or a `Family`, fast in both directions (None: `iaf` with log-scales up to 8, whose one layer is
    any triangular map; "spline" is better where there are several modes). `depths`: numbers of layers. `coldest`: as in
    `shoal.training.fit_density`; the Gaussian is then that of the annealed density, wide enough for all modes. `draws`: by
    which rungs are compared. `time_limit`: seconds for all; the next rung gets half of what is left, and all of a minute.
    `gates`: None: a margin of 0.02 nats times the square root of `dim`, and the limits of `shoal.ladder`. `hidden`,
    `settings`, `monitor`: of each rung (no settings: 60 epochs, and up to 400 under a limit). A rung begins from the
    weights of the shallower one, new layers at the identity.

    **Returns:** a `DensityLadder`. **Raises:** `InputError` as `shoal.training.fit_density` does.
    """
    started = time.monotonic()
    chosen, allowed = LAYERS if layers is None else family(layers), depths_of(depths)
    gates = gates or Gates(MARGIN * dim**0.5, 1e5, 1e-3)
    if settings is None:
        limited = replace(DENSITY_SETTINGS, max_epochs=MOST_EPOCHS)
        settings = DENSITY_SETTINGS if time_limit is None else limited
    k_judge, k_train = jr.split(key)
    plain = Flow(StandardNormal(dim), Standardize(jnp.zeros(dim), jnp.ones(dim)))
    target = checked_density(log_density, plain)
    judge = partial(judged, target=target, key=k_judge, draws=draws)
    front = Front(
        "gaussian", (closest_gaussian(target, dim, coldest, seed=0),), StandardNormal(dim), None, 0.0
    )
    rungs = [Rung(front.name, seconds=time.monotonic() - started)]
    judging = time.monotonic()
    results = [judge(front.flow(), found=_closed(front.flow(), rungs[0].seconds))]
    _fill(rungs[0], results[0])
    kept = MEASURING * (time.monotonic() - judging)
    for depth in allowed:
        if _is_enough(rungs, results[-1], gates.margin):
            break
        began = time.monotonic()
        share = _share(time_limit, began - started + kept, results[-1], depth == allowed[-1])
        if share is not None and share <= 0:
            break
        rung = Rung(front.name, chosen, depth)
        k_start, k_steps = jr.split(jr.fold_in(k_train, depth))
        start = front.around(chosen.build(k_start, dim, depth, hidden=hidden))
        if len(rungs) > 1:
            start = front.grown(start, results[-1].flow)
        found = train_density(
            start,
            target,
            key=k_steps,
            coldest=coldest,
            settings=settings if share is None else replace(settings, time_limit=share),
            monitor=monitor,
            progress=_heard(progress, rung),
        )
        rungs.append(rung)
        results.append(judge(start, found=found))
        rung.results = [found]
        _fill(rung, results[-1])
        rung.seconds = time.monotonic() - began
        if found.status == "interrupted":
            break
    return _delivered(rungs, results, gates, time.monotonic() - started)


def _share(limit: float | None, gone: float, before: DensityResult, last: bool) -> float | None:
    """Seconds for the next rung, its program included; 0 where there is no time for one, None without a limit."""
    if limit is None:
        return None
    left = limit - gone
    if left < WORTH * before.training.compile_seconds:
        return 0.0
    return max(left, 0.0) if last or left < SHORT else 0.5 * left


def _closed(flow: AbstractFlow, seconds: float) -> FitResult:
    """The training of a Gaussian, which has none."""
    return FitResult(
        flow=flow,
        status="finished",
        message="The Gaussian is found without training.",
        history=[],
        best_epoch=None,
        best_validation=None,
        epochs=0,
        steps=0,
        seconds=seconds,
        compile_seconds=0.0,
        rollbacks=[],
        conditioning=[],
    )


def _heard(listen: Listener, rung: Rung) -> Listener:
    return None if listen is None else lambda event: listen({**event, "rung": rung.name})


def _fill(rung: Rung, result: DensityResult) -> None:
    rung.flows, rung.log_likelihoods = [result.flow], [result.log_weights]
    rung.figures = [_figures(result)]


def _is_enough(rungs: Sequence[Rung], result: DensityResult, margin: float) -> bool:
    """Whether more layers surely gain less than the margin: the bound is so close to log Z, or the last ones did."""
    last, found = rungs[-1], result.weights
    left = found.log_z - found.elbo + ONE_SIDED * float(np.hypot(found.log_z_error, found.elbo_error))
    if left < margin:
        last.dropped = f"the bound is within {left:.2g} nats of log Z"
    elif len(rungs) > 2:
        gain = paired_difference(np.stack(last.log_likelihoods), np.stack(rungs[-2].log_likelihoods))
        if gain.mean + ONE_SIDED * gain.standard_error < margin:
            last.dropped = f"the last layers gained {gain.mean:.3g} ± {gain.standard_error:.2g} nats"
    return bool(last.dropped)


def _delivered(
    rungs: list[Rung], results: list[DensityResult], gates: Gates, seconds: float
) -> DensityLadder:
    choice = choose([rung.candidate() for rung in rungs], gates)
    delivery = delivered(rungs, choice, None) or Delivery(0, 0, "none", "nothing is finite", "")
    why = sentence(rungs, choice, delivery, gates.limits, value="evidence lower bound", unit="nats")
    result = results[delivery.rung]
    most = max(
        results,
        key=lambda r: -np.inf if np.isnan(r.weights.log_z) else r.weights.log_z - 3 * r.weights.log_z_error,
    )
    gap = most.weights.log_z - result.weights.log_z
    error = float(np.hypot(most.weights.log_z_error, result.weights.log_z_error))
    if gap > max(0.05, 3 * error):
        note = (
            f"Another rung finds {gap:.2f} ± {error:.2f} nats of log Z more: the delivered flow misses mass."
        )
        result = replace(result, notes=(*result.notes, note))
    return DensityLadder(result, tuple(rungs), tuple(results), choice, delivery, why, seconds)


def _figures(result: DensityResult) -> Figures:
    """κ and round trips at the flow's own draws, between latent space and standardised points."""
    flow = result.flow
    x = np.asarray(flow.sample(jr.key(0), MEASURED), np.float64)
    mean, scale = x.mean(axis=0), unit_scale(x)
    to_units = Inverse(Standardize(jnp.asarray(mean, flow.dtype), jnp.asarray(scale, flow.dtype)))
    inner = Flow(flow.joint.base, Chain([flow.bijection, to_units]))
    part = Part((x - mean) / scale, None, None, np.arange(len(x)))
    return measure(inner, part, scale, result.log_weights, ("float32",))
