"""Theorem 4's instances: mixtures of k normals with means on a sphere, and the shallow generator that makes them."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import ndtri

from shoal._products import matmul
from shoal._types import Array, Float, Key, Vector
from shoal.bijections import KnotConditioner
from shoal.theory.hardness._equal_normals import AbstractEqualNormals


class GaussianMixtureOnSphere(AbstractEqualNormals):
    r"""(1/k) sum_i N(mu_i, gamma^2 I_d), |mu_i| = radius.

    Means are words of a random binary linear code: mu_i = (radius / sqrt(d)) (-1)^{G b(i)}, b(i) the bits of i, G a seeded
    binary matrix (d, ceil(log2 k)). Two means are 2 radius sqrt(h / d) apart, h their Hamming distance; `distance` is the
    least one, computed over all words. So the generator needs O(k) parameters (its staircases) plus d log k bits, not
    k d numbers.
    **Arguments:** `key`; `k`; `d`, at least log2 k; `gamma`; `radius`: default 10 gamma sqrt(d) (the printed
    10 gamma^2 d is a squared length).
    Separation: modes are a distance apart that exceeds 2 gamma sqrt(2 log k), say, where radius / gamma is large.
    **Raises:** ValueError where two means coincide (d too small for k) or sizes are wrong.
    """

    means: Float[Array, "k d"]
    code: Float[Array, "d m"]
    gamma: float = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    distance: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, key: Key, k: int, d: int, gamma: float = 1.0, radius: float | None = None):
        if k < 1 or d < 1 or not 0 < gamma < math.inf:
            raise ValueError(
                f"`GaussianMixtureOnSphere` needs k, d >= 1 and gamma > 0; got {k}, {d}, {gamma}."
            )
        radius = 10 * gamma * math.sqrt(d) if radius is None else float(radius)
        if not 0 <= radius < math.inf:
            raise ValueError(f"`radius` must be at least 0 and finite; got {radius}.")
        bits = max(math.ceil(math.log2(k)), 1)
        code = _code(np.random.default_rng(int(jr.randint(key, (), 0, 2**31 - 1, jnp.int32))), d, bits, k)
        words = np.arange(k)[:, None] >> np.arange(bits) & 1
        signs = 1.0 - 2.0 * (words @ code.T % 2)
        apart = _least_distance(words, code)
        if k > 1 and apart == 0:
            raise ValueError(f"`d` = {d} is too small for {k} different means; it must be at least {bits}.")
        self.means = jnp.asarray(radius / math.sqrt(d) * signs)
        self.code = jnp.asarray(code, self.means.dtype)
        self.gamma, self.radius = float(gamma), radius
        self.distance = 2 * radius * math.sqrt(apart / d)
        self.shape, self.context_shape, self.columns, self.context_columns = (d,), None, None, None

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
            raise ValueError(f"`ramps` must lie in (0, 1); got {ramps}.")
        k = mixture.means.shape[0]
        dtype = mixture.means.dtype
        m = mixture.code.shape[1]
        one = jnp.ones(1, dtype)
        self.bits = tuple(KnotConditioner(one, *_staircase(k, j, ramps, dtype)) for j in range(m))
        waves = jnp.asarray((-1.0) ** np.arange(m + 1), dtype)[:, None]
        self.zigzag = KnotConditioner(one, jnp.arange(m + 1, dtype=dtype), waves)
        self.code, self.gamma, self.radius, self.ramps = (
            mixture.code,
            mixture.gamma,
            mixture.radius,
            float(ramps),
        )

    def __call__(self, z: Float[Array, "d_plus_1"]) -> Vector:
        """One point; the last coordinate of z is zeta."""
        bits = jnp.concatenate([bit(z[-1:]) for bit in self.bits])
        signs = jax.vmap(lambda s: self.zigzag(s[None])[0])(matmul(self.code, bits))
        return self.gamma * z[:-1] + self.radius / math.sqrt(len(signs)) * signs

    def sample(self, key: Key, rows: int) -> Float[Array, "rows d"]:
        """g of `rows` standard normal points."""
        d = self.code.shape[0]
        return jax.vmap(self)(jr.normal(key, (rows, d + 1), self.code.dtype))

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


def _code(rng: np.random.Generator, d: int, bits: int, k: int) -> np.ndarray:
    """The best of 20 random binary matrices by least distance between words."""
    words = np.arange(k)[:, None] >> np.arange(bits) & 1
    found = [rng.integers(0, 2, (d, bits)) for _ in range(20)]
    return max(found, key=lambda g: _least_distance(words, g))


def _least_distance(words: np.ndarray, code: np.ndarray) -> int:
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
