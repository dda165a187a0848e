"""The laws of the planar family can fail: seeded mistakes in its own formulas, each caught by the laws that are named."""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from shoal.bijections import _householder, _planar, _sylvester
from tests.laws import structure_planar
from tests.laws.mutants import replaced
from tests.laws.scaling import prepared
from tests.laws.test_mutants import Mistake, in_code, run


def contracting(b):
    """The layer with w.u < 0, where the projection moves u."""
    return eqx.tree_at(lambda p: p.u, b, -jnp.sign(jnp.dot(b.w, b.u)) * b.u)


def unprojected(_):
    """u as it is stored."""
    return lambda u, w, least: (u, jnp.dot(u, w))


def detached(solve):
    """A root without its derivatives."""
    return lambda p, q, s, t, **settings: solve(*jax.lax.stop_gradient((p, q, s, t)), **settings)


def slope_as_value(_):
    """tanh where its slope belongs."""
    return jnp.tanh


def not_halved(triangle):
    """The whole diagonal of V^T V where half of it belongs."""

    def wrong(vectors):
        s = triangle(vectors)
        return s + 0.5 * jnp.eye(len(s), dtype=s.dtype)

    return wrong


def shifted_across(b, z, c):
    """The radial layer without its own centre."""
    x, log_det = b.forward_and_log_det(z + b.z0, c)
    return x - b.z0, log_det


projection = partial(in_code, name="projected", make=unprojected, forward=True, inverse=True)
root = partial(in_code, _planar, "solve", detached, forward=False, inverse=True)
slope = partial(in_code, _planar, "slope_of_tanh", slope_as_value, forward=True, inverse=True)
halves = partial(in_code, _householder, "triangle", not_halved, forward=True, inverse=True)

MISTAKES = (
    Mistake("u-not-projected", "planar", lambda b: projection(_planar)(contracting(b)), ("law_rank_one",)),
    Mistake("r-not-projected", "sylvester", projection(_sylvester), ("law_low_rank",)),
    Mistake("root-detached", "planar", root(), ("law_gradient", "law_inverse_jacobian")),
    Mistake("slope-is-tanh", "planar", slope(), ("law_log_det",)),
    Mistake("reflection-halved", "householder", halves(), ("law_reflections",)),
    Mistake("centre-lost", "radial", replaced(shifted_across), ("law_radial",)),
)


@pytest.mark.parametrize(
    ("mistake", "law"),
    [pytest.param(m, law, id=f"{m.name}-{law.removeprefix('law_')}") for m in MISTAKES for law in m.laws],
)
def test_mutant_is_caught(mistake, law):
    function = getattr(structure_planar, law, None)
    if function is None:
        right = prepared(mistake.case, "float64").bijection
        with pytest.raises(AssertionError):
            run(law, mistake.wrong(right), mistake.case)
    else:
        right, points = prepared(mistake.case, "float32")
        with pytest.raises(AssertionError):
            function(mistake.wrong(right), points)


def test_every_structure_law_catches_a_mutant():
    stated = {name for name in vars(structure_planar) if name.startswith("law_")}
    assert stated <= {law for m in MISTAKES for law in m.laws}
