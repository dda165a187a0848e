"""`construct`: a sample and a distance in, two couplings and their certificate out; 4, 8 or 16 without a proof.

Koehler, Mehta and Risteski (2021), Theorem 1, sharpened: docs/dev/mathematics-2.md 3.

How many atoms: enough that the clusters' inertia leaves a part of epsilon to the construction, and no more. Fewer atoms lie
further apart, so the layers' condition number, about 20 N / epsilon, falls with their number.
"""

from dataclasses import dataclass
from itertools import chain
from math import exp, log
from typing import Literal, overload

import jax.random as jr
import numpy as np
from jax.numpy import int32

from shoal._errors import InputError
from shoal._types import ArrayLike, Key
from shoal.bijections import Chain, ReLUNetwork
from shoal.conditioning import compute
from shoal.distributions import Flow, GaussianPadding, Padded, StandardNormal
from shoal.records.construction import Terms, W2Certificate
from shoal.records.figures import Figure
from shoal.theory.universal._atoms import Atoms, distinct, quantize
from shoal.theory.universal._inputs import DType, checked, checked_dtype, knot_coupling, shares
from shoal.theory.universal._staircase import Staircase, Unresolved, box_diameter, conditions, staircase
from shoal.theory.universal._transport import TransportFlow, transport_within
from shoal.theory.universal._w2_certificate import certified_terms, measured_w2, statistical_w2

MOST_ATOMS = 100_000
SHARE = 0.7  # of epsilon that the quantization may take
FIRST = 8  # atoms tried first


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
    and of the measurement; `layers`: 2, or 4, 8 or 16 spline couplings by triangular transport (better conditioned
    layers, but a distance that is measured and not proven; beyond 2 columns the halves change between pairs of
    layers); `weights`: (M,), default equal; `dtype`: of the flow, default float64 where JAX's is switched on, else
    float32.
    **Returns:** a `Construction`: `flow`, `certificate`, the atoms and both layers' networks; with more layers a
    `TransportFlow`: `flow` and what was measured of it.
    **Raises:** InputError for bad input, and where `epsilon` needs more than 100,000 atoms or more digits than the
    dtype has; the message names the smallest reachable epsilon.
    """
    if layers not in (2, 4, 8, 16):
        raise InputError(f"`layers` must be 2, 4, 8 or 16; got {layers!r}.")
    x, epsilon, w = checked(samples, epsilon, weights)
    dtype = checked_dtype(dtype, optional=True)
    seed = int(jr.randint(key, (), 0, 2**31 - 1, int32))
    if layers > 2:
        return transport_within(x, shares(w), epsilon, layers, seed, dtype)
    extra = x.shape[1] % 2
    found = _search(distinct(x, w), epsilon, extra, dtype, seed)
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
        statistical=statistical_w2(x, shares(w), seed),
        conditions=conditions(found.made),
        atoms=len(found.atoms),
        points=len(x),
        dtype=dtype,
    )
    return Construction(flow, certificate, found.atoms, found.made)


@dataclass(frozen=True)
class _Found:
    """Atoms, both layers, and the certificate's terms."""

    atoms: Atoms
    made: Staircase
    terms: Terms


def _search(whole: Atoms, epsilon: float, extra: int, dtype: DType, seed: int) -> _Found:
    """The construction for `epsilon`. **Raises:** `InputError` that names the smallest epsilon that was reachable."""
    tried: list[Atoms] = []
    count = FIRST
    while True:
        atoms = quantize(whole, _capped(count, whole), seed)
        tried.append(atoms)
        if atoms.quantization <= SHARE * epsilon or len(atoms) >= min(len(whole), MOST_ATOMS):
            break
        last = len(atoms)
        wanted = 4 * last if len(tried) < 2 else _predicted(tried, 0.95 * SHARE * epsilon)
        count = int(np.clip(wanted, 2 * last, 8 * last))
    if 4 * FIRST <= len(tried[-1]) < len(whole):  # the last step may have gone too far
        fewer = _predicted(tried, 0.97 * SHARE * epsilon)
        if fewer < 0.8 * len(tried[-1]):
            again = quantize(whole, fewer, seed)
            if again.quantization <= SHARE * epsilon:
                tried.append(again)
    reasons = []
    more = (quantize(whole, _capped(count, whole), seed) for count in (16, 64, 256, 1024, 4096, len(whole)))
    seen: list[Atoms] = []
    for atoms in chain(tried[::-1], more):
        found = _built(atoms, epsilon, extra, dtype)
        if isinstance(found, _Found):
            return found
        reasons.append(found.reason)
        seen.append(atoms)
    raise InputError(_smallest(seen, epsilon, extra, dtype, len(whole), reasons[0]))


