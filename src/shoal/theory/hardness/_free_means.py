"""Mixtures of equal normals whose means are given, and the ring in the plane: where code words are too few.

A plane has 4 words of signs, so that `GaussianMixtureOnSphere` ends at k = 4 there; k points of a circle have no such limit.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import pdist

from shoal._types import Array, ArrayLike, Float
from shoal.theory.hardness._equal_normals import AbstractEqualNormals


class FreeMeansMixture(AbstractEqualNormals):
    r"""(1/k) sum_i N(mu_i, gamma^2 I_d) with the means mu_i that are given.

    **Arguments:** `means`: (k, d), finite and distinct; `gamma`: the deviation, positive.
    **Fields:** `distance`: the least distance between two means (infinite for one); `radius`: the largest |mu_i|.
    There is no shallow generator of O(k) parameters here: k free means are k d numbers.
    **Raises:** ValueError for means that coincide, are not finite or have another shape, and for gamma <= 0.
    """

    means: Float[Array, "k d"]
    gamma: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    distance: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, means: ArrayLike, gamma: float = 1.0):
        given = np.asarray(means, np.float64)
        if given.ndim != 2 or given.size == 0 or not np.isfinite(given).all():
            raise ValueError(
                f"`FreeMeansMixture(means)` must be finite, of shape (k, d); got shape {given.shape}."
            )
        if not 0 < gamma < math.inf:
            raise ValueError(f"`FreeMeansMixture(gamma)` must be positive and finite; got {gamma}.")
        apart = float(pdist(given).min()) if len(given) > 1 else math.inf
        if apart == 0:
            raise ValueError("`FreeMeansMixture(means)` has two means that coincide; give distinct ones.")
        self.means = jnp.asarray(given)
        self.gamma, self.distance = float(gamma), apart
        self.radius = float(np.linalg.norm(given, axis=1).max())
        self.shape, self.context_shape = (given.shape[1],), None
        self.columns = self.context_columns = None


def ring(k: int, *, radius: float, gamma: float) -> FreeMeansMixture:
    """k normals in the plane, their means equally spaced on the circle: neighbours are 2 radius sin(pi / k) apart.

    **Raises:** ValueError for k < 2 or a radius that is not positive.

    >>> from shoal.theory.hardness import ring
    >>> round(ring(6, radius=2.0, gamma=0.1).distance, 6)
    2.0
    """
    if k < 2 or not 0 < radius < math.inf:
        raise ValueError(f"`ring` needs k >= 2 and a positive, finite radius; got {k}, {radius}.")
    angle = 2 * math.pi * np.arange(k) / k
    return FreeMeansMixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), gamma)
