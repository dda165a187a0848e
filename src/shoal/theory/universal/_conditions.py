"""Exact condition numbers of the two layers and of their composition, on cells and on ramps.

layer 1 has J = [[delta I, s e^T], [0, I]], layer 2 J = [[I, 0], [r v^T, delta I]] with s = 0 and r = 0 on cells, the slopes
on ramps. kappa = |J| |J^{-1}|; each acts on a space of at most four dimensions and by its scales elsewhere, so that
every figure is a largest singular value of a matrix of order four. Rounding: a few eps, whatever kappa is.
"""

import numpy as np
from scipy.special import ndtr

from shoal._scalars import FloatArray
from shoal.records.construction import StaircaseConditions
from shoal.records.figures import Figure
from shoal.theory.universal._staircase import Staircase


def conditions(made: Staircase) -> dict[str, StaircaseConditions]:
    """Of "layer 1", "layer 2" (forward order) and their "composition"."""
    eta = made.ramp_masses()
    gaps = np.diff(made.position)
    width = np.maximum(gaps - 2 * made.plateau, np.finfo(float).tiny)
    s = np.diff(made.a, axis=0) / (2 * made.half)[:, None]
    r = np.diff(made.b, axis=0) / width[:, None]
    flat = np.zeros_like(s)
    tail = 2 * float(ndtr(-made.plateau / (made.delta * np.linalg.norm(made.direction))))
    steep = width / np.maximum(gaps, np.finfo(float).tiny)  # the part of a ramp on which t3 moves too
    nothing = np.zeros((1, made.a.shape[1]))
    on_cells = [_kappa(made, nothing, nothing, which)[0] for which in ("first", "second", "both")]
    first, second = _kappa(made, s, flat, "first"), _kappa(made, flat, r, "second")
    both = [_kappa(made, s, flat, "both"), _kappa(made, s, r, "both"), _kappa(made, flat, r, "both")]
    rare = np.full(len(eta), tail / max(len(eta), 1))
    return {
        "layer 1": _summary(on_cells[0], first, eta),
        "layer 2": _summary(on_cells[1], second, eta * steep + rare),
        "composition": _summary(
            on_cells[2], np.concatenate(both), np.concatenate([eta * (1 - steep), eta * steep, rare])
        ),
    }


def _summary(cells: float, ramps: FloatArray, masses: FloatArray) -> StaircaseConditions:
    total = float(masses.sum())
    if len(ramps) == 0:
        same = Figure(float(cells), "exact")
        return StaircaseConditions(same, same, same, same, Figure(0.0, "exact"), same)
    order = np.argsort(ramps)
    above = np.cumsum(masses[order][::-1])[::-1]  # mass at this kappa or more
    worse = order[above >= 0.01]
    at99 = float(cells if len(worse) == 0 else max(cells, ramps[worse[-1]]))
    exact = lambda value: Figure(float(value), "exact")
    return StaircaseConditions(
        exact(cells),
        exact(ramps.min()),
        exact(np.median(ramps)),
        exact(ramps.max()),
        exact(total),
        exact(at99),
    )


def _kappa(made: Staircase, s: FloatArray, r: FloatArray, which: str) -> FloatArray:
    """kappa of J at slopes s of t2 and r of t3, (K, d) each, in the bases (v, rest of s) and (e, rest of r)."""
    d, count = made.a.shape[1], len(s)
    if count == 0:
        return np.zeros(0)
    v = made.direction / np.linalg.norm(made.direction)
    stretch = np.linalg.norm(made.direction)
    along, driver = s @ v, r[:, 0]
    across = np.sqrt(np.maximum(np.square(s).sum(axis=1) - along**2, 0.0))
    beside = np.sqrt(np.maximum(np.square(r).sum(axis=1) - driver**2, 0.0))
    delta = 1.0 if which == "second" else made.delta
    scale = 1.0 if which == "first" else made.delta
    one = np.zeros((count, 4, 4))
    one[:, 0, 0] = one[:, 1, 1] = delta
    one[:, 2, 2] = one[:, 3, 3] = 1.0
    one[:, 0, 2], one[:, 1, 2] = along, across
    back_one = one.copy()
    back_one[:, 0, 0] = back_one[:, 1, 1] = 1 / delta
    back_one[:, 0, 2], back_one[:, 1, 2] = -along / delta, -across / delta
    two = np.zeros((count, 4, 4))
    two[:, 0, 0] = two[:, 1, 1] = 1.0
    two[:, 2, 2] = two[:, 3, 3] = scale
    two[:, 2, 0], two[:, 3, 0] = driver * stretch, beside * stretch
    back_two = two.copy()
    back_two[:, 2, 2] = back_two[:, 3, 3] = 1 / scale
    back_two[:, 2, 0], back_two[:, 3, 0] = -driver * stretch / scale, -beside * stretch / scale
    there, back = two @ one, back_one @ back_two
    if d == 1:
        there, back = (m[:, ::2, ::2] for m in (there, back))
    top, bottom = (np.linalg.svd(m, compute_uv=False)[:, 0] for m in (there, back))
    inner = {"first": [made.delta, 1.0], "second": [1.0, made.delta], "both": [made.delta]}[which]
    return np.maximum(top, max(inner)) * np.maximum(bottom, 1 / min(inner))
