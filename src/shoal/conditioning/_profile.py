"""The layer profile: what each layer does to lengths, volumes and round-off along the way of given points.

h_0 = z, h_k = f_k(h_{k-1}), h_L = x. Round-off of relative size u made at h_k reaches the data multiplied by
|D x / D h_k| and the latent multiplied by |D z / D h_k|; the sum over k predicts what a round trip loses.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.conditioning._gradients import gradient_norms
from shoal.conditioning._krylov import extremes
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._spectrum import condition_numbers, order_statistics, singular_values
from shoal.conditioning._walks import round_trip, through
from shoal.records.figures import Kind, LayerProfile

TYPICAL, WORST = 48, 16  # points of a profile
COST = 2.5  # of the own trips, and of the gradients, in units of the walk: mostly programs to compile


@dataclass(frozen=True)
class Profile:
    """The rows, in forward order, and what round-off is predicted to do: each point's sum over layers, for u = 1."""

    rows: tuple[LayerProfile, ...]
    latents: FloatArray  # h_0 at each point
    trip_data: FloatArray  # x -> z -> x: sum_k |h_k| |Dx/Dh_k| over k = 0 ... L - 1, to be multiplied by u
    trip_latent: FloatArray  # z -> x -> z: sum_k |h_k| |Dz/Dh_k| over k = 1 ... L


@dataclass(frozen=True)
class _Stretches:
    """Figures at each point. `ends`: (largest, smallest) singular value of each layer, (rows, 2); `to_data`, `to_latent`:
    |Dx/Dh_k|, |Dz/Dh_k| for k = 0 ... L; `log_dets`: of each layer, forward: its own, or those of the Jacobian.
    """

    ends: list[FloatArray]
    to_data: list[FloatArray]
    to_latent: list[FloatArray]
    log_dets: list[FloatArray]


def profile(
    layers: Sequence[AbstractMap],
    x: FloatArray,
    context: FloatArray | None,
    scale: FloatArray,
    worst: BoolArray,
    *,
    dense: bool,
    steps: int = 20,
    seed: int = 0,
    seconds: float | None = None,
) -> Profile:
    """Walk the points `x` (rows, n) back through the layers and measure each. `worst`: mask of the worst points.

    **With `seconds`**, a limit of time (inf for none; dense only): Jacobians are those of the inverses, which are inverted.
    Own trips, gradients and curvatures follow while each will probably end in time; the others are None.
    """
    began = time.monotonic()
    states, own = _walk(layers, x, context)
    walked = time.monotonic() - began
    if dense:
        found = _by_jacobians(layers, states, own, context, scale, invert=seconds is not None)
    else:
        found = _by_products(layers, states, own, context, steps)

    def is_time_for(cost: float) -> bool:
        return seconds is None or time.monotonic() - began + cost <= seconds

    trips, gradients, curvatures = None, None, None
    asked = time.monotonic()
    if is_time_for(COST * walked):
        pairs = zip(layers, states[1:], strict=True)
        trips = [float(np.max(round_trip(layer, h, context, precision="float32"))) for layer, h in pairs]
    both_ways = time.monotonic() - asked
    timely = is_time_for(COST * walked)
    if timely:
        gradients = gradient_norms(layers, states, context)
    if (
        timely and trips is not None and is_time_for(COST * both_ways)
    ):  # the way that trips take, twice differentiated
        curvatures = [_curvature(layer, h, context, seed) for layer, h in zip(layers, states, strict=False)]
    log_dets = [float(np.mean(values)) for values in found.log_dets]
    total = sum(map(abs, log_dets))
    rows = tuple(
        LayerProfile(
            index=k,
            name=layer.name,
            **_ends_figures(found.ends[k], worst),
            log_det=log_dets[k],
            log_det_share=abs(log_dets[k]) / total if total > 0 else 0.0,
            amplification_forward=float(np.max(found.to_data[k + 1])),
            amplification_reverse=float(np.max(found.to_latent[k])),
            round_trip=None if trips is None else trips[k],
            gradient=None if gradients is None else gradients[k],
            curvature=None if curvatures is None else curvatures[k],
        )
        for k, layer in enumerate(layers)
    )
    lengths = [np.linalg.norm(h, axis=1) for h in [*states[:-1], states[-1] / scale]]
    trip_data = sum(n * a for n, a in zip(lengths[:-1], found.to_data[:-1], strict=True))
    trip_latent = sum(n * a for n, a in zip(lengths[1:], found.to_latent[1:], strict=True))
    return Profile(rows, states[0], np.asarray(trip_data), np.asarray(trip_latent))


