"""The figures of the padding study, each with one meaning and one kind; what has no number is None."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.bijections import AbstractBijection, reseeded
from shoal.conditioning import from_bijection, spectrum
from shoal.distributions import GaussianPadding, Padded, wasserstein

from .padding_data import Data
from .padding_models import density_of, with_padding

FEW = 16  # points of which Koehler, Mehta and Risteski (2021) report the mean condition number
RESOLVED = 1.0 / float(np.finfo(np.float64).eps)
Figures = dict[str, Any]


def condition_points(key: Key, model: Any, data: Data, points: int) -> FloatArray:
    """Held-out rows in standardised units, dequantized for images, with their padding: (points, m) or (points, 2m)."""
    rows, k_padding = jnp.asarray(data.held_out[:points]), jr.fold_in(key, 1)
    if data.pixels is not None:
        rows = rows + jr.uniform(key, rows.shape, rows.dtype)
        rows = jax.vmap(lambda x: data.pixels.inverse(x))(rows)  # pyright: ignore[reportOptionalMemberAccess]
    density = density_of(model)
    if isinstance(density, Padded):
        keys = jr.split(k_padding, len(rows))
        rows = jnp.concatenate([rows, jax.vmap(density.padding.draw)(keys, rows)[0]], axis=1)
    return np.asarray(rows, np.float64)


def conditions(bijection: AbstractBijection, points: FloatArray) -> Figures:
    """κ of latent -> standardised data at the points, in float64: median, mean, quantiles, and the mean of the first 16.

    A κ above 1/eps, or of a Jacobian that is not finite, is `unresolved`: it is counted, sorts last, and makes every figure
    that depends on it None.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = spectrum(from_bijection(bijection), points, dense=True)
    return condition_figures(found.condition_numbers)


def condition_figures(kappa: FloatArray) -> Figures:
    """The figures of some condition numbers; quantiles are order statistics, the upper one of two."""
    known = np.where(kappa <= RESOLVED, kappa, np.inf)
    low, median, high = np.quantile(known, [0.1, 0.5, 0.9], method="higher")
    figures = {
        "median": median,
        "mean": np.mean(known),
        "q10": low,
        "q90": high,
        "max": np.max(known),
        "mean_16": np.mean(known[:FEW]),
    }
    plain = {name: float(v) if np.isfinite(v) else None for name, v in figures.items()}
    return {**plain, "unresolved": int(np.sum(np.isinf(known)))}


def likelihoods(key: Key, model: Any, data: Data, draws: int) -> Figures:
    """Of the held-out rows, in nats a data dimension: means over rows, with the standard errors of these means.

    `log_likelihood`: where the density is known. `bound`, `estimate`: the mean and the log-mean-exp of K importance weights
    (`draws`) of padding and dequantization noise; the latter is `bound_weighted` where the padding lies in a box. A padding
    without density has `joint`, the joint's log-density at (x, e), which is no likelihood of x. The joint has a marginal,
    though: `marginal_estimate`, importance-weighted, e ~ N(0, s^2) with s the root mean square of e in the model's own
    samples (`marginal_scale`). `..._effective`: the median over rows of (sum w)^2 / sum w^2, of K at most.
    """
    density, x = density_of(model), data.held_out
    support = density.padding.support if isinstance(density, Padded) else "everywhere"
    if support == "none":
        k_sample, k_joint, k_marginal = jr.split(key, 3)
        joint = _draws(k_joint, model, data, draws).mean(axis=0)
        e = np.asarray(density.joint.sample(k_sample, len(x)), np.float64)[:, data.dim :]
        scale = float(np.sqrt(np.mean(e**2)))
        figures = {**_mean("joint", joint, data.dim), "marginal_scale": scale}
        if not (math.isfinite(scale) and scale > 0):
            names = ("marginal_estimate", "marginal_estimate_error", "marginal_estimate_effective")
            return {**figures, **dict.fromkeys(names)}
        other = with_padding(model, GaussianPadding(data.dim, scale))
        weights = _draws(k_marginal, other, data, draws)
        return {**figures, **_weighted("marginal_estimate", weights, data.dim)}
    if not isinstance(density, Padded) and data.levels is None:
        return _mean("log_likelihood", np.asarray(model.log_prob(x), np.float64), data.dim)
    weights = _draws(key, model, data, draws)
    name = "bound_weighted" if support == "box" else "estimate"
    return {**_mean("bound", weights.mean(axis=0), data.dim), **_weighted(name, weights, data.dim)}


def transports(key: Key, model: Any, data: Data, rows: int) -> Figures:
    """W1 and W2 between `rows` samples and as many held-out rows, and between these and other rows of the data: exact."""
    rows = min(rows, len(data.held_out))
    x = np.asarray(model.sample(key, rows), np.float64) / data.unit
    held_out, other = (np.asarray(a[:rows], np.float64) / data.unit for a in (data.held_out, data.other))
    bad = int(np.sum(~np.isfinite(x).all(axis=1)))
    w1, w2 = (None, None) if bad else distances(x, held_out)
    d1, d2 = distances(other, held_out)
    return {"w1": w1, "w2": w2, "w1_data": d1, "w2_data": d2, "samples": rows, "samples_not_finite": bad}


def distances(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """W1 and W2, Euclidean, of the uniform laws on equally many rows."""
    return wasserstein(x, y, 1), wasserstein(x, y, 2)


def _draws(key: Key, model: Any, data: Data, draws: int) -> FloatArray:
    """log-weights, (draws, rows): every draw has its own padding and dequantization noise in every row."""
    keys = jr.split(key, draws)
    return np.stack([np.asarray(reseeded(model, k).log_prob(data.held_out), np.float64) for k in keys])


def _weighted(name: str, weights: FloatArray, dim: int) -> Figures:
    total = np.logaddexp.reduce(weights, axis=0)
    effective = np.exp(2 * total - np.logaddexp.reduce(2 * weights, axis=0))
    figures = _mean(name, total - math.log(len(weights)), dim)
    return {**figures, f"{name}_effective": float(np.median(effective))}


def _mean(name: str, values: FloatArray, dim: int) -> Figures:
    scaled = values / dim
    return {name: float(scaled.mean()), f"{name}_error": float(scaled.std(ddof=1) / len(scaled) ** 0.5)}
