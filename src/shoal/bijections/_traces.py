"""Traces and log-dets of Jacobians: exact, or estimated with random probes; and randomness as data.

Estimators hold a `Noise`, from which each row draws its own numbers, a function of the seed and of the row: an evaluation
repeats, rows are independent, and no key goes through the interface. Training calls `reseeded` with a fresh key at every
step; validation and users keep the seed.

A continuous flow needs tr dv/dz, the rate of its log-det. A residual one needs log det(1 + J), J the Jacobian of a
contraction g at x: exact, by a truncated series, or unbiased by Russian roulette, as log det(1 + J) =
sum_k (-1)^{k+1} tr(J^k) / k, |J| <= c < 1. Series use the gradient of Chen et al. (2019): with probes v, u_k = (J^T)^k v and
w = sum_k (-1)^k u_k, d log det = E[w . dJ v]. Only w is kept, so memory does not grow with the number of terms
(`results/residual-memory.json`: 2.9 MiB for 2, 10 and 50 terms, against 5.5, 17 and 77 through the sum); first derivatives
alone are right, and for random probes they are those of the value in expectation.
"""

import abc
import math
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, Float, Int, Key, Scalar, Shaped, Vector
from shoal.bijections._base import between, whole

Tree = TypeVar("Tree")


class Noise(eqx.Module):
    """A seed, stored as the two words of a random key; not trained."""

    words: Shaped[Array, "*repeats 2"]

    def __init__(self, key: Key):
        self.words = jr.key_data(key).astype(jnp.uint32)

    def key_for(self, row: Float[Array, "n"]) -> Key:
        """The key of one row: a hash of the row's bits folded into the seed. No gradient flows."""
        bits = _words(jax.lax.stop_gradient(row))
        multipliers = 2 * jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(0x9E3779B1)
        mixed = (bits ^ (bits >> jnp.uint32(15))) * multipliers
        mixed = jnp.sum(mixed ^ (mixed >> jnp.uint32(13)), dtype=jnp.uint32)
        return jr.fold_in(jr.wrap_key_data(self.words), mixed)


def reseeded(tree: Tree, key: Key) -> Tree:
    """Any pytree with every `Noise` in it drawn anew from `key`, each differently; without one, the tree as it is."""
    is_noise = lambda node: isinstance(node, Noise)
    nodes, structure = jax.tree.flatten(tree, is_leaf=is_noise)
    fresh = [_drawn(n, jr.fold_in(key, i)) if is_noise(n) else n for i, n in enumerate(nodes)]
    return jax.tree.unflatten(structure, fresh)


def _drawn(noise: Noise, key: Key) -> Noise:
    return eqx.tree_at(lambda n: n.words, noise, jr.bits(key, noise.words.shape, jnp.uint32))


def _words(row: Float[Array, "n"]) -> Shaped[Array, "words"]:
    wide = row.astype(jnp.float32)  # rows that differ in float64 alone share their noise
    return jax.lax.bitcast_convert_type(wide, jnp.uint32).reshape(-1)


class AbstractTrace(eqx.Module):
    """How tr dv/dz is computed, from products of dv/dz with probes: tr is the sum of e^T (dv/dz) e over them."""

    @abc.abstractmethod
    def probes(self, row: Vector) -> Float[Array, "k n"]:
        """The probes of one row; they stay the same along its whole path. No gradient flows into them."""


class ExactTrace(AbstractTrace):
    """tr dv/dz from all n columns: the probes are the unit vectors. n products of dv/dz at each evaluation."""

    def probes(self, row: Vector) -> Float[Array, "n n"]:
        """The unit vectors."""
        return jnp.eye(row.shape[0], dtype=row.dtype)


class HutchinsonTrace(AbstractTrace):
    """Hutchinson's estimate: the mean of e^T (dv/dz) e over `count` probes e of independent signs.

    Unbiased, with variance sum_{i<j} (J_ij + J_ji)^2 / count: a dv/dz = J that is diagonal has none. The log-det and
    log p are unbiased then, p itself is not. The probes come from the row that is given to the direction, so the log-dets
    of the two directions are estimates apart and do not cancel. (Hutchinson 1990; Grathwohl et al. 2019.)
    """

    noise: Noise
    count: int = eqx.field(static=True)

    def __init__(self, noise: Noise, count: int = 1):
        self.noise, self.count = noise, int(count)

    def __check_init__(self) -> None:
        whole("HutchinsonTrace(count=...)", self.count)

    def probes(self, row: Vector) -> Float[Array, "k n"]:
        """`count` rows of signs over the square root of `count`."""
        signs = jr.rademacher(self.noise.key_for(row), (self.count, row.shape[0]), row.dtype)
        return signs * jnp.asarray(self.count**-0.5, row.dtype)


def value_and_divergence(
    velocity: Callable[[Vector], Vector], z: Vector, probes: Float[Array, "k n"]
) -> tuple[Vector, Scalar]:
    """v(z) and the sum of e^T (dv/dz) e over the probes."""
    push = lambda e: jax.jvp(velocity, (z,), (e,))
    value, along = jax.vmap(push, out_axes=(None, 0))(probes)
    return value, jnp.sum(probes * along)


class AbstractLogDet(eqx.Module):
    """How log det(1 + J) is computed."""

    @abc.abstractmethod
    def log_det(self, function: Callable[[Vector], Vector], x: Vector) -> Scalar:
        """log det(1 + Dg(x)), g = `function`, a pytree (`jax.tree_util.Partial`) whose parameters are its leaves."""

    @abc.abstractmethod
    def check(self, lipschitz: float) -> None:
        """Raise an InputError where the strategy does not serve for Lip g <= `lipschitz`."""


