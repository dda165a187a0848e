"""The certificate's terms: what each part of the construction adds to W2, each an upper bound.

With e the difference between a point of the flow and the atom of its cell, W2(flow, sample) <= quantization + push
+ scales + sqrt(ramps^2 + tails^2) + borders (Minkowski), where
    push^2 = sum w_i |moved atom - atom|^2              (exact for the arrays as stored, rounding to the dtype included)
    scales^2 = E |(delta x, delta y)|^2 = n delta^2
    ramps^2 = sum eta_i (|a_{i+1} - a_i|^2 / 4 + |b_{i+1} - b_i|^2), eta_i the probability of ramp i: on it x' lies on the
        segment, at most half of it from the cell's own atom, and t3 between b_i and b_{i+1} unless
    tails^2 = 2 Phi(-z) diam(b)^2, z = (rho / 4 - rounding of u) / (delta |v|), the probability that u leaves its plateau
    borders: the cells of the stored borders have masses Phi(c_i) instead of sum_{j <= i} w_j.
"""

import numpy as np
from scipy.special import ndtr

from shoal._scalars import FloatArray
from shoal.records.construction import Terms
from shoal.universal._atoms import Atoms
from shoal.universal._staircase import Staircase


def terms(made: Staircase, atoms: Atoms, extra: int, dtype: str) -> Terms:
    """The terms of the layers as stored. Float64 sums are rounded up by 1e-9 of themselves."""
    d, w = made.a.shape[1], made.weights
    n = 2 * d - extra
    placed = np.concatenate([made.a, made.b], axis=1)[:, :n]
    push = np.sqrt(w @ np.square(placed - atoms.points[made.order]).sum(axis=1))
    scales = np.sqrt(n) * made.delta
    jumps = np.diff(placed, axis=0)
    first, second = (np.square(part).sum(axis=1) for part in (jumps[:, :d], jumps[:, d:]))
    ramps = np.sqrt(ramp_masses(made) @ (first / 4 + second))
    rounding = np.finfo(dtype).eps * (d + 2) * (np.abs(made.a).max() + made.delta)
    z = (made.plateau - rounding) / (made.delta * np.linalg.norm(made.direction))
    tails = np.sqrt(2 * ndtr(-z)) * box_diameter(made.b[:, : n - d])
    up = 1 + 1e-9
    return Terms(
        atoms.quantization * up, float(push) * up, float(scales) * up, float(ramps) * up, float(tails) * up,
        _border_term(made, np.sqrt(first + second)) * up,
    )  # fmt: skip


def ramp_masses(made: Staircase) -> FloatArray:
    """eta_i = Phi(c_i + h_i) - Phi(c_i - h_i), evaluated on the side where it loses no digits."""
    c = -np.abs(made.borders)
    return ndtr(c + made.half) - ndtr(c - made.half)


def box_diameter(points: FloatArray) -> float:
    """The diagonal of the bounding box: at least the diameter."""
    if points.shape[1] == 0:
        return 0.0
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def _border_term(made: Staircase, jumps: FloatArray) -> float:
    """Mass f_i too many on one side of border i moves one step: sum |f_i| jump_i^2 while no atom runs out of mass."""
    if len(jumps) == 0:
        return 0.0
    below = np.cumsum(made.weights)[:-1]
    above = np.cumsum(made.weights[::-1])[::-1][1:]
    flow = np.where(made.borders < 0, np.abs(ndtr(made.borders) - below), np.abs(ndtr(-made.borders) - above))
    flow = flow + 4 * np.finfo(np.float64).eps
    if flow.max() <= made.weights.min() / 2:
        return float(np.sqrt(flow @ np.square(jumps)))
    return float(np.sqrt(flow) @ jumps)  # by Minkowski, one border after the other
