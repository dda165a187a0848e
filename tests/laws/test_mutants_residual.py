"""The laws can fail on the residual family: seeded mistakes in its own code, each caught by the laws that are named."""

# Mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from shoal.bijections import PowerSeries
from shoal.bijections import _lipschitz as lipschitz
from shoal.bijections import _residual as residual
from tests.laws import laws, structure_residual
from tests.laws.mutants import patched, replaced, right_forward, right_inverse
from tests.laws.scaling import prepared
from tests.laws.test_mutants import in_code


def _slack(held):
    """Weights held below five times the limit: as from a norm that is underestimated."""
    return lambda weight, limit, norm: held(weight, 5.0 * limit, norm)


def _loose(solve):
    """A fixed-point iteration that stops early."""
    return lambda function, z, c, tolerance, steps: solve(function, z, c, 1e-3, steps)


def _detached(solve):
    """A solution whose derivatives are those of its start, z."""

    def wrong(function, z, *rest):
        x, outcome = solve(function, z, *rest)
        return z + jax.lax.stop_gradient(x - z), outcome

    return wrong


def _fewer_terms(b):
    """A series of two terms in place of fifty-two."""
    return eqx.tree_at(lambda r: r.log_det, b, PowerSeries(2))


def _beyond(b, z, c):
    """Values beyond the interval of A, and the log-det with them."""
    x, log_det = right_forward(b, z, c)
    return 1e6 * x, log_det + x.shape[0] * jnp.log(jnp.asarray(1e6, x.dtype))


def _moving_matrix(b, z, c):
    """A matrix that depends on the point."""
    x, log_det = right_forward(b, z, c)
    return x * (1.0 + 0.1 * jnp.tanh(z[0])), log_det


def _without_slopes(b, x, c):
    """The log-det of A alone."""
    z, _ = right_inverse(b, x, c)
    return z, -b.linear.log_det()


held, solve = (lipschitz, "held_below"), (residual, "solve_residual")
MISTAKES = (
    (
        "held-loosely",
        "residual-series",
        in_code(*held, _slack, forward=True, inverse=True),
        "law_contraction",
    ),
    ("stops-early", "residual-series", replaced(patched(*solve, _loose, right_forward)), "law_round_trip"),
    (
        "detached",
        "residual-series",
        replaced(patched(*solve, _detached, right_forward)),
        "law_inverse_jacobian",
    ),
    ("fewer-terms", "residual-series", _fewer_terms, "law_log_det"),
    ("beyond-the-interval", "layerwise", replaced(_beyond), "law_layerwise"),
    ("matrix-moves", "layerwise", replaced(_moving_matrix), "law_layerwise"),
    ("no-slopes", "layerwise", replaced(None, _without_slopes), "law_log_det"),
)


def _run(law: str, bijection, case: str) -> None:
    points = prepared(case, "float64").points
    if law in ("law_round_trip", "law_log_det"):
        getattr(laws, law)(bijection, points, "float64")
    else:
        (getattr(laws, law, None) or getattr(structure_residual, law))(bijection, points)


@pytest.mark.parametrize(("case", "wrong", "law"), [pytest.param(*m[1:], id=m[0]) for m in MISTAKES])
def test_mutant_is_caught(case, wrong, law):
    right = prepared(case, "float64").bijection
    _run(law, right, case)
    with pytest.raises(AssertionError):
        _run(law, wrong(right), case)


def test_every_structure_law_catches_a_mutant():
    stated = {law.__name__ for of_class in structure_residual.LAWS.values() for law in of_class}
    assert stated <= {m[3] for m in MISTAKES}
