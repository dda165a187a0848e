"""`first_nonfinite` names the layer where the first non-finite value arises, in either direction."""

# What comes back is typed as the base class; a None that should not be there fails the test as it should.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import (
    AbstractBijection,
    ActNorm,
    Affine,
    Chain,
    Direction,
    Inverse,
    Permutation,
    Scan,
    dense_coupling,
    halves,
)
from shoal.conditioning import first_nonfinite, from_bijection
from shoal.records.audit import NonFinite
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


def walked(b: AbstractBijection, points: Any, direction: Direction, context: Any = None) -> NonFinite | None:
    return first_nonfinite(from_bijection(b).layers(), np.asarray(points), context, direction=direction)


def hit(layer: int, name: str, direction: Direction, rows: int) -> NonFinite:
    return NonFinite(layer, name, direction, "float32", "points", rows)


def test_all_finite_gives_none():
    for direction in ("forward", "inverse"):
        assert walked(chain(), normal(0, 5, 2), direction) is None


@pytest.mark.parametrize(("direction", "layer"), [("forward", 0), ("inverse", 4)])
def test_the_first_layer_on_the_way_is_named(direction, layer):
    found = walked(broken(chain(), 0, 2, 4), normal(0, 5, 2), direction)
    assert found == hit(layer, "ActNorm", direction, 5)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_a_layer_in_the_middle(direction):
    found = walked(broken(chain(), 2), normal(0, 5, 2), direction)
    assert found == hit(2, "ActNorm", direction, 5)


def test_rows_that_are_hit_are_counted():
    b = eqx.tree_at(lambda c: c.bijections[2].log_scale, chain(), jnp.array([80.0, 0.0]))  # exp(80) = 5.5e34
    z = jnp.array(
        [[0.0, 1.0], [0.0, 1e5], [0.0, 2.0], [0.0, -1e6]]
    )  # the permutation puts the second entry first
    assert walked(b, z, "forward") == hit(2, "ActNorm", "forward", 2)


def test_a_log_det_alone():
    b = eqx.tree_at(lambda c: c.bijections[2].log_scale, chain(), jnp.array([3e38, 3e38]))
    layer = from_bijection(b).layers()[2].at("inverse", "float32")
    image, log_det = layer.apply(np.asarray(normal(0, 5, 2)))
    assert np.isfinite(image).all()
    assert not np.isfinite(np.asarray(log_det)).any()
    assert walked(b, normal(0, 5, 2), "inverse") == hit(2, "ActNorm", "inverse", 5)


@pytest.mark.parametrize(("direction", "layer"), [("forward", 1), ("inverse", 5)])
def test_layers_inside_a_scan_and_an_inverse(direction, layer):
    good = Chain([Permutation([1, 0]), ActNorm(2)])
    bad = broken(good, 1)
    scan = Scan([bad, good, bad])
    assert walked(scan, normal(0, 4, 2), direction) == hit(layer, "ActNorm", direction, 4)
    assert walked(Inverse(scan), normal(0, 4, 2), direction).name == "Inverse(ActNorm)"


def test_context_is_passed_on():
    b = dense_coupling(halves(2), Affine(), hidden=(), context_dim=1, key=jr.key(0))
    b = eqx.tree_at(lambda c: c.conditioner.skip, b, jnp.ones_like(b.conditioner.skip))
    context = np.array([[0.0], [np.nan], [1.0]])
    found = walked(Chain([ActNorm(2), b]), normal(0, 3, 2), "inverse", context)
    assert found == hit(1, "Coupling(Affine)", "inverse", 1)
    assert str(found) == "layer 1 (Coupling(Affine)), inverse in float32: not finite in 1 rows of points"
