r"""Planar layers with bounded shifts against one given target: a bound on total variation, whatever w and b are.

f_i(z) = z + u_i h_i(<w_i, z> + b_i), invertible, h_i monotone and absolutely continuous with |h_i| <= 1, or the inverse of
such a layer; p has an integrable gradient. With S(p) = sup over unit v of E_p |<v, grad log p>|,

    TV(f_l ... f_1 # q, p) >= TV(q, p) - S(p) sum_i |u_i|    for every base law q.

**Proof.** TV(f # q, p) = TV(q, f^{-1} # p) >= TV(q, p) - TV(f^{-1} # p, p), layer by layer; left is
TV(f^{-1} # p, p) <= |u| S(p). On f_t = z + t u h the density of f_t^{-1} # p is p(f_t) D_t, D_t = 1 + t <u, w> h' > 0, and
its derivative in t is <u, grad p(f_t)> h D_t + p(f_t) <u, w> h'. The first part has an integral of at most
|u| S(p). In the second substitute x = f_t(z), y = <w, x> + b, whose density under p is at most m / |w|, m the largest
density of a projection of p on a line: at most |<u, w>| (m / |w|) int |h'| <= 2 |u| m. And 2 m <= int |q'| <= S(p), q the
density of <v, x>, as q tends to 0 at both ends. Halve the sum. For an inverse layer TV(f # p, p) = TV(p, f^{-1} # p).

The idea, to follow how little a layer moves a slowly varying target, is Kong and Chaudhuri's (2020, arXiv 2006.00392, depth
bounds for local planar flows with bounded weights); the form here has its own proof and needs no bound on w.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import gammainc, gammaln

from shoal._errors import InputError
from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions import AbstractDistribution


class HeavyTails(AbstractDistribution):
    r"""p(x) proportional to exp(-(|x| / scale)^tail) on R^d: heavier tails than a normal's for tail < 2.

    (|x| / scale)^tail is a Gamma variable of shape d / tail, so density, sampler, `score` and `mass_within` are exact.
    The median radius is about scale (d / tail)^(1 / tail): it grows fast as the tail gets heavier.
    **Source:** the targets by which Kong and Chaudhuri (2020, arXiv 2006.00392) bound the depth of local planar flows.
    **Raises:** ValueError unless d >= 1, 0 < tail <= 2 and scale is positive and finite.
    """

    dim: int = eqx.field(static=True)
    tail: float = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, tail: float, scale: float = 1.0):
        if dim < 1 or not 0 < tail <= 2 or not 0 < scale < math.inf:
            raise ValueError(
                "`HeavyTails` needs dim >= 1, 0 < tail <= 2 and a positive, finite scale; "
                f"got {dim}, {tail}, {scale}."
            )
        self.dim, self.tail, self.scale = dim, float(tail), float(scale)
        self.shape, self.context_shape = (dim,), None
        self.columns = self.context_columns = None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x) = -(|x| / scale)^tail - log of the integral, which is in closed form."""
        d, power = self.dim, self.dim / self.tail
        sphere = math.log(2.0) + 0.5 * d * math.log(math.pi) - math.lgamma(d / 2)
        constant = sphere - math.log(self.tail) + math.lgamma(power) + d * math.log(self.scale)
        square = jnp.sum(jnp.square(x / self.scale))
        return -jnp.power(square, self.tail / 2) - constant

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Exact samples (a direction, and a Gamma variable for the radius) and their log_prob."""
        one, two = jr.split(key)
        direction = jr.normal(one, (rows, self.dim))
        direction = direction / jnp.linalg.norm(direction, axis=1, keepdims=True)
        power = jr.gamma(two, self.dim / self.tail, (rows,))
        x = self.scale * jnp.power(power, 1 / self.tail)[:, None] * direction
        return x, jax.vmap(self.log_prob_one)(x)

    @property
    def score(self) -> float:
        """E |<v, grad log p>| for a unit vector v: the largest over v, as the law is isotropic.

        (tail / scale) E r^(tail - 1) E |<v, direction>| with r^tail a Gamma variable of shape d / tail; always finite.
        """
        d, power = self.dim, self.dim / self.tail
        along = math.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / math.sqrt(math.pi)
        radial = math.exp(gammaln(power + (self.tail - 1) / self.tail) - gammaln(power))
        return self.tail / self.scale * radial * along

    def mass_within(self, radius: float | np.ndarray) -> np.ndarray:
        """P(|x| <= radius), `radius` >= 0 of any shape; the result has its shape."""
        return gammainc(self.dim / self.tail, (np.asarray(radius, np.float64) / self.scale) ** self.tail)

    def from_normal(self) -> float:
        """A lower bound of TV(N(0, I), p): the largest difference of the masses of a ball, over a fine grid of radii.

        Any event gives a lower bound. Balls are close to the best where the two radii are far apart; laws whose radii have
        one centre and two spreads are about twice as far as they show.
        """
        reach = np.geomspace(1e-3, 1e3, 20_001) * math.sqrt(self.dim)
        normal = gammainc(self.dim / 2, np.square(reach) / 2)
        return float(np.abs(normal - self.mass_within(reach)).max())


@dataclass(frozen=True)
class LocalPlanarBound:
    """`depth`: fewer planar layers with |u| <= `radius` are farther than `distance` from the target in total variation.

    This is a statement about one given target, from the base N(0, I) and without other layers. `vacuous`: depth is 1 or 0.
    `from_base`: a lower bound of TV(N(0, I), target); `score`: S(target).
    """

    depth: int
    vacuous: bool
    distance: float
    radius: float
    from_base: float
    score: float


def local_planar_depth(target: HeavyTails, *, radius: float, distance: float) -> LocalPlanarBound:
    """The least l with TV(N, p) - l radius S(p) <= distance: with fewer layers the distance is not reached.

    **Arguments:** `radius`: the largest |u_i|; `distance`: total variation that is wanted, in (0, 1).
    **Raises:** ValueError for numbers outside their range.
    """
    if not 0 < radius < math.inf or not 0 < distance < 1:
        raise InputError(
            f"`local_planar_depth` needs radius > 0 and 0 < distance < 1; got {radius!r}, {distance!r}."
        )
    start, score = target.from_normal(), target.score
    depth = max(math.ceil((start - distance) / (radius * score)), 0)
    return LocalPlanarBound(depth, depth <= 1, distance, radius, start, score)


def planar_gap(target: HeavyTails, shifts: Sequence[float]) -> float:
    """A lower bound of TV(f # N(0, I), target) for a flow of planar layers with |u_i| = `shifts`; at least 0.

    **Raises:** ValueError for shifts that are negative or not finite.
    """
    if not all(0 <= s < math.inf for s in shifts):
        raise InputError("`planar_gap(shifts)` must be finite and at least 0.")
    return max(target.from_normal() - target.score * math.fsum(shifts), 0.0)
