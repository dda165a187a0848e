r"""`langevin`: log-concave targets by well-conditioned couplings with Gaussian padding, written down.

docs/dev/mathematics-2.md 5.2 has the derivation. Proven by Lee et al. (2021): for smooth, strongly log-concave targets
well-conditioned flows of affine couplings exist, at any accuracy, from the free underdamped dynamics and Henon maps. Proven
there: the field that is split here carries its path exactly,

    q_t(x, v) = p_t(x) N(v; u(t, x), 1)    by    dx/dt = v,    dv/dt = d/dx log p_t + du/dt + u u' + u' (v - u),

p_t a path from N(0, 1) to exp(-U), u its velocity. Only measured: the constants, and the fall of W2 with the steps. (With
the score of a Gaussian v | x in the free dynamics the density winds up in phase space: W2 does not fall with the steps.)

The path: T is the monotone map of N(0, 1) to the target, T_s = (1 - s) id + s T, p_t the law of T_s(z) with
s = 3 r^2 - 2 r^3, r = t / time; the points T_s(z) are the knots of every layer.

The layers: Strang's splitting of a step h: x += h/2 v; the exact flow of the second equation at frozen x and middle time, an
affine coupling of log-scale h u'(x); x += h/2 v. The volume that it changes is what p(x) N(v) needs: no volume-preserving
map has that law (`volume_preserving_gap`), though for the marginal of x alone there is one, (x, v) -> (T(x), v / T'(x)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.bijections import Additive, Chain, Coupling, Partition, Scan, Standardize, linear_coupling
from shoal.distributions import Flow, GaussianPadding, Padded, StandardNormal
from shoal.records.figures import Figure
from shoal.theory.universal._inputs import DType, checked_dtype, checked_whole, coordinate_coupling, stored
from shoal.theory.universal._langevin_figures import (
    Kick,
    LangevinConditions,
    langevin_conditions,
    marginal_w2,
)
from shoal.theory.universal._log_concave import Gradient, LogConcave, targets_of

REACH = 6.0  # knots lie at T_s(z) for |z| <= REACH


@dataclass(frozen=True)
class LangevinFlow:
    """What `langevin` returns.

    `flow`: a `Padded` flow, data first, then as many velocities; `w2`: of the data's law to the target, in the data's
    units, an estimate by quadrature without random numbers; `w2_error`: its change when the quadrature's grid is halved;
    `conditions`: of latent -> data in units of deviations, padding included; `steps`, `time`; `mean`, `deviation`: (d,).
    """

    flow: Padded
    w2: Figure
    w2_error: float
    conditions: LangevinConditions
    steps: int
    time: float
    mean: FloatArray
    deviation: FloatArray


def langevin(
    potential_gradient: Gradient | Sequence[Gradient],
    *,
    steps: int,
    key: Key,
    time: float = 1.0,
    knots: int = 1025,
    dtype: DType = "float32",
) -> LangevinFlow:
    r"""A flow for p(x) ~ exp(-U_1(x_1) - ... - U_d(x_d)), U_i convex, of `steps` Henon-type pairs, written down.

    A step is x += h v and v <- exp(h u'(x)) v + shift(x), h = time / steps, the splitting of a field that carries
    p_t(x) N(v; u, 1) exactly from N(0, I) to the target (the module has it); a fixed last layer puts x into
    the data's units. W2 falls like steps^-2 down to the knots' share; kappa stays bounded on bounded
    sets of latents (`conditions.box`).

    **Arguments:** `potential_gradient`: U', an increasing NumPy function on arrays, or one for each coordinate; `steps`:
    at least 1; `key`: of the points where kappa is measured; `time`: the path's length, in which v ~ N(0, 1) carries x
    by about a deviation: shorter paths need faster velocities, longer ones shear more; `knots` of every layer: the share
    of their interpolation falls like knots^-2; `dtype` of the flow.
    **Returns:** a `LangevinFlow`.
    **Raises:** InputError for bad input, and for a potential that is not convex; the message says where.

    Source: Lee, Pabbaraju, Sevekari, Risteski (2021), "Universal Approximation Using Well-Conditioned Normalizing Flows".
    """
    checked_whole("steps", steps, 1, 4096)
    checked_whole("knots", knots, 16, 100_000)
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time < np.inf:
        raise InputError(f"`time` must be a positive number; got {time!r}.")
    dtype = checked_dtype(dtype)
    targets = targets_of(potential_gradient)
    h = float(np.asarray(time / steps, dtype))
    layers = [kicks(target, steps, float(time), knots, dtype) for target in targets]
    flow = _flow(targets, layers, h, dtype)
    squares, error = 0.0, 0.0
    for target, layer in zip(targets, layers, strict=True):
        alone = flow if len(targets) == 1 else _flow([target], [layer], h, dtype)
        w2, change = marginal_w2(alone.joint, target)
        squares, error = squares + w2**2, float(np.hypot(error, change))
    conditions = langevin_conditions(layers, h, key)
    mean, deviation = (np.array([getattr(t, name) for t in targets]) for name in ("mean", "deviation"))
    w2 = Figure(float(np.sqrt(squares)), "estimate" if np.isfinite(squares) else "unresolved")
    return LangevinFlow(flow, w2, error, conditions, steps, float(time), mean, deviation)


def kicks(target: LogConcave, steps: int, time: float, knots: int, dtype: DType = "float64") -> list[Kick]:
    """The exact flows of dv/dt = A v + B over h at the steps' middle times, in deviations, as `dtype` holds them."""
    held = lambda a: a.astype(dtype).astype(np.float64)
    z = np.linspace(-REACH, REACH, knots)
    x, first, second = target.transport_slopes(z)
    t, t1, t2 = (x - target.mean) / target.deviation, first / target.deviation, second / target.deviation
    h, made = time / steps, []
    for k in range(steps):
        r = (k + 0.5) / steps
        s, ds, dds = r * r * (3 - 2 * r), 6 * r * (1 - r) / time, (6 - 12 * r) / time**2
        slope = 1 + s * (t1 - 1)
        u, rate = ds * (t - z), ds * (t1 - 1) / slope
        force = dds * (t - z) - (z + s * t2 / slope) / slope - rate * u
        log_scale = h * rate
        safe = np.where(np.abs(log_scale) < 1e-12, 1.0, log_scale)
        growth = np.where(np.abs(log_scale) < 1e-12, 1.0, np.expm1(safe) / safe)
        made.append(Kick(*map(held, (z + s * (t - z), log_scale, h * growth * force))))
    return made


def _flow(targets: list[LogConcave], layers: list[list[Kick]], h: float, dtype: DType) -> Padded:
    """One `Kick` a target and step, drifts between them, and the units of the data."""
    d, steps = len(targets), len(layers[0])
    kept = range(d)
    units = []
    for k in range(steps):
        kicked = [
            coordinate_coupling(i, kept, kick.knots, kick.log_scale, kick.shift, dtype)
            for i, kick in enumerate(layer[k] for layer in layers)
        ]
        units.append(Chain([*kicked, _drift(d, h / (1 + (k == steps - 1)), dtype)]))
    parts = [_drift(d, h / 2, dtype), Scan(units), units_of(targets, dtype)]
    return Padded(Flow(StandardNormal(2 * d), Chain(parts)), GaussianPadding(d), key=jr.key(0))


def units_of(targets: Sequence[LogConcave], dtype: DType) -> Standardize:
    """The layer that gives the first half of the coordinates the units of the data."""
    d = len(targets)
    mean = np.array([*(t.mean for t in targets), *np.zeros(d)])
    deviation = np.array([*(t.deviation for t in targets), *np.ones(d)])
    return Standardize(stored(mean, dtype), stored(deviation, dtype))


def _drift(d: int, h: float, dtype: DType) -> Coupling:
    """x += h v."""
    block, still = stored(h * np.eye(d), dtype), stored(np.zeros(d), dtype)
    return linear_coupling(Partition(2 * d, range(d, 2 * d)), Additive(), block, still, key=jr.key(0))
