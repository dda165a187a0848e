r"""What well-conditioned constructions are compared with: zero padding, and volume-preserving flows.

**Zero padding** (Huang, Dinh, Courville 2020): two couplings, and a Jacobian that must become singular. With as many
coordinates of padding as of data, one coupling writes any map into the data's place. Latent (w, z) ~ N(0, I):
    x = delta w + T(z),    e = delta z,
T#N(0, I) = the target. W2(x, target)^2 <= d delta^2 + E|T_knots - T|^2 (couple x with T(z); w is independent), and e, which
should be 0, has W2 = delta sqrt(d) to it. In the limit (x, e) lies on the plane e = 0, so no map with an inverse has it.
In units of the deviation J = [[delta, T'], [0, delta]] a coordinate, det J = delta^2, hence
    kappa = sigma_max^2 / delta^2,    sigma_max = (T' + sqrt(T'^2 + 4 delta^2)) / 2,
about (T' / delta)^2: an accuracy of epsilon costs 1 / epsilon^2 and more, where `langevin` has a constant.

**Volume-preserving flows** (Draxler, Wahl, Schnoerr, Koethe 2024): how near they can come to a law in KL, and what one
scaling layer adds; docs/dev/mathematics-2.md 5.3 derives the infimum by rearrangement.
"""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from math import gamma, log, pi
from typing import Any

