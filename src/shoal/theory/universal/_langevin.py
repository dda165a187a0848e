"""`langevin`: log-concave targets by well-conditioned couplings with Gaussian padding, written down; see `_langevin_layers`.

Proven by Lee et al. (2021): for smooth, strongly log-concave targets well-conditioned flows of affine couplings exist, at
any accuracy, from the free underdamped dynamics and Henon maps. Proven in `_langevin_layers`: the field that is split here
carries its path exactly. Only measured: the constants, and the fall of W2 with the steps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.distributions import Padded
from shoal.records.figures import Figure
from shoal.theory.universal._inputs import DType, Gradients, checked_dtype, checked_knots, listed
from shoal.theory.universal._langevin_figures import LangevinConditions, langevin_conditions, marginal_w2
from shoal.theory.universal._langevin_layers import kicks, langevin_flow
from shoal.theory.universal._log_concave import log_concave

MOST_STEPS = 4096


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
    potential_gradient: Gradients,
    *,
    steps: int,
    key: Key,
    time: float = 1.0,
    knots: int = 1025,
    dtype: DType = "float32",
) -> LangevinFlow:
    r"""A flow for p(x) ~ exp(-U_1(x_1) - ... - U_d(x_d)), U_i convex, of `steps` Henon-type pairs, written down.

    A step is x += h v and v <- exp(h u'(x)) v + shift(x), h = time / steps, the splitting of a field that carries
    p_t(x) N(v; u, 1) exactly from N(0, I) to the target (`_langevin_layers` derives it); a fixed last layer puts x into
    the data's units. W2 falls like steps^-2 down to the knots' share; kappa stays bounded on bounded
    sets of latents (`conditions.box`).

    **Arguments:** `potential_gradient`: U', an increasing NumPy function on arrays, or one for each coordinate; `steps`:
    at least 1; `key`: of the points where kappa is measured; `time`: the path's length, in which v ~ N(0, 1) carries x
    by about a deviation: shorter paths need faster velocities, longer ones shear more; `knots` of every layer: the share
    of their interpolation falls like knots^-2; `dtype` of the flow.
    **Returns:** a `LangevinFlow`.
    **Raises:** ValueError for bad input, and for a potential that is not convex; the message says where.

    Source: Lee, Pabbaraju, Sevekari, Risteski (2021), "Universal Approximation Using Well-Conditioned Normalizing Flows".
    """
    gradients = listed(potential_gradient)
    _check(steps, time, knots)
    dtype = checked_dtype(dtype)
    name = "potential_gradient"
    names = [name] if callable(potential_gradient) else [f"{name}[{i}]" for i in range(len(gradients))]
    targets = [log_concave(g, label) for g, label in zip(gradients, names, strict=True)]
    h = float(np.asarray(time / steps, dtype))
    layers = [kicks(target, steps, float(time), knots, dtype) for target in targets]
    flow = langevin_flow(targets, layers, h, dtype)
    squares, error = 0.0, 0.0
    for target, layer in zip(targets, layers, strict=True):
        alone = flow if len(targets) == 1 else langevin_flow([target], [layer], h, dtype)
        w2, change = marginal_w2(alone.joint, target)
        squares, error = squares + w2**2, float(np.hypot(error, change))
    conditions = langevin_conditions(layers, h, key)
    mean, deviation = (np.array([getattr(t, name) for t in targets]) for name in ("mean", "deviation"))
    w2 = Figure(float(np.sqrt(squares)), "estimate" if np.isfinite(squares) else "unresolved")
    return LangevinFlow(flow, w2, error, conditions, steps, float(time), mean, deviation)


def _check(steps: Any, time: Any, knots: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise InputError(f"`steps` must be a whole number from 1 to {MOST_STEPS}; got {steps!r}.")
    checked_knots(knots)
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time < np.inf:
        raise InputError(f"`time` must be a positive number; got {time!r}.")