class ExactLogDet(AbstractLogDet):
    """slogdet of the dense matrix: n derivatives of g and O(n^3); for n up to about 64. All derivatives are right."""

    def log_det(self, function: Callable[[Vector], Vector], x: Vector) -> Scalar:
        """log|det(1 + J)|, J by forward mode."""
        jacobian = jax.jacfwd(function)(x)
        return jnp.linalg.slogdet(jnp.eye(x.shape[0], dtype=x.dtype) + jacobian)[1]

    def check(self, lipschitz: float) -> None:
        """Serves always."""


class PowerSeries(AbstractLogDet):
    """The first `terms` terms of the series; `error_bound` states what the rest amounts to.

    **Arguments:** `terms`: m >= 1; `noise`: None for exact traces (n times as many derivatives), else traces are estimated
    by v^T J^k v with `probes` vectors v of random signs (Hutchinson 1990), drawn for each row.
    Cost: m vector-Jacobian products of g a probe (or a coordinate). Truncation is a bias that probes do not average out.
    """

    noise: Noise | None
    terms: int = eqx.field(static=True)
    probes: int = eqx.field(static=True)

    def __init__(self, terms: int, noise: Noise | None = None, *, probes: int = 1):
        self.terms, self.probes = whole("PowerSeries(terms)", terms), whole("PowerSeries(probes=...)", probes)
        self.noise = noise

    def log_det(self, function: Callable[[Vector], Vector], x: Vector) -> Scalar:
        """The truncated sum."""
        trace = ExactTrace() if self.noise is None else HutchinsonTrace(self.noise, self.probes)
        return _series(function, x, trace.probes(x), jnp.asarray(self.terms, jnp.int32), self.terms, 1.0)

    def error_bound(self, dim: int, lipschitz: float) -> float:
        """n c^{m+1} / ((m + 1)(1 - c)) >= |log det - sum of m terms|: as |tr J^k| <= n c^k, 1/k <= 1/(m + 1)."""
        m = self.terms
        return dim * lipschitz ** (m + 1) / ((m + 1) * (1.0 - lipschitz))

    def check(self, lipschitz: float) -> None:
        """Serves for every contraction."""


class RussianRoulette(AbstractLogDet):
    """Unbiased value and gradient (Chen et al. 2019): K = `exact_terms` + N terms, N geometric, term k over P(K >= k).

    **Arguments:** `noise`: the seed, from which every row draws its N and its probe; `p`: the probability to stop after
    each further term, P(K >= k) = (1 - p)^{k - exact_terms} beyond the first `exact_terms`.
    Cost: exact_terms + (1 - p)/p vector-Jacobian products on average, the most of all rows in a batch. The variance is
    finite for every g iff c^2 < 1 - p, as the k-th term is c^k / P(K >= k) at the worst; `Residual` refuses other p.
    Log-likelihoods are unbiased, probabilities are not; the two directions' estimates do not cancel exactly.
    """

    noise: Noise
    p: float = eqx.field(static=True)
    exact_terms: int = eqx.field(static=True)

    def __init__(self, noise: Noise, p: float = 0.15, *, exact_terms: int = 4):
        between("RussianRoulette(p)", p)
        whole("RussianRoulette(exact_terms)", exact_terms)
        self.noise, self.p, self.exact_terms = noise, float(p), int(exact_terms)

    def log_det(self, function: Callable[[Vector], Vector], x: Vector) -> Scalar:
        """One unbiased estimate."""
        k_sign, k_stop = jr.split(self.noise.key_for(x))
        vector = jr.rademacher(k_sign, (1, x.shape[0]), x.dtype)
        more = jnp.floor(jr.exponential(k_stop, (), jnp.float32) / -math.log1p(-self.p))
        last = self.exact_terms + more.astype(jnp.int32)
        return _series(function, x, vector, last, self.exact_terms, 1.0 - self.p)

    def check(self, lipschitz: float) -> None:
        """Raise an InputError where the variance may be infinite."""
        if not lipschitz**2 < 1.0 - self.p:
            raise InputError(
                f"`RussianRoulette(p={self.p:g})` may have infinite variance at Lipschitz constant {lipschitz:g}; "
                f"take p below 1 - {lipschitz:g}^2 = {1 - lipschitz**2:.3g}."
            )


def _series(
    function: Callable[[Vector], Vector],
    x: Vector,
    vectors: Float[Array, "probes n"],
    last: Int[Array, ""],
    sure: int,
    q: float,
) -> Scalar:
    """sum over probes v of sum_{k <= last} (-1)^{k+1} v^T J^k v / (k P_k), P_k = q^{max(k - sure, 0)}; gradient by w."""
    frozen = jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, function)
    _, pull = jax.vjp(frozen, jax.lax.stop_gradient(x))
    pull_all = jax.vmap(lambda u: pull(u)[0])
    one = jnp.ones((), x.dtype)

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, sign, chance, u, w, total = state
        chance = jnp.where(k > sure, chance * q, chance)
        w = w + (sign / chance) * u
        u = pull_all(u)
        total = total + (sign / (chance * k.astype(x.dtype))) * jnp.sum(u * vectors)
        return k + 1, -sign, chance, u, w, total

    start = (jnp.ones((), jnp.int32), one, one, vectors, jnp.zeros_like(vectors), jnp.zeros((), x.dtype))
    *_, w, total = jax.lax.while_loop(lambda state: state[0] <= last, step, start)
    pushed = jax.vmap(lambda v: jax.jvp(function, (x,), (v,))[1])(vectors)
    surrogate = jnp.sum(w * pushed)
    return total + (surrogate - jax.lax.stop_gradient(surrogate))
