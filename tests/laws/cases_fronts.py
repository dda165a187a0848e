"""Cases of the registry: fronts. Knots stay as built, since they must ascend; everything else is drawn."""

import jax
import jax.numpy as jnp
import jax.random as jr

from shoal.bijections import AbstractBijection, Chain, LogTails, Marginals, Whitening
from tests.laws.case import Case


def _tails(dim: int, start: float = 0.5) -> LogTails:
    return LogTails(dim, start=start)


def _marginals(key: jax.Array, dim: int = 4, bins: int = 3) -> Marginals:
    a, b, c = jr.split(key, 3)
    knots = -1.5 + jnp.cumsum(0.2 + jr.uniform(a, (dim, bins + 1)), axis=1)
    heights, slopes = 0.2 * jr.normal(b, (dim, bins)), 0.2 * jr.normal(c, (dim, bins + 1))
    jumps = jnp.pad(0.7 * jr.normal(jr.fold_in(key, 1), (dim, bins - 1)), ((0, 0), (1, 1)))
    return Marginals(
        knots, jnp.full(dim, -1.5), heights - 0.5, slopes, jnp.zeros((dim, 2)), jumps
    )  # free parts at 0


def _whitening(dim: int = 4, context: int = 0) -> Whitening:
    slopes = jnp.zeros((dim, context)) if context else None
    return Whitening(jnp.zeros(dim), jnp.zeros((dim, dim)), jnp.zeros(dim), slopes)


def _front(key: jax.Array) -> AbstractBijection:
    """Latent -> data: tails, whitening with a context, marginals."""
    return Chain([_tails(3, 1.0), _whitening(3, 2), _marginals(key, 3)])


_CURVE = (
    "knots",
    "log_jumps",
    "log_heights",
    "log_slopes",
)  # slopes of one bin that differ by 1e4 are no density that is met
_FIXED = ("knots", "log_jumps", "log_heights", "log_slopes")
CASES = (
    Case("log-tails", lambda k: _tails(8), bounded_kappa="slopes of a few beyond the borders"),
    Case(
        "marginals",
        lambda k: _marginals(jr.key(5)),  # no point of the laws lies within two steps of a knot
        frozen=_FIXED,
        kept=_CURVE,
        bounded_kappa="elementwise, its curve as built",
    ),
    Case("whitening", lambda k: _whitening()),
    Case("whitening-context", lambda k: _whitening(3, 2)),
    Case("front", _front, frozen=_FIXED, kept=_CURVE),
)
OP_BY_OP = ("log-tails", "marginals", "whitening-context", "front")