def profile_points(kappa: FloatArray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for a profile, the worst conditioned first (NaN is worst of all), and the mask of these."""
    order = np.argsort(-np.nan_to_num(kappa, nan=np.inf), kind="stable")
    worst, rest = order[:WORST], np.sort(order[WORST:])
    typical = np.random.default_rng(seed).permutation(rest)[:TYPICAL]
    rows = np.concatenate([worst, typical])
    return rows, np.arange(len(rows)) < len(worst)


def layer_kinds(dense: bool) -> dict[str, Kind]:
    """Figure of a layer -> its kind."""
    of_way: Kind = "exact" if dense else "estimate"
    return {
        "lipschitz": "lower_bound",
        "inverse_lipschitz": "lower_bound",
        "lipschitz_bound": "upper_bound",
        "inverse_lipschitz_bound": "upper_bound",
        "curvature": "lower_bound",
        "gradient": "exact",
        "round_trip": "exact",
        "predicted": "estimate",
        "amplification_forward": of_way,
        "amplification_reverse": of_way,
    }


def _ends_figures(ends: FloatArray, worst: BoolArray) -> dict[str, float]:
    """The figures of a layer that follow from both ends of its spectrum."""
    kappa = condition_numbers(ends)
    return {
        "lipschitz": float(np.max(ends[:, 0])),
        "inverse_lipschitz": float(np.max(_reciprocal(ends[:, 1]))),
        "condition_median": float(np.median(kappa)),
        "condition_q99": order_statistics(kappa, 0.99)[0],
        "condition_max": float(np.max(kappa)),
        "condition_worst": float(np.max(kappa[worst] if worst.any() else kappa)),
    }


def _walk(
    layers: Sequence[AbstractMap], x: FloatArray, context: FloatArray | None
) -> tuple[list[FloatArray], list[FloatArray | None]]:
    """h_0 ... h_L from the data back, and log|det| of each layer, forward, where it reports one."""
    states: list[FloatArray] = [np.asarray(x, np.float64)]
    log_dets: list[FloatArray | None] = []
    for _, layer in through(layers, "inverse", context=context):
        h, log_det = layer.apply(states[-1])
        states.append(h)
        log_dets.append(None if log_det is None else -log_det)
    return states[::-1], log_dets[::-1]


def _by_jacobians(
    layers: Sequence[AbstractMap],
    states: list[FloatArray],
    own: list[FloatArray | None],
    context: FloatArray | None,
    scale: FloatArray,
    *,
    invert: bool,
) -> _Stretches:
    """From each layer's Jacobian at its input and that of its inverse at its output, the last output in units of `scale`."""
    up = [
        layer.at("inverse", context=context).jacobian(h) for layer, h in zip(layers, states[1:], strict=True)
    ]
    if invert:
        down = list(map(_inverted, up))
    else:
        down = [layer.at(context=context).jacobian(h) for layer, h in zip(layers, states, strict=False)]
    log_dets = [np.linalg.slogdet(j)[1] if mine is None else mine for j, mine in zip(down, own, strict=True)]
    down[-1], up[-1] = down[-1] / scale[:, None], up[-1] * scale
    ends = [np.stack([_norms(j), _reciprocal(_norms(i))], axis=1) for j, i in zip(down, up, strict=True)]
    return _Stretches(ends, _norms_of_products(down[::-1])[::-1], _norms_of_products(up), log_dets)


def _by_products(
    layers: Sequence[AbstractMap],
    states: list[FloatArray],
    own: list[FloatArray | None],
    context: FloatArray | None,
    steps: int,
) -> _Stretches:
    """The ends as Ritz values, and norms of the ways as products of the layers' own: estimates from above, but for these."""
    ends = [extremes(layer, h, context, steps=steps).values for layer, h in zip(layers, states, strict=False)]
    to_data: list[FloatArray] = [np.ones(len(states[0]))]
    to_latent: list[FloatArray] = [np.ones(len(states[0]))]
    for e in ends[::-1]:
        to_data.append(to_data[-1] * e[:, 0])
    for e in ends:
        to_latent.append(to_latent[-1] * _reciprocal(e[:, 1]))
    log_dets = [np.full(len(states[0]), np.nan) if mine is None else mine for mine in own]
    return _Stretches(ends, to_data[::-1], to_latent, log_dets)


def _norms_of_products(matrices: list[FloatArray]) -> list[FloatArray]:
    """The norms of 1, M_1, M_1 M_2, ..., at each point."""
    rows, n = matrices[0].shape[:2]
    products: list[FloatArray] = [np.broadcast_to(np.eye(n), (rows, n, n))]
    for matrix in matrices:
        products.append(products[-1] @ matrix)
    return list(map(_norms, products))


def _curvature(layer: AbstractMap, h: FloatArray, context: FloatArray | None, seed: int) -> float:
    v = np.random.default_rng(seed).standard_normal(h.shape)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    return float(np.max(np.linalg.norm(layer.at(context=context).curvature(h, v), axis=1), initial=0.0))


def _inverted(matrices: FloatArray) -> FloatArray:
    """The inverse of each matrix; NaN for those that are singular or not finite."""
    found = np.full(matrices.shape, np.nan)
    for i in np.flatnonzero(np.isfinite(matrices).all(axis=(1, 2))):
        with suppress(np.linalg.LinAlgError):
            found[i] = np.linalg.inv(matrices[i])
    return found


def _norms(matrices: FloatArray) -> FloatArray:
    return singular_values(matrices)[:, 0]


def _reciprocal(values: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return 1.0 / values
