"""Laws that are hard for shallow flows: mixtures of equal normals, and one with heavy tails.

Theorem 4's instances have means on a sphere, words of a code, so that a shallow generator makes them. A plane has 4 words
of signs only, so `GaussianMixtureOnSphere` ends at k = 4 there; k points of a circle (`ring`) have no such limit.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.spatial.distance import pdist
from scipy.special import gammainc, gammaln, ndtri

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import KnotConditioner
from shoal.distributions import AbstractDistribution


class AbstractEqualNormals(AbstractDistribution):
    """(1/k) sum_i N(mu_i, gamma^2 I_d). `distance`: the least one between two means; `radius`: the largest |mu_i|."""

    means: eqx.AbstractVar[Float[Array, "k d"]]
    gamma: eqx.AbstractVar[float]
    radius: eqx.AbstractVar[float]
    distance: eqx.AbstractVar[float]

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """The exact log-density, by log-sum-exp."""
        k, d = self.means.shape
        squares = jnp.sum(jnp.square((x - self.means) / self.gamma), axis=1)
        constant = 0.5 * d * math.log(2 * math.pi) + d * math.log(self.gamma) + math.log(k)
        return jax.nn.logsumexp(-0.5 * squares) - constant

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Exact samples and their log_prob."""
        pick, noise = jr.split(key)
        index = jr.randint(pick, (rows,), 0, self.means.shape[0])
        x = self.means[index] + self.gamma * jr.normal(noise, (rows, *self.shape), self.means.dtype)
        return x, jax.vmap(self.log_prob_one)(x)


class FreeMeansMixture(AbstractEqualNormals):
    r"""(1/k) sum_i N(mu_i, gamma^2 I_d) with the means mu_i that are given.

    **Arguments:** `means`: (k, d), finite and distinct; `gamma`: the deviation, positive.
    **Fields:** `distance`: the least distance between two means (infinite for one); `radius`: the largest |mu_i|.
    There is no shallow generator of O(k) parameters here: k free means are k d numbers.
    **Raises:** InputError for means that coincide, are not finite or have another shape, and for gamma <= 0.
    """

    means: Float[Array, "k d"]
    gamma: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    distance: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True, default=None)
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    context_columns: tuple[str, ...] | None = eqx.field(static=True, default=None)

    def __init__(self, means: ArrayLike, gamma: float = 1.0):
        given = np.asarray(means, np.float64)
        if given.ndim != 2 or given.size == 0 or not np.isfinite(given).all():
            raise InputError(
                f"`FreeMeansMixture(means)` must be finite, of shape (k, d); got shape {given.shape}."
            )
        if not 0 < gamma < math.inf:
            raise InputError(f"`FreeMeansMixture(gamma)` must be positive and finite; got {gamma}.")
        apart = float(pdist(given).min()) if len(given) > 1 else math.inf
        if apart == 0:
            raise InputError("`FreeMeansMixture(means)` has two means that coincide; give distinct ones.")
        self.means = jnp.asarray(given)
        self.gamma, self.distance = float(gamma), apart
        self.radius = float(np.linalg.norm(given, axis=1).max())
        self.shape = (given.shape[1],)


def ring(k: int, *, radius: float, gamma: float) -> FreeMeansMixture:
    """k normals in the plane, their means equally spaced on the circle: neighbours are 2 radius sin(pi / k) apart.

    **Raises:** InputError for k < 2 or a radius that is not positive.

    >>> from shoal.theory.hardness import ring
    >>> round(ring(6, radius=2.0, gamma=0.1).distance, 6)
    2.0
    """
    if k < 2 or not 0 < radius < math.inf:
        raise InputError(f"`ring` needs k >= 2 and a positive, finite radius; got {k}, {radius}.")
    angle = 2 * math.pi * np.arange(k) / k
    return FreeMeansMixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), gamma)


