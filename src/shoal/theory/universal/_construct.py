"""`construct`: a sample and a distance in, a flow of two couplings and its certificate out.

Koehler, Mehta and Risteski (2021), Theorem 1, sharpened: docs/dev/mathematics-2.md 3.
"""

from dataclasses import dataclass
from typing import Any, Literal, overload

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._types import ArrayLike, Key
from shoal.bijections import (
    Affine,
    Chain,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
    ReLUNetwork,
)
from shoal.conditioning import compute
from shoal.distributions import Flow, GaussianPadding, Padded, StandardNormal
from shoal.records.construction import W2Certificate
from shoal.records.figures import Figure
from shoal.theory.universal._atom_count import Found, search
from shoal.theory.universal._atoms import Atoms, distinct
from shoal.theory.universal._conditions import conditions
from shoal.theory.universal._inputs import DType, checked, checked_dtype
from shoal.theory.universal._staircase import Staircase
from shoal.theory.universal._transport import TransportFlow, transport_within
from shoal.theory.universal._w2_certificate import measured_w2, statistical_w2


@dataclass(frozen=True)
class Construction:
    """`flow`: an ordinary flow (a `Padded` for odd n); `certificate`; `atoms`; `staircase`: the arrays of both layers."""

    flow: Flow | Padded
    certificate: W2Certificate
    atoms: Atoms
    staircase: Staircase

    def as_relu(self) -> tuple[ReLUNetwork, ReLUNetwork]:
        """The dense ReLU networks (log s, t) of the two layers, forward order."""
        first, second = self.flow.bijection.bijections  # pyright: ignore[reportAttributeAccessIssue]  (a Chain)
        return first.conditioner.as_relu(), second.conditioner.as_relu()


@overload
def construct(
    samples: ArrayLike,
    epsilon: float,
    *,
    key: Key,
    layers: Literal[2] = 2,
    weights: ArrayLike | None = None,
    dtype: DType | None = None,
) -> Construction: ...
@overload
def construct(
    samples: ArrayLike,
    epsilon: float,
    *,
    key: Key,
    layers: Literal[4, 8, 16],
    weights: ArrayLike | None = None,
    dtype: DType | None = None,
) -> TransportFlow: ...
def construct(
    samples: ArrayLike,
    epsilon: float,
    *,
    key: Key,
    layers: Literal[2, 4, 8, 16] = 2,
    weights: ArrayLike | None = None,
    dtype: DType | None = None,
) -> Construction | TransportFlow:
    r"""A flow of two affine couplings whose law has W2 at most `epsilon` to the sample, written down and not trained.

    x' = \delta x + t_2(y), y' = \delta y + t_3(x'): t_2, t_3 are one-hidden-layer ReLU networks, staircases over atoms
    (Theorem D, a sharpening of Koehler, Mehta and Risteski 2021, Theorem 1, which has three couplings). One coupling is
    not enough for any sample: it leaves one half of the coordinates Gaussian.

    **Arguments:** `samples`: (M, n), 2 <= n <= 64; for odd n the flow has one coordinate of Gaussian padding, independent of
    the rest, and is a `Padded`; `epsilon`: in the data's units, bounds quantization + construction; `key`: of k-means
    and of the measurement; `layers`: 2, or 4, 8 or 16 spline couplings by triangular transport for 2 columns (better
    conditioned layers, but a distance that is measured and not proven); `weights`: (M,), default equal; `dtype`: of
    the flow, default float64 where JAX's is switched on, else float32.
    **Returns:** a `Construction`: `flow`, `certificate`, the atoms and both layers' networks; with more layers a
    `TransportFlow`: `flow` and what was measured of it.
    **Raises:** ValueError for bad input, and where `epsilon` needs more than 100,000 atoms or more digits than the
    dtype has; the message names the smallest reachable epsilon.
    """
    if layers not in (2, 4, 8, 16):
        raise InputError(f"`layers` must be 2, 4, 8 or 16; got {layers!r}.")
    x, epsilon, w = checked(samples, epsilon, weights)
    dtype = checked_dtype(dtype, optional=True)
    seed = int(jr.randint(key, (), 0, 2**31 - 1, jnp.int32))
    if layers > 2:
        return transport_within(x, w, epsilon, layers, seed, dtype)
    extra = x.shape[1] % 2
    found = search(distinct(x, w), epsilon, extra, dtype, seed)
    flow = _flow(found, extra, dtype)
    joint = flow.joint
    d = joint.shape[0] // 2
    measured = measured_w2(
        lambda z: compute(lambda f, v: f.forward(v), joint, z, precision=dtype),
        found.atoms.points[found.made.order],
        found.atoms.quantization,
        found.made.borders,
        size=2 * d,
        driver=d,
        seed=seed,
        dtype=dtype,
    )
    certificate = W2Certificate(
        epsilon=epsilon,
        w2_bound=Figure(found.terms.total, "upper_bound"),
        terms=found.terms,
        w2_measured=measured,
        statistical=statistical_w2(x, w, seed),
        conditions=conditions(found.made),
        atoms=len(found.atoms),
        points=len(x),
        dtype=dtype,
    )
    return Construction(flow, certificate, found.atoms, found.made)


def _flow(found: Found, extra: int, dtype: DType) -> Flow | Padded:
    made = found.made
    d = made.a.shape[1]
    as_array = lambda a: jnp.asarray(np.asarray(a), dtype)
    driver = np.eye(d)[0]
    first = _coupling(2 * d, range(d, 2 * d), driver, made.knots_of_first(), made.delta, as_array)
    second = _coupling(2 * d, range(d), made.direction, made.knots_of_second(), made.delta, as_array)
    flow = Flow(StandardNormal(2 * d), Chain([first, second]))
    return Padded(flow, GaussianPadding(1, made.delta), key=jr.key(0)) if extra else flow


def _coupling(size: int, kept: range, direction: Any, steps: Any, scale: float, as_array: Any) -> Coupling:
    knots, values = steps
    logs = np.full(values.shape[1], np.log(scale))
    net = KnotConditioner(*map(as_array, (direction, knots, values, logs)))
    return Coupling(Partition(size, kept), Affine(ExponentialScale()), net)
