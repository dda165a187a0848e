"""Structure laws of the fronts: elementwise and increasing, or affine with the matrix that its numbers say."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import numpy as np

from shoal.bijections import AbstractBijection, LogTails, Marginals, Whitening
from tests.laws.laws import close
from tests.laws.oracles import Points, data, values_and_jacobians
from tests.laws.structure_types import Laws


def law_elementwise(bijection: AbstractBijection, points: Points) -> None:
    """Each output is an increasing function of its own input, in both directions."""
    _, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    for j in (jacobians.forward, jacobians.inverse):
        diagonal = np.diagonal(j, axis1=1, axis2=2)
        assert np.all(diagonal > 0.0)
        np.testing.assert_array_equal(j, diagonal[:, :, None] * np.eye(j.shape[1]))


def law_tails(bijection: AbstractBijection, points: Points) -> None:
    """z = sign(x) (start + log1p(λ (|x| - start)) / λ) beyond the borders, x within them, by NumPy."""
    x = data(bijection, points)
    got, _ = values_and_jacobians(bijection, points.z, x, points.context)
    index = 1e-3 + np.logaddexp(0.0, np.asarray(bijection.raw, np.float64))
    index = np.where(x < 0, index[0], index[1])
    far = np.maximum(np.abs(x) - bijection.start, 0.0)
    want = np.sign(x) * (np.minimum(np.abs(x), bijection.start) + np.log1p(index * far) / index)
    close("Jacobian", "float64", points.kappa, got.z, want)


def law_jumps(bijection: AbstractBijection, points: Points) -> None:
    """log dz/dx rises by the stated jump at each inner knot, and not at the outer ones; z goes on without a step."""
    knots, jumps = np.asarray(bijection.knots, np.float64), np.asarray(bijection.log_jumps, np.float64)
    step = 1e-7
    for k in range(knots.shape[1]):
        context = None if points.context is None else points.context[:2]
        x = np.stack([knots[:, k] - step, knots[:, k] + step])
        got, jacobians = values_and_jacobians(bijection, points.z[:2], x, context)
        slopes = np.log(np.diagonal(jacobians.inverse, axis1=1, axis2=2))
        np.testing.assert_allclose(slopes[1] - slopes[0], jumps[:, k], atol=1e-4)
        np.testing.assert_allclose(got.z[1], got.z[0], atol=4 * step * np.exp(slopes.max()))


def law_whitening(bijection: AbstractBijection, points: Points) -> None:
    """z = U L (x - mean - slopes c), multiplied out by NumPy; entries outside the triangles are not used."""
    n = bijection.shape[0]
    lower = np.tril(bijection.lower, -1) + np.diag(np.exp(bijection.log_diagonal))
    matrix = (np.triu(bijection.upper, 1) + np.eye(n)) @ lower
    x = data(bijection, points)
    got, jacobians = values_and_jacobians(bijection, points.z, x, points.context)
    centre = np.asarray(bijection.mean)[None]
    if bijection.slopes is not None:
        centre = centre + points.context @ np.asarray(bijection.slopes).T
    close("Jacobian", "float64", points.kappa, got.z, (x - centre) @ matrix.T)
    shape = jacobians.inverse.shape
    close("Jacobian", "float64", points.kappa, jacobians.inverse, np.broadcast_to(matrix, shape))


LAWS: Laws = {
    LogTails: (law_elementwise, law_tails),
    Marginals: (law_elementwise, law_jumps),
    Whitening: (law_whitening,),
}