def _built(atoms: Atoms, epsilon: float, extra: int, dtype: DType) -> _Found | Unresolved:
    budget = epsilon - atoms.quantization * (1 + 2e-9)
    if budget <= 0:
        return Unresolved(f"{len(atoms)} atoms are {atoms.quantization:.3g} away from the sample")
    found: _Found | None = None
    spent, least, most = budget, 0.0, np.inf
    for _ in range(6):  # what the shares leave over is given out again
        made = staircase(atoms, spent, extra, dtype)
        if isinstance(made, Unresolved):
            return found or made
        sums = certified_terms(made, atoms, extra, dtype)
        if sums.total <= epsilon:
            found, least = _Found(atoms, made, sums), spent
            if sums.construction > 0.97 * budget:
                break
            spent = min(spent * min(0.99 * budget / sums.construction, 2.0), (spent + most) / 2)
        elif found is None:
            return Unresolved(f"the certificate reaches {sums.total:.3g} only")
        else:
            most = spent
            spent = (least + most) / 2
    return found or Unresolved("no budget was left")


def _capped(count: int, whole: Atoms) -> int:
    """All points where two thirds of them would be atoms, and never more than the most."""
    count = len(whole) if 1.5 * count >= len(whole) else count
    return min(count, MOST_ATOMS)


def _predicted(tried: list[Atoms], goal: float) -> int:
    """The number of atoms for that quantization, by the power law through the two best ones (Zador: N^{-1/n})."""
    first, last = sorted(tried, key=len)[-2:]
    if last.quantization <= 0 or last.quantization >= first.quantization:
        return MOST_ATOMS
    rate = log(first.quantization / last.quantization) / log(len(last) / len(first))
    power = log(last.quantization / goal) / max(rate, 1e-3)
    return int(min(len(last) * exp(min(power, 60.0)), MOST_ATOMS)) + 1


def _smallest(tried: list[Atoms], epsilon: float, extra: int, dtype: DType, points: int, reason: str) -> str:
    """The sentence for an epsilon that can not be had: the smallest one that can, in this dtype and in float64."""
    totals = {
        kind: 1.001 * min(_least_budget(atoms, extra, kind) + atoms.quantization for atoms in tried)
        for kind in ("float32", "float64")
        if kind >= dtype
    }
    text = f"`epsilon` {epsilon:.4g} is out of reach in {dtype}: {reason}; the smallest reachable epsilon is "
    text += f"{totals[dtype]:.4g} ({points} distinct points, at most {MOST_ATOMS} atoms)"
    if dtype == "float32":
        text += f", and {totals['float64']:.4g} in float64"
    return text + "."


def _least_budget(atoms: Atoms, extra: int, dtype: DType) -> float:
    """The smallest budget, to 5 %, for which the dtype resolves a construction that keeps it; infinite if there is none."""
    high = 2 * max(box_diameter(atoms.points), 1e-12)
    low, found = 1e-12 * high, np.inf
    while high / low > 1.05:
        middle = float(np.sqrt(low * high))
        made = staircase(atoms, middle, extra, dtype)
        if isinstance(made, Unresolved) or certified_terms(made, atoms, extra, dtype).construction > middle:
            low = middle
        else:
            high = found = middle
    return found


def _flow(found: _Found, extra: int, dtype: DType) -> Flow | Padded:
    made, d = found.made, found.made.a.shape[1]
    log = np.full(d, np.log(made.delta))
    first = knot_coupling(range(d, 2 * d), np.eye(d)[0], *made.knots_of_first(), dtype, log)
    second = knot_coupling(range(d), made.direction, *made.knots_of_second(), dtype, log)
    flow = Flow(StandardNormal(2 * d), Chain([first, second]))
    return Padded(flow, GaussianPadding(1, made.delta), key=jr.key(0)) if extra else flow
