"""General T by continuation from a rotation: docs/dev/mathematics.md 2.3, for six layers and, where T12 is invertible, five.

Six: T = U diag(s) V^T is followed along U diag(s^t) V^T from Theorem A's layers of the rotation U V^T at t = 0.
Five: with N = T22 T12^{-1} T11 - T21, the matrices with T12 and N of given determinant signs are connected; the path
starts at [[0, Q], [-R, 0]], Q and R the polar factors of T12 and N, whose five layers are closed-form (Theorem B with
orthogonal A: G = Q R = V K V^T, A = A^{-1} = V F V^T, and the two involutions G A and A are similar by `half`).
"""

from collections.abc import Callable

import numpy as np
import scipy.linalg

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.linear._gauge import Point, assemble, start
from shoal.linear._layer import Layer, kinds
from shoal.linear._orthogonal import additive, flip_and_half, rotation_layers
from shoal.linear._search import Effort, lower_conditions, newton
from shoal.linear._shears import Target

Path = Callable[[float], tuple[FloatArray, FloatArray]]


def target_of(matrix: FloatArray, inverse: FloatArray, p: int, count: int) -> Target:
    """The equations for `count` layers L U L U ..., layers 2 and 3 the middle pair."""
    every = kinds(count)
    return Target(matrix, inverse, p, every[:2], every[4:])


def six_start(
    u: FloatArray, s: FloatArray, vt: FloatArray, detour: int = 0
) -> tuple[tuple[Layer, ...], Path]:
    """Theorem A's layers of U V^T, and the path t -> (U s^t V^T, its inverse).

    Detour 1, 2, ... turns the path's start: U s^t V^T exp((1 - t) K), K a random skew-symmetric matrix, for the rare T
    whose layers at t = 0 are a singular point of the equations.
    """
    logs = np.log(s)
    skew = np.random.default_rng(detour).normal(size=(len(s), len(s))) * (0.5 / len(s) ** 0.5 * (detour > 0))
    skew -= skew.T

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        grown, turn = np.exp(t * logs), scipy.linalg.expm((1 - t) * skew)
        return (u * grown) @ vt @ turn, turn.T @ (vt.T / grown) @ u.T

    return rotation_layers(path(0.0)[0]), path


def five_start(matrix: FloatArray, detour: int = 0) -> tuple[tuple[Layer, ...], Path]:
    """The closed-form five layers at t = 0, and a path to T along which T12 and N stay invertible.

    T11 and T22 are free on the way: detour 1, 2, ... bends the path there by t (1 - t) times a random matrix, for the
    rare T whose straight path (detour 0) meets a point that the continuation does not pass.
    """
    d = len(matrix) // 2
    bends = np.random.default_rng(detour).normal(size=(2, d, d)) / d**0.5 * (detour > 0)
    t11, t12, t21, t22 = matrix[:d, :d], matrix[:d, d:], matrix[d:, :d], matrix[d:, d:]
    right = np.linalg.solve(t12, t11)
    u1, s1, v1 = np.linalg.svd(t12)
    u2, s2, v2 = np.linalg.svd(t22 @ right - t21)
    q, r = u1 @ v1, u2 @ v2

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        b = (u1 * s1**t) @ v1
        a, e = t * t11 + t * (1 - t) * bends[0], t * t22 + t * (1 - t) * bends[1]
        c = e @ np.linalg.solve(b, a) - (u2 * s2**t) @ v2
        made = np.block([[a, b], [c, e]])
        return made, np.linalg.inv(made)

    return _five_layers(q, r), path


def _five_layers(q: FloatArray, r: FloatArray) -> tuple[Layer, ...]:
    """Theorem B's layers for T = [[0, Q], [-R, 0]]: A = flip of Q R is an involution, S = R A Q = V A V^T."""
    a, half = flip_and_half(q @ r)
    v, s = r @ half.T, r @ a @ q
    lower = v @ (a - np.eye(len(a)))
    return additive(-r @ a, q @ s.T - a @ v.T, lower, v.T, lower - q.T @ a)


def follow(
    path: Path, layers: tuple[Layer, ...], p: int, count: int, *, ease: int = 3, limit: int = 60
) -> tuple[Target, Point]:
    """Follow a path from its layers at t = 0 to t = 1: steps halve on failure and grow by half on success.

    `ease` descent steps after each step keep the layers well conditioned on the way.
    **Raises:** NumericalFailure where the steps get too small.
    """
    target = target_of(*path(0.0), p, count)
    point = start(target, layers)
    t, step = 0.0, 0.25
    for _ in range(limit):
        ahead = min(1.0, t + step)
        trial = target_of(*path(ahead), p, count)
        found = newton(trial, point, tolerance=1e-10 if ahead < 1.0 else 1e-14, steps=6)
        if found is None or assemble(trial, found) is None:
            step *= 0.5
            if step < 1e-7:
                break
            continue
        t, target, point = ahead, trial, found
        if t == 1.0:
            return target, point
        if ease:
            point = lower_conditions(target, point, Effort(ease))
        step *= 1.5
    raise NumericalFailure(
        f"the continuation to {count} layers stopped at t = {t:.3g} of 1; try `layers=11`, which always succeeds."
    )
