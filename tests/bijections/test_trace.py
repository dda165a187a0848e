"""`trace` names the layer where the first non-finite value arises, in either direction."""

# What comes back is typed as the base class; a None that should not be there fails the test as it should.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest

from shoal.bijections import (
    ActNorm,
    Affine,
    Chain,
    Inverse,
    Permutation,
    Scan,
    Trace,
    dense_coupling,
    halves,
    trace,
)
from tests.bijections.draws import normal


def chain() -> Chain:
    return Chain(
        [
            ActNorm(2),
            Permutation([1, 0]),
            ActNorm(2),
            dense_coupling(halves(2), Affine(), hidden=(), key=jr.key(0)),
            ActNorm(2),
        ]
    )


def broken(b: Chain, *layers: int, value: float = jnp.nan) -> Chain:
    """The chain with a bad shift in the `ActNorm`s of these layers."""
    for i in layers:
        b = eqx.tree_at(lambda c, i=i: c.bijections[i].shift, b, jnp.array([0.0, value]))
    return b


def test_all_finite_gives_none():
    for direction in ("forward", "inverse"):
        assert trace(chain(), normal(0, 5, 2), direction=direction) is None


@pytest.mark.parametrize(("direction", "layer"), [("forward", 0), ("inverse", 4)])
def test_the_first_layer_on_the_way_is_named(direction, layer):
    found = trace(broken(chain(), 0, 2, 4), normal(0, 5, 2), direction=direction)
    assert found == Trace(layer, "ActNorm", direction, "value", 5)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_a_layer_in_the_middle(direction):
    assert trace(broken(chain(), 2), normal(0, 5, 2), direction=direction) == Trace(
        2, "ActNorm", direction, "value", 5
    )


def test_rows_that_are_hit_are_counted():
    b = eqx.tree_at(lambda c: c.bijections[2].log_scale, chain(), jnp.array([80.0, 0.0]))  # exp(80) = 5.5e34
    z = jnp.array(
        [[0.0, 1.0], [0.0, 1e5], [0.0, 2.0], [0.0, -1e6]]
    )  # the permutation puts the second entry first
    assert trace(b, z, direction="forward") == Trace(2, "ActNorm", "forward", "value", 2)


def test_a_log_det_alone():
    b = eqx.tree_at(lambda c: c.bijections[2].log_scale, chain(), jnp.array([3e38, 3e38]))
    found = trace(b, normal(0, 5, 2), direction="inverse")
    assert found == Trace(2, "ActNorm", "inverse", "log_det", 5)


def test_a_bad_input_is_no_layer_s_fault():
    found = trace(chain(), jnp.array([[0.0, 1.0], [jnp.inf, 0.0]]))
    assert (found.layer, found.quantity, found.rows) == (-1, "input", 1)
    assert str(found) == "the input, inverse: input not finite in 1 rows"


@pytest.mark.parametrize(("direction", "layer"), [("forward", 1), ("inverse", 5)])
def test_layers_inside_a_scan_and_an_inverse(direction, layer):
    good = Chain([Permutation([1, 0]), ActNorm(2)])
    bad = broken(good, 1)
    scan = Scan([bad, good, bad])
    assert trace(scan, normal(0, 4, 2), direction=direction) == Trace(layer, "ActNorm", direction, "value", 4)
    assert trace(Inverse(scan), normal(0, 4, 2), direction=direction).name == "Inverse(ActNorm)"


def test_context_is_passed_on():
    b = dense_coupling(halves(2), Affine(), hidden=(), context_dim=1, key=jr.key(0))
    b = eqx.tree_at(lambda c: c.conditioner.skip, b, jnp.ones_like(b.conditioner.skip))
    context = jnp.array([[0.0], [jnp.nan], [1.0]])
    found = trace(Chain([ActNorm(2), b]), normal(0, 3, 2), context)
    assert found == Trace(1, "Coupling(Affine)", "inverse", "value", 1)
    assert str(found) == "layer 1 (Coupling(Affine)), inverse: value not finite in 1 rows"


def test_direction_is_checked(unchecked):
    with pytest.raises(ValueError, match='must be "forward" or "inverse"; got \'backward\''):
        trace(chain(), normal(0, 1, 2), direction="backward")
