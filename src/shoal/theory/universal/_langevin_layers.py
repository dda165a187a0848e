r"""The layers of `langevin`: near-identity couplings on the data and a Gaussian padding.

**The dynamics.** Data x and velocity v ~ N(0, 1). The Fokker-Planck equation of underdamped Langevin dynamics moves
densities like a deterministic field: dx/dt = v, and a force plus friction and score in v. Run freely towards exp(-U), its
score has no closed form; with the score of a Gaussian v | x in its place the density winds up in phase space, the fitted
moments become rough, and W2 does not fall with the steps (tried on four targets). Here the target is moved instead, from
N(0, 1) to exp(-U) along a path p_t with velocity u, d/dt p + d/dx (p u) = 0, and the field is chosen so that

    q_t(x, v) = p_t(x) N(v; u(t, x), 1)        is kept exactly by
    dx/dt = v,    dv/dt = d/dx log p_t + du/dt + u u' + u' (v - u),    u' = du/dx.            (*)

Proof: let e = v - u and l = d/dx log p. Transport along x changes log q at the rate d/dt log q + v d/dx log q =
u' (e^2 - 1) + e (l + du/dt + u u'). For N = N(e; 0, 1), d/de (e N) = (1 - e^2) N and dN/de = -e N: the field in v pays for
both terms. In equilibrium (u = 0) it is the Hamiltonian field of U. The last term is friction that acts on the variance
alone: it holds v | x at variance 1. In R^d the same holds with grad log p_t + D_t u + (D_x u) (v - u), D_t the material
derivative; for a product target it splits into the coordinates.

**The path.** T is the monotone map of N(0, 1) to the target, T_s = (1 - s) id + s T, p_t the law of T_s(z) with
s = 3 r^2 - 2 r^3, r = t / time: u vanishes at both ends, so that the path runs from N(0, I) to p(x) N(v; 0, 1).
With D = dT_s/dz: u = s' (T - z), u' = s' (T' - 1) / D, du/dt + u u' = s'' (T - z), d/dx log p_t = -(z + s T'' / D) / D,
all at x = T_s(z): these are the knots of every layer. (Caffarelli: T is Lipschitz where the target is strongly log-concave.)

**The layers.** (*) is affine in v given x. Strang's splitting of a step h: x += h/2 v; the exact flow of the second
equation at frozen x and middle time; x += h/2 v. So a step is an additive and an affine coupling of log-scale h u'(x), a
Henon-type pair within O(h) of the identity. The error is O(h^2) at a fixed time, and the product of all layers tends to the
flow of a fixed field: kappa on a bounded set of latents stays bounded as steps grow. The volume that
the affine half changes is what p(x) N(v) needs: no volume-preserving map has that law (`volume_preserving_gap`), though
for the marginal of x alone there is one, (x, v) -> (T(x), v / T'(x)).
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import (
    Additive,
    Affine,
    Chain,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
    Scan,
    Standardize,
    linear_coupling,
)
from shoal.distributions import Flow, GaussianPadding, Padded, StandardNormal
from shoal.theory.universal._inputs import DType
from shoal.theory.universal._log_concave import LogConcave

REACH = 6.0  # knots lie at T_s(z) for |z| <= REACH


@dataclass(frozen=True)
class Kick:
    """One layer of v by its knots: v <- exp(log_scale(x)) v + shift(x)."""

    knots: FloatArray
    log_scale: FloatArray
    shift: FloatArray


def kicks(target: LogConcave, steps: int, time: float, knots: int, dtype: DType = "float64") -> list[Kick]:
    """The exact flows of dv/dt = A v + B over h at the steps' middle times, in deviations, as `dtype` holds them."""
    stored = lambda a: a.astype(dtype).astype(np.float64)
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
        made.append(Kick(*map(stored, (z + s * (t - z), log_scale, h * growth * force))))
    return made


def langevin_flow(targets: list[LogConcave], layers: list[list[Kick]], h: float, dtype: DType) -> Padded:
    """One `Kick` a target and step, drifts between them, and the units of the data."""
    d, steps = len(targets), len(layers[0])
    as_array = lambda a: jnp.asarray(np.asarray(a), dtype)
    units = [
        Chain(
            [
                *(_kick(i, d, layers[i][k], as_array) for i in range(d)),
                _drift(d, h / (1 + (k == steps - 1)), as_array),
            ]
        )
        for k in range(steps)
    ]
    ones = np.ones(d)
    mean = np.concatenate([[t.mean for t in targets], 0 * ones])
    scale = np.concatenate([[t.deviation for t in targets], ones])
    parts = [_drift(d, h / 2, as_array), Scan(units), Standardize(as_array(mean), as_array(scale))]
    return Padded(Flow(StandardNormal(2 * d), Chain(parts)), GaussianPadding(d), key=jr.key(0))


def _drift(d: int, h: float, as_array: Any) -> Coupling:
    """x += h v."""
    block, still = as_array(h * np.eye(d)), as_array(np.zeros(d))
    return linear_coupling(Partition(2 * d, range(d, 2 * d)), Additive(), block, still, key=jr.key(0))


def _kick(i: int, d: int, kick: Kick, as_array: Any) -> Coupling:
    """v_i <- exp(log_scale(x_i)) v_i + shift(x_i)."""
    values = np.zeros((len(kick.knots), 2 * d))
    values[:, i], values[:, d + i] = kick.log_scale, kick.shift
    net = KnotConditioner(*map(as_array, (np.eye(d)[i], kick.knots, values)))
    return Coupling(Partition(2 * d, range(d)), Affine(ExponentialScale()), net)
