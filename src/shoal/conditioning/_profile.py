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
from shoal.conditioning._dense import condition_numbers, order_statistics, singular_values
from shoal.conditioning._gradients import gradient_norms
from shoal.conditioning._krylov import extremes
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._roundtrip import round_trip
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
    states, shrinkage = _walk(layers, x, context)
    walked = time.monotonic() - began
    down, up = _jacobians(layers, states, context, scale, invert=seconds is not None) if dense else ([], [])
    to_data, to_latent = _amplifications(down, up) if dense else _products(layers, states, context, steps)

    def is_time_for(cost: float) -> bool:
        return seconds is None or time.monotonic() - began + cost <= seconds

    trips, gradients, curvatures = None, None, None
    asked = time.monotonic()
    timely = is_time_for(COST * walked)
    if timely:
        trips = [
            float(np.max(round_trip(layer, h, context, precision="float32")))
            for layer, h in zip(layers, states[1:], strict=True)
        ]
    both_ways = time.monotonic() - asked
    if is_time_for(COST * walked):
        gradients = gradient_norms(layers, states, context)
    else:
        timely = False
    if timely and is_time_for(COST * both_ways):  # second derivatives of the way that trips take, too
        curvatures = [_curvature(layer, h, context, seed) for layer, h in zip(layers, states, strict=False)]
    drafts = []
    for k, layer in enumerate(layers):
        ends = (
            _ends(singular_values(down[k]), singular_values(up[k]))
            if dense
            else _matrix_free_ends(layer, states[k], context, steps)
        )
        log_dets = shrinkage[k]
        if log_dets is None:
            log_dets = (
                np.linalg.slogdet(layer.at(context=context).jacobian(states[k]))[1]
                if dense
                else np.full(len(x), np.nan)
            )
        drafts.append((ends, float(np.mean(log_dets))))
    total = sum(abs(d[1]) for d in drafts)
    rows = []
    for k, (layer, (ends, log_det)) in enumerate(zip(layers, drafts, strict=True)):
        kappa = condition_numbers(ends)
        rows.append(
            LayerProfile(
                index=k,
                name=layer.name,
                lipschitz=float(np.max(ends[:, 0])),
                inverse_lipschitz=float(np.max(_reciprocal(ends[:, 1]))),
                condition_median=float(np.median(kappa)),
                condition_q99=order_statistics(kappa, 0.99)[0],
                condition_max=float(np.max(kappa)),
                condition_worst=float(np.max(kappa[worst])) if worst.any() else float(np.max(kappa)),
                log_det=log_det,
                log_det_share=abs(log_det) / total if total > 0 else 0.0,
                amplification_forward=float(np.max(to_data[k + 1])),
                amplification_reverse=float(np.max(to_latent[k])),
                round_trip=None if trips is None else trips[k],
                gradient=None if gradients is None else gradients[k],
                curvature=None if curvatures is None else curvatures[k],
            )
        )
    lengths = [np.linalg.norm(h, axis=1) for h in [*states[:-1], states[-1] / scale]]
    trip_data = np.sum([n * a for n, a in zip(lengths[:-1], to_data[:-1], strict=True)], axis=0)
    trip_latent = np.sum([n * a for n, a in zip(lengths[1:], to_latent[1:], strict=True)], axis=0)
    return Profile(tuple(rows), states[0], np.asarray(trip_data), np.asarray(trip_latent))


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


def _walk(
    layers: Sequence[AbstractMap], x: FloatArray, context: FloatArray | None
) -> tuple[list[FloatArray], list[FloatArray | None]]:
    """h_0 ... h_L from the data back, and log|det| of each layer, forward, where it reports one."""
    states: list[FloatArray] = [np.asarray(x, np.float64)]
    log_dets: list[FloatArray | None] = []
    for layer in reversed(layers):
        h, log_det = layer.at("inverse", context=context).apply(states[-1])
        states.append(h)
        log_dets.append(None if log_det is None else -log_det)
    return states[::-1], log_dets[::-1]


def _jacobians(
    layers: Sequence[AbstractMap],
    states: list[FloatArray],
    context: FloatArray | None,
    scale: FloatArray,
    *,
    invert: bool,
) -> tuple[list[FloatArray], list[FloatArray]]:
    """J of each layer at its input, and of its inverse at its output; the last layer's output in units of `scale`."""
    up = [layer.at("inverse", context=context).jacobian(states[k + 1]) for k, layer in enumerate(layers)]
    down = (
        [_inverted(j) for j in up]
        if invert
        else [layer.at(context=context).jacobian(states[k]) for k, layer in enumerate(layers)]
    )
    down[-1], up[-1] = down[-1] / scale[:, None], up[-1] * scale
    return down, up


def _amplifications(
    down: list[FloatArray], up: list[FloatArray]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """|Dx/Dh_k| and |Dz/Dh_k| at each point for k = 0 ... L, from products of the layers' Jacobians."""
    rows, n = down[0].shape[:2]
    product: FloatArray = np.broadcast_to(np.eye(n), (rows, n, n))
    to_data: list[FloatArray] = [_norms(product)]
    for j in reversed(down):
        product = product @ j
        to_data.append(_norms(product))
    product = np.broadcast_to(np.eye(n), (rows, n, n))
    to_latent: list[FloatArray] = [_norms(product)]
    for j in up:
        product = product @ j
        to_latent.append(_norms(product))
    return to_data[::-1], to_latent


def _products(
    layers: Sequence[AbstractMap], states: list[FloatArray], context: FloatArray | None, steps: int
) -> tuple[list[FloatArray], list[FloatArray]]:
    """The same, each norm replaced by the product of the layers' own: an estimate from above, but for the Ritz values."""
    ends = [_matrix_free_ends(layer, states[k], context, steps) for k, layer in enumerate(layers)]
    to_data: list[FloatArray] = [np.ones(len(states[0]))]
    to_latent: list[FloatArray] = [np.ones(len(states[0]))]
    for e in reversed(ends):
        to_data.append(to_data[-1] * e[:, 0])
    for e in ends:
        to_latent.append(to_latent[-1] * _reciprocal(e[:, 1]))
    return to_data[::-1], to_latent


def _matrix_free_ends(
    layer: AbstractMap, h: FloatArray, context: FloatArray | None, steps: int
) -> FloatArray:
    found = extremes(layer, h, context, steps=steps)
    return np.stack([found.sigma_max, found.sigma_min], axis=1)


def _ends(forward: FloatArray, backward: FloatArray) -> FloatArray:
    """(largest, smallest) singular value of a layer: the smallest as 1 / the largest of its inverse."""
    return np.stack([forward[:, 0], _reciprocal(backward[:, 0])], axis=1)


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
