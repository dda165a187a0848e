"""Structure laws: the residual family."""

# Laws reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false

import jax
import numpy as np

from shoal.bijections import AbstractBijection, Layerwise, Residual
from tests.laws.laws import close
from tests.laws.oracles import Points, cast, data, values_and_jacobians
from tests.laws.structure_types import Laws

_ROUNDING = 1.0 + 1e-12  # of the Jacobians, in float64


def law_contraction(bijection: AbstractBijection, points: Points) -> None:
    """The inverse is 1 + a map whose largest singular value is at most the stated constant: in float64, with the weights as
    they act in float32 and in float64, at the points and at 30 times them."""
    limit = bijection.lipschitz
    assert 0.0 < limit < 1.0
    x = data(bijection, points)
    for at in (x, 30.0 * x):
        jacobian = values_and_jacobians(bijection, points.z, at, points.context)[1].inverse
        sigma = np.linalg.svd(jacobian - np.eye(x.shape[1]), compute_uv=False)[:, 0]
        assert np.all(sigma <= limit * _ROUNDING), f"Lip g is at least {np.max(sigma)}, stated {limit}"
        assert np.all(sigma > 1e-4 * limit), "g hardly depends on x: the law shows nothing"
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            net = cast(bijection, dtype).g.net()
            product = np.prod([np.linalg.svd(np.asarray(w, np.float64))[1][0] for w in net.matrices])
        assert product <= limit, f"{dtype}: norms of the weights multiply to {product}, stated {limit}"


def law_layerwise(bijection: AbstractBijection, points: Points) -> None:
    """Every singular value of dx/dz lies in `bounds`, and dx/dz = diag(s') A with one A at all points: the rows of two
    Jacobians are parallel, and their lengths differ by a factor between slope and 1 / slope."""
    jacobian = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1].forward
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    low, high = bijection.bounds
    assert np.all(sigma >= low / _ROUNDING), f"smallest singular value {np.min(sigma)}, stated {low}"
    assert np.all(sigma <= high * _ROUNDING), f"largest singular value {np.max(sigma)}, stated {high}"
    first = jacobian[0]
    ratios = np.sum(jacobian * first, axis=2) / np.sum(first * first, axis=1)
    close("Jacobian", "float64", points.kappa, ratios[:, :, None] * first, jacobian)
    assert np.all(ratios >= bijection.leaky.slope / _ROUNDING)
    assert np.all(ratios <= _ROUNDING / bijection.leaky.slope)
    assert np.ptp(ratios) > 1e-3, "s' hardly varies: the law shows nothing"


LAWS: Laws = {Residual: (law_contraction,), Layerwise: (law_layerwise,)}
