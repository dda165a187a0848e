r"""The universal map of zero padding (Huang, Dinh, Courville 2020): two couplings, and a Jacobian that must become singular.

With as many coordinates of padding as of data, one coupling writes any map into the data's place. Latent (w, z) ~ N(0, I):
    x = delta w + T(z),    e = delta z,
T#N(0, I) = the target. W2(x, target)^2 <= d delta^2 + E|T_knots - T|^2 (couple x with T(z); w is independent), and e, which
should be 0, has W2 = delta sqrt(d) to it. In the limit (x, e) lies on the plane e = 0, so no map with an inverse has it.
In units of the deviation J = [[delta, T'], [0, delta]] a coordinate, det J = delta^2, hence
    kappa = sigma_max^2 / delta^2,    sigma_max = (T' + sqrt(T'^2 + 4 delta^2)) / 2,
about (T' / delta)^2: an accuracy of epsilon costs 1 / epsilon^2 and more, where `langevin` has a constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.bijections import (
    Affine,
    Chain,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
    Standardize,
)
from shoal.distributions import Flow, Padded, StandardNormal, ZeroPadding
from shoal.records.figures import Figure
from shoal.theory.universal._inputs import DType, Gradients, checked_dtype, checked_knots, listed
from shoal.theory.universal._log_concave import LogConcave, log_concave

REACH, POINTS = 6.0, 4096


@dataclass(frozen=True)
class ZeroPaddedFlow:
    """What `zero_padded` returns.

    `flow`: a `Padded` flow with `ZeroPadding`, whose `log_prob` is no likelihood of the data; `w2`: of the data's law to
    the target, an estimate of an upper bound, in the data's units; `padding_w2`: of the padding to 0, exact; `median`,
    `at999`: quantiles of kappa over 4,096 latents; `largest`: its supremum over all latents, exact for the knots.
    """

    flow: Padded
    contraction: float
    w2: Figure
    padding_w2: Figure
    median: Figure
    at999: Figure
    largest: Figure


def zero_padded(
    potential_gradient: Gradients,
    *,
    contraction: float,
    key: Key,
    knots: int = 1025,
    dtype: DType = "float32",
) -> ZeroPaddedFlow:
    r"""x = delta w + T(z), e = delta z for p(x) ~ exp(-U_1(x_1) - ...): two couplings, kappa ~ (T' / delta)^2.

    T_i is the monotone map of N(0, 1) to exp(-U_i), held at `knots` by the first layer (one a coordinate); the second only
    contracts. To be read beside `langevin`, which takes the same potentials.

    **Arguments:** `potential_gradient`: U', an increasing NumPy function on arrays, or one for each coordinate;
    `contraction`: delta, in (0, 1), in units of the target's deviation; `key`: of the points where kappa is measured;
    `knots`: of T on |z| <= 6; `dtype` of the flow.
    **Returns:** a `ZeroPaddedFlow`.
    **Raises:** ValueError for bad input, and for a contraction whose square the dtype does not resolve.

    Source: Huang, Dinh, Courville (2020), "Augmented Normalizing Flows"; zero padding in training as in
    Koehler, Mehta and Risteski (2021).
    """
    gradients = listed(potential_gradient)
    dtype = checked_dtype(dtype)
    checked_knots(knots)
    delta = _checked(contraction, dtype)
    targets = [log_concave(g, f"potential_gradient[{i}]") for i, g in enumerate(gradients)]
    z = np.linspace(-REACH, REACH, knots)
    maps = [((t.transport(z) - t.mean) / t.deviation).astype(dtype).astype(np.float64) for t in targets]
    d = len(targets)
    squares = sum(
        (delta**2 + _interpolation(t, z, m)) * t.deviation**2 for t, m in zip(targets, maps, strict=True)
    )
    slopes = [np.diff(m) / np.diff(z) for m in maps]
    latents = np.asarray(jr.normal(key, (POINTS, d)), np.float64)
    piece = np.searchsorted(z, latents) - 1
    inside = (piece >= 0) & (piece < knots - 1)
    at = [np.where(inside[:, i], s[np.clip(piece[:, i], 0, knots - 2)], 0.0) for i, s in enumerate(slopes)]
    kappa = _kappa(np.max(at, axis=0), delta)
    return ZeroPaddedFlow(
        _flow(targets, z, maps, delta, dtype),
        delta,
        Figure(float(np.sqrt(squares)), "estimate"),
        Figure(delta * d**0.5, "exact"),
        Figure(float(np.median(kappa)), "estimate"),
        Figure(float(np.quantile(kappa, 0.999)), "estimate"),
        Figure(float(_kappa(np.max(slopes), delta)), "exact"),
    )


def _kappa(slope: Any, delta: float) -> Any:
    """sigma_max^2 / delta^2 of [[delta, slope], [0, delta]]; it increases with the slope."""
    return np.square((slope + np.sqrt(np.square(slope) + 4 * delta**2)) / (2 * delta))


def _interpolation(target: LogConcave, z: FloatArray, values: FloatArray) -> float:
    """E|T_knots(z) - T(z)|^2, in squared deviations, over |z| <= 6.5."""
    fine = np.linspace(-6.5, 6.5, 20_001)
    off = np.interp(fine, z, values) - (target.transport(fine) - target.mean) / target.deviation
    weights = np.exp(-0.5 * fine * fine) / np.sqrt(2 * np.pi) * (fine[1] - fine[0])
    return float(weights @ np.square(off))


def _flow(
    targets: list[LogConcave], z: FloatArray, maps: Sequence[FloatArray], delta: float, dtype: DType
) -> Padded:
    d, knots = len(targets), len(z)
    as_array = lambda a: jnp.asarray(np.asarray(a), dtype)
    affine = Affine(ExponentialScale())
    data, padding = Partition(2 * d, range(d)), Partition(2 * d, range(d, 2 * d))
    layers: list[Any] = []
    for i, values in enumerate(maps):
        table = np.zeros((knots, 2 * d))
        table[:, i], table[:, d + i] = np.log(delta), values
        net = KnotConditioner(*map(as_array, (np.eye(d)[i], z, table)))
        layers.append(Coupling(padding, affine, net))
    still = np.concatenate([np.full((1, d), np.log(delta)), np.zeros((1, d))], axis=1)
    net = KnotConditioner(*map(as_array, (np.eye(d)[0], np.zeros(1), still)))
    layers.append(Coupling(data, affine, net))
    mean = np.array([t.mean for t in targets] + [0.0] * d)
    deviation = np.array([t.deviation for t in targets] + [1.0] * d)
    layers.append(Standardize(as_array(mean), as_array(deviation)))
    return Padded(Flow(StandardNormal(2 * d), Chain(layers)), ZeroPadding(d), key=jr.key(0))


def _checked(contraction: Any, dtype: DType) -> float:
    """The contraction that the layers hold: exp of log delta as stored."""
    least = float(np.sqrt(np.finfo(dtype).eps))
    if (
        isinstance(contraction, bool)
        or not isinstance(contraction, int | float)
        or not least <= contraction < 1
    ):
        raise InputError(f"`contraction` must lie in [{least:.3g}, 1) for {dtype}; got {contraction!r}.")
    return float(np.exp(np.asarray(np.log(contraction), dtype).astype(np.float64)))
