"""Structure laws: the planar family. Jacobians are rebuilt by NumPy from the stored parameters, reflections one by one."""

# Laws reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false

from itertools import combinations_with_replacement

import numpy as np

from shoal.bijections import AbstractBijection, ExponentialScale, Householder, Planar, Radial, Sylvester
from tests.laws.laws import close
from tests.laws.oracles import Points, data, values_and_jacobians
from tests.laws.structure_types import Laws


def law_rank_one(bijection: AbstractBijection, points: Points) -> None:
    """J - 1 = û w^T tanh', of rank one at every point, with one û for which 1 + w.û > least_slope."""
    w, u, b = (np.asarray(a) for a in (bijection.w, bijection.u, bijection.b))
    product = _above(w @ u, bijection.least_slope)
    u = u + (product - w @ u) * w / (w @ w)
    assert 1.0 + w @ u > bijection.least_slope
    slopes = 1.0 / np.cosh(points.z @ w + b) ** 2
    _low_rank(bijection, points, slopes[:, None, None] * np.outer(u, w), 1)


def law_low_rank(bijection: AbstractBijection, points: Points) -> None:
    """J - 1 = Q R tanh' R~ Q^T, of rank m at every point, Q^T Q = 1 and 1 + R_ii R~_ii > least_slope."""
    m = len(bijection.b)
    q = _reflections(np.asarray(bijection.vectors))[:, :m]
    close("Jacobian", "float64", np.ones(1), q.T @ q, np.eye(m))
    r, tilde = np.zeros((2, m, m))
    for k, (i, j) in enumerate(combinations_with_replacement(range(m), 2)):
        r[i, j], tilde[i, j] = bijection.upper[k], bijection.upper_tilde[k]
    product = np.diag(r) * np.diag(tilde)
    r = r + np.diag(_above(product, bijection.least_slope) / np.diag(tilde) - np.diag(r))
    assert np.all(1.0 + np.diag(r) * np.diag(tilde) > bijection.least_slope)
    slopes = 1.0 / np.cosh(points.z @ q @ tilde.T + np.asarray(bijection.b)) ** 2
    _low_rank(bijection, points, q @ (r @ (slopes[:, :, None] * tilde)) @ q.T, m)


def law_radial(bijection: AbstractBijection, points: Points) -> None:
    """J = t 1 + (s - t) e e^T, e the unit vector from z0, with s and t between 1 and E = 1 + β/α."""
    assert isinstance(bijection.scale, ExponentialScale)
    alpha = np.exp(bijection.log_alpha)
    beta = alpha * np.expm1(bijection.stretch)
    away = points.z - np.asarray(bijection.z0)
    r = np.linalg.norm(away, axis=1)
    t, s = 1.0 + beta / (alpha + r), 1.0 + alpha * beta / (alpha + r) ** 2
    low, high = sorted((1.0, 1.0 + beta / alpha))
    assert np.all((low <= np.minimum(s, t)) & (np.maximum(s, t) <= high))
    e = away / r[:, None]
    across = t[:, None, None] * np.eye(away.shape[1])
    want = across + (s - t)[:, None, None] * (e[:, :, None] * e[:, None, :])
    close("Jacobian", "float64", points.kappa, _jacobian(bijection, points), want)


def law_reflections(bijection: AbstractBijection, points: Points) -> None:
    """One orthogonal Jacobian at all points, the product of the reflections; the inverse's is its transpose; log-det 0."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    want = np.broadcast_to(_reflections(np.asarray(bijection.vectors)), jacobians.forward.shape)
    close("Jacobian", "float64", points.kappa, jacobians.forward, want)
    close("Jacobian", "float64", points.kappa, jacobians.inverse, want.transpose(0, 2, 1))
    assert not np.any(got.log_det), "forward log-det is not exactly 0"
    assert not np.any(got.log_det_inverse), "inverse log-det is not exactly 0"


LAWS: Laws = {
    Planar: (law_rank_one,),
    Radial: (law_radial,),
    Sylvester: (law_low_rank,),
    Householder: (law_reflections,),
}


def _low_rank(bijection: AbstractBijection, points: Points, update: np.ndarray, rank: int) -> None:
    jacobian = _jacobian(bijection, points)
    one = np.eye(jacobian.shape[1])
    close("Jacobian", "float64", points.kappa, jacobian, one + update)
    sigma = np.linalg.svd(jacobian - one, compute_uv=False)
    assert np.all(sigma[:, rank - 1] > 1e-8 * sigma[:, 0]), f"J - 1 has a rank below {rank}"
    assert np.all(sigma[:, rank:] < 1e-13 * sigma[:, :1]), f"J - 1 has a rank above {rank}"


def _jacobian(bijection: AbstractBijection, points: Points) -> np.ndarray:
    return values_and_jacobians(bijection, points.z, points.z, points.context)[1].forward


def _above(s: np.ndarray, least: float) -> np.ndarray:
    width = 1.0 - least
    return np.where(s < 0, width * (np.exp(np.minimum(s, 0.0) / width) - 1.0), s)


def _reflections(vectors: np.ndarray) -> np.ndarray:
    out = np.eye(vectors.shape[1])
    for v in vectors:
        out = out @ (np.eye(len(v)) - 2.0 * np.outer(v, v) / (v @ v))
    return out