class GaussianMixtureOnSphere(AbstractEqualNormals):
    r"""(1/k) sum_i N(mu_i, gamma^2 I_d), |mu_i| = radius.

    Means are words of a random binary linear code: mu_i = (radius / sqrt(d)) (-1)^{G b(i)}, b(i) the bits of i, G a seeded
    binary matrix (d, ceil(log2 k)). Two means are 2 radius sqrt(h / d) apart, h their Hamming distance; `distance` is the
    least one, computed over all words. So the generator needs O(k) parameters (its staircases) plus d log k bits, not
    k d numbers.
    **Arguments:** `key`; `k`; `d`, at least log2 k; `gamma`; `radius`: default 10 gamma sqrt(d) (the printed
    10 gamma^2 d is a squared length).
    Separation: modes are a distance apart that exceeds 2 gamma sqrt(2 log k), say, where radius / gamma is large.
    **Raises:** InputError where two means coincide (d too small for k) or sizes are wrong.
    """

    means: Float[Array, "k d"]
    code: Float[Array, "d m"]
    gamma: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    distance: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True, default=None)
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    context_columns: tuple[str, ...] | None = eqx.field(static=True, default=None)

    def __init__(self, key: Key, k: int, d: int, gamma: float = 1.0, radius: float | None = None):
        if k < 1 or d < 1 or not 0 < gamma < math.inf:
            raise InputError(
                f"`GaussianMixtureOnSphere` needs k, d >= 1 and gamma > 0; got {k}, {d}, {gamma}."
            )
        radius = 10 * gamma * math.sqrt(d) if radius is None else float(radius)
        if not 0 <= radius < math.inf:
            raise InputError(f"`radius` must be at least 0 and finite; got {radius}.")
        bits = max(math.ceil(math.log2(k)), 1)
        rng = np.random.default_rng(int(jr.randint(key, (), 0, 2**31 - 1, jnp.int32)))
        code = max((rng.integers(0, 2, (d, bits)) for _ in range(20)), key=_least_distance)
        words = np.arange(k)[:, None] >> np.arange(bits) & 1
        signs = 1.0 - 2.0 * (words @ code.T % 2)
        apart = _least_distance(code)
        if k > 1 and apart == 0:
            raise InputError(f"`d` = {d} is too small for {k} different means; it must be at least {bits}.")
        self.means = jnp.asarray(radius / math.sqrt(d) * signs)
        self.code = jnp.asarray(code, self.means.dtype)
        self.gamma, self.radius = float(gamma), radius
        self.distance = 2 * radius * math.sqrt(apart / d)
        self.shape = (d,)

    def generator(self, ramps: float = 1e-3) -> "ShallowGenerator":
        """The shallow generator whose ramps have total probability `ramps`."""
        return ShallowGenerator(self, ramps)


