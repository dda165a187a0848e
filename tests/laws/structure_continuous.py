"""Structure laws: the continuous family."""

# Laws reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false

import numpy as np

from shoal.bijections import FFJORD, AbstractBijection
from tests.laws.oracles import Points, data, values_and_jacobians
from tests.laws.structure_types import Laws


def law_flow_in_time(bijection: AbstractBijection, points: Points) -> None:
    """Orientation is kept, and singular values lie in [exp(-L), exp(L)], L from the 2-norms of the weights (NumPy)."""
    n, velocity = bijection.shape[0], bijection.velocity
    (first,), last = velocity.weights, velocity.last
    norm = lambda a: np.linalg.norm(np.asarray(a), 2)
    bound = norm(velocity.skip[:, :n]) + norm(last) * norm(first[:, :n])
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        assert np.all(np.linalg.det(j) > 0), "the orientation changes"
        sigma = np.linalg.svd(j, compute_uv=False)
        assert np.all(np.abs(np.log(sigma)) <= bound * (1 + 1e-9)), "a singular value beyond exp(+-L)"


LAWS: Laws = {FFJORD: (law_flow_in_time,)}