import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.bijections import Chain
from shoal.distributions import Flow, Padded, StandardNormal, ZeroPadding
from shoal.records.figures import Figure
from shoal.theory.universal._inputs import (
    DType,
    checked_dtype,
    checked_whole,
    coordinate_coupling,
    knot_coupling,
)
from shoal.theory.universal._langevin import units_of
from shoal.theory.universal._log_concave import Gradient, LogConcave, targets_of

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
    potential_gradient: Gradient | Sequence[Gradient],
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
    **Raises:** InputError for bad input, and for a contraction whose square the dtype does not resolve.

    Source: Huang, Dinh, Courville (2020), "Augmented Normalizing Flows"; zero padding in training as in
    Koehler, Mehta and Risteski (2021).
    """
    dtype = checked_dtype(dtype)
    checked_whole("knots", knots, 16, 100_000)
    delta = _checked(contraction, dtype)
    targets = targets_of(potential_gradient)
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
    d, log = len(targets), np.log(delta)
    padding = range(d, 2 * d)
    layers = [
        coordinate_coupling(i, padding, z, np.full(len(z), log), values, dtype)
        for i, values in enumerate(maps)
    ]
    still = np.concatenate([np.full((1, d), log), np.zeros((1, d))], axis=1)
    layers.append(knot_coupling(range(d), np.eye(d)[0], np.zeros(1), still, dtype))
    chain = Chain([*layers, units_of(targets, dtype)])
    return Padded(Flow(StandardNormal(2 * d), chain), ZeroPadding(d), key=jr.key(0))


def _checked(contraction: object, dtype: DType) -> float:
    """The contraction that the layers hold: exp of log delta as stored."""
    least = float(np.sqrt(np.finfo(dtype).eps))
    if (
        isinstance(contraction, bool)
        or not isinstance(contraction, int | float)
        or not least <= contraction < 1
    ):
        raise InputError(f"`contraction` must lie in [{least:.3g}, 1) for {dtype}; got {contraction!r}.")
    return float(np.exp(np.asarray(np.log(contraction), dtype).astype(np.float64)))


@dataclass(frozen=True)
class VolumePreservingGap:
    """The least KL of volume-preserving flows of N(0, I) to a law, over all maps that keep volumes, smooth or not.

    `kl`: of KL(data || flow), what maximum likelihood leaves; `reverse_kl`: of KL(flow || data), "unresolved" for a density
    on a grid; `scale`: the best scaling layer x -> scale x beside such a flow; `scaled_kl`: what is left with it, 0 for
    Gaussians; `covariance`: of the nearest law, S / c, the same in both directions; None for a density on a grid.
    """

    kl: Figure
    reverse_kl: Figure
    scale: float
    scaled_kl: Figure
    covariance: FloatArray | None


def volume_preserving_gap(
    covariance: FloatArray | None = None, *, density: FloatArray | None = None, cell: float | None = None
) -> VolumePreservingGap:
    r"""inf KL(p || N(0, I) o f^{-1}) over all volume-preserving f, of any depth, for a Gaussian p or one on a grid.

    The law of such a flow is a rearrangement of N(0, I): its level sets have the volumes of balls. The nearest one has its
    levels in the order of p's: E_p log q = -(n log 2 pi + E r^2) / 2, r the radius of the ball of the volume of {p > p(x)}.
    For p = N(m, S) that is n (c - 1 - log c) / 2, c = det(S)^{1/n}. Additive couplings (NICE), orthogonal and
    unit-determinant layers and their compositions are such f: none comes below.
    `linear.gaussian` reaches 0 with affine couplings for every S.

    **Arguments:** `covariance`: S, (n, n), symmetric, positive definite. The mean costs nothing: a shift keeps volumes.
    Or `density`: values of p at the centres of the equal cells of a grid, an array of n axes; `cell`: their volume, a
    product of n sides. The cells must hold the law's mass to 1 %; what they hold is taken for the whole.
    **Returns:** a `VolumePreservingGap`; for a Gaussian exact but for rounding, about n eps cond(S)^{1/2}; for a grid exact
    for the law that is constant on each cell, an estimate for p.
    **Raises:** InputError for a covariance that is not square, finite, symmetric or positive definite, and for a density
    that is negative, not finite, or not of mass 1.

    Source: Draxler et al. (2024), "On the Universality of Volume-Preserving and Coupling-Based Normalizing Flows"; the
    infimum is derived in docs/dev/mathematics-2.md 5.3.

    >>> import numpy as np
    >>> round(volume_preserving_gap(np.diag([4.0, 4.0])).kl.value, 6)  # 4 - 1 - log 4
    1.613706
    >>> x, y = np.meshgrid(np.linspace(-6, 6, 401), np.linspace(-6, 6, 401))
    >>> ring = np.exp(-0.5 * (np.hypot(x, y) - 3) ** 2 / 0.04) / (2 * np.pi * 3 * 0.2 * np.sqrt(2 * np.pi))
    >>> volume_preserving_gap(density=ring, cell=0.03**2).kl.value.__round__(3)
    0.049
    """
    if (covariance is None) == (density is None) or (density is None) != (cell is None):
        raise InputError(
            "`volume_preserving_gap` takes a covariance, or a density and the volume of its cells."
        )
    if density is not None:
        return _gap_of_levels(np.asarray(density, np.float64), cell)
    return _gap_of_gaussian(np.asarray(covariance, np.float64))


def _gap_of_levels(p: FloatArray, cell: object) -> VolumePreservingGap:
    """Cells in descending order of p fill shells of equal volume, over which r^2 has a closed integral."""
    if p.size == 0 or p.ndim == 0 or not np.isfinite(p).all() or (p < 0).any():
        raise InputError(
            f"`density` must hold finite numbers of at least 0; got an array of shape {p.shape}."
        )
    if isinstance(cell, bool) or not isinstance(cell, numbers.Real) or not 0 < float(cell) < np.inf:
        raise InputError(f"`cell` must be a positive number, the volume of a cell; got {cell!r}.")
    n, volume, mass = p.ndim, float(cell), float(p.sum() * cell)
    if not abs(mass - 1) <= 0.01:
        raise InputError(
            f"`density` times `cell` must sum to 1; got {mass:.4g}: widen the grid, or mend `cell`."
        )
    levels = np.sort(p[p > 0].reshape(-1) / mass)[::-1]
    ball = pi ** (n / 2) / gamma(n / 2 + 1)
    edges = volume * np.arange(len(levels) + 1)
    squares = np.diff(edges * (edges / ball) ** (2 / n)) / (1 + 2 / n)  # the integrals of r^2 over the shells
    spread = float(levels @ squares)
    negentropy = float(levels @ np.log(levels)) * volume
    scale = (spread / n) ** 0.5
    left = negentropy + n / 2 * log(2 * pi)
    kl, scaled = left + spread / 2, left + n * (log(scale) + 0.5)
    unknown = Figure(float("nan"), "unresolved")
    return VolumePreservingGap(Figure(kl, "estimate"), unknown, scale, Figure(scaled, "estimate"), None)


def _gap_of_gaussian(s: FloatArray) -> VolumePreservingGap:
    """n (c - 1 - log c) / 2 and its reverse."""
    if s.ndim != 2 or s.shape[0] != s.shape[1] or s.shape[0] < 1 or not np.isfinite(s).all():
        raise InputError(f"`covariance` must be a finite (n, n) matrix; got shape {s.shape}.")
    if np.abs(s - s.T).max() > 1e-12 * np.abs(s).max():
        raise InputError("`covariance` must be symmetric; take (S + S.T) / 2 if the difference is rounding.")
    n = len(s)
    deviations = np.sqrt(np.maximum(np.diag(s), 0.0))
    try:
        root = np.linalg.cholesky(s / np.outer(deviations, deviations)) if (deviations > 0).all() else None
    except np.linalg.LinAlgError:
        root = None
    if root is None:
        raise InputError("`covariance` must be positive definite; leave out columns that depend on others.")
    log_c = 2 * float(np.log(np.diag(root)).sum() + np.log(deviations).sum()) / n
    off = np.expm1(log_c)  # c - 1 and 1 / c - 1 without cancellation
    return VolumePreservingGap(
        Figure(max(n * (float(off) - log_c) / 2, 0.0), "exact"),
        Figure(max(n * (float(np.expm1(-log_c)) + log_c) / 2, 0.0), "exact"),
        float(np.exp(log_c / 2)),
        Figure(0.0, "exact"),
        s * np.exp(-log_c),
    )