class ShallowGenerator(eqx.Module):
    r"""g: R^{d+1} -> R^d, (z, zeta) -> gamma z + mu(zeta), a ReLU network of three hidden layers and O(k) parameters.

    First layer: one staircase in zeta for each bit of the cell's index, 2 ReLUs for each change of the bit. Second: the sum
    s_c = sum_j G_cj b_j for each coordinate, and its parity by a zigzag of ReLUs, (-1)^{s}; times radius / sqrt(d).
    On ramps, of total probability `ramps`, the mean lies between: W1(g#N, mixture) <= 2 radius ramps.
    """

    bits: tuple[KnotConditioner, ...]
    zigzag: KnotConditioner
    code: Float[Array, "d m"]
    gamma: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    ramps: float = eqx.field(static=True)

    def __init__(self, mixture: GaussianMixtureOnSphere, ramps: float = 1e-3):
        if not 0 < ramps < 1:
            raise InputError(f"`ramps` must lie in (0, 1); got {ramps}.")
        k = mixture.means.shape[0]
        dtype = mixture.means.dtype
        m = mixture.code.shape[1]
        one = jnp.ones(1, dtype)
        self.bits = tuple(KnotConditioner(one, *_staircase(k, j, ramps, dtype)) for j in range(m))
        waves = jnp.asarray((-1.0) ** np.arange(m + 1), dtype)[:, None]
        self.zigzag = KnotConditioner(one, jnp.arange(m + 1, dtype=dtype), waves)
        self.code, self.ramps = mixture.code, float(ramps)
        self.gamma, self.radius = mixture.gamma, mixture.radius

    def __call__(self, z: Float[Array, "d_plus_1"]) -> Vector:
        """One point; the last coordinate of z is zeta."""
        bits = jnp.concatenate([bit(z[-1:]) for bit in self.bits])
        signs = jax.vmap(lambda s: self.zigzag(s[None])[0])(matmul(self.code, bits))
        return self.gamma * z[:-1] + self.radius / math.sqrt(len(signs)) * signs

    def sample(self, key: Key, rows: int) -> Float[Array, "rows d"]:
        """g of `rows` standard normal points."""
        d = self.code.shape[0]
        return _images(self, jr.normal(key, (rows, d + 1), self.code.dtype))

    @property
    def distance(self) -> float:
        """An upper bound of W1(g#N, mixture): 2 radius ramps. Off the ramps both are the same function of (z, zeta)."""
        return 2 * self.radius * self.ramps

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers in the network: `staircases` (a knot and a change of slope each), `zigzag`, `code` (bits), `scales`."""
        knots = sum(bit.knots.shape[0] for bit in self.bits)
        return {
            "staircases": 2 * knots,
            "zigzag": 2 * self.zigzag.knots.shape[0],
            "code": self.code.size,
            "scales": 2,
        }


@eqx.filter_jit
def _images(generator: ShallowGenerator, z: Float[Array, "rows d_plus_1"]) -> Float[Array, "rows d"]:
    return jax.vmap(generator)(z)


class HeavyTails(AbstractDistribution):
    r"""p(x) proportional to exp(-(|x| / scale)^tail) on R^d: heavier tails than a normal's for tail < 2.

    (|x| / scale)^tail is a Gamma variable of shape d / tail, so density, sampler, `score` and `mass_within` are exact.
    The median radius is about scale (d / tail)^(1 / tail): it grows fast as the tail gets heavier.
    **Source:** the targets by which Kong and Chaudhuri (2020, arXiv 2006.00392) bound the depth of local planar flows.
    **Raises:** InputError unless d >= 1, 0 < tail <= 2 and scale is positive and finite.
    """

    dim: int = eqx.field(static=True)
    tail: float = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True, default=None)
    columns: tuple[str, ...] | None = eqx.field(static=True, default=None)
    context_columns: tuple[str, ...] | None = eqx.field(static=True, default=None)

    def __init__(self, dim: int, tail: float, scale: float = 1.0):
        if dim < 1 or not 0 < tail <= 2 or not 0 < scale < math.inf:
            raise InputError(
                "`HeavyTails` needs dim >= 1, 0 < tail <= 2 and a positive, finite scale; "
                f"got {dim}, {tail}, {scale}."
            )
        self.dim, self.tail, self.scale = dim, float(tail), float(scale)
        self.shape = (dim,)

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

        (tail / scale) E r^(tail - 1) E |<v, direction>| with r^tail a Gamma variable of shape d / tail; always finite, and
        rounded up.
        """
        d, power = self.dim, self.dim / self.tail
        along = math.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / math.sqrt(math.pi)
        radial = math.exp(gammaln(power + (self.tail - 1) / self.tail) - gammaln(power))
        rounding = 8 * float(np.finfo(float).eps) * (8 + abs(gammaln(power)) + abs(gammaln(d / 2)))
        return self.tail / self.scale * radial * along * (1 + rounding)

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
        return max(
            float(np.abs(normal - self.mass_within(reach)).max()) - 1e-10, 0.0
        )  # less what gammainc rounds


def _least_distance(code: np.ndarray) -> int:
    """Of a linear code: the least weight of a word that is not zero (of all 2^m, which holds the first k)."""
    bits = code.shape[1]
    every = (np.arange(1, 2**bits)[:, None] >> np.arange(bits)) & 1
    return int((every @ code.T % 2).sum(axis=1).min())


def _staircase(k: int, j: int, ramps: float, dtype: np.dtype) -> tuple[Array, Array]:
    """Knots in zeta and values of bit j of the cell's index, cells of probability 1 / k, all ramps together `ramps`."""
    index = np.arange(k)
    bit = index >> j & 1
    changes = np.flatnonzero(np.diff(bit)) + 1
    if len(changes) == 0:
        return jnp.zeros(1, dtype), jnp.full((1, 1), float(bit[0]), dtype)
    share = ramps / max(k - 1, 1)
    ends = ndtri(np.stack([changes / k - share / 2, changes / k + share / 2], axis=1))
    values = np.stack([bit[changes - 1], bit[changes]], axis=1).astype(float)
    return jnp.asarray(ends.reshape(-1), dtype), jnp.asarray(values.reshape(-1, 1), dtype)
