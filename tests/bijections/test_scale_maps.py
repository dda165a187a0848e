"""Scale maps: their range, their inverse, and the linear couplings that they admit."""

import math
import re

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import (
    Affine,
    Coupling,
    ExponentialScale,
    Partition,
    SigmoidScale,
    SoftBoundedScale,
    halves,
    linear_coupling,
)

MAPS = {
    "exponential": ExponentialScale(),
    "soft-5": SoftBoundedScale(5.0),
    "soft-0.5": SoftBoundedScale(0.5),
    "sigmoid": SigmoidScale(),
}
maps = pytest.mark.parametrize("scale", MAPS.values(), ids=MAPS)

# log s at a raw value, in closed form
KNOWN = {
    "exponential": lambda r: r,
    "soft-5": lambda r: 5.0 * math.tanh(r / 5.0),
    "soft-0.5": lambda r: 0.5 * math.tanh(2.0 * r),
    "sigmoid": lambda r: math.log(0.5 + 0.5 / (1.0 + math.exp(-r - 2.0))),
}


@pytest.mark.parametrize("name", MAPS)
def test_values(name, x64):
    raw = np.linspace(-8.0, 8.0, 33)
    np.testing.assert_allclose(
        MAPS[name].log_scale(jnp.asarray(raw)), [KNOWN[name](r) for r in raw], rtol=1e-14, atol=1e-15
    )


@maps
def test_range_and_order(scale, dtype):
    log_scale = np.asarray(scale.log_scale(jnp.linspace(-100.0, 100.0, 201)), np.float64)
    low, high = scale.range
    eps = float(np.finfo(dtype).eps)
    assert np.all(log_scale >= low * (1 + eps) if math.isfinite(low) else log_scale > low)
    assert np.all(log_scale <= high + abs(high) * eps)
    assert np.all(np.diff(log_scale) >= 0.0)


@maps
def test_raw_inverts_log_scale(scale, x64):
    low, high = max(scale.range[0], -4.0), min(scale.range[1], 4.0)
    log_scale = jnp.asarray(np.linspace(low, high, 41)[1:-1])
    np.testing.assert_allclose(scale.log_scale(scale.raw(log_scale)), log_scale, rtol=0, atol=100 * 2.2e-16)


@pytest.mark.parametrize(
    ("scale", "log_scale"),
    [
        pytest.param(SoftBoundedScale(2.0), 2.0, id="soft-at-the-bound"),
        pytest.param(SoftBoundedScale(2.0), -2.5, id="soft-below"),
        pytest.param(SigmoidScale(), 0.0, id="sigmoid-one"),
        pytest.param(SigmoidScale(), math.log(0.49), id="sigmoid-below"),
        pytest.param(ExponentialScale(), math.inf, id="exponential-infinite"),
        pytest.param(SoftBoundedScale(2.0), math.nan, id="nan"),
    ],
)
def test_a_log_scale_outside_the_range_names_the_layer(scale, log_scale):
    text = f"layer 3: coordinate 1 needs log-scale {log_scale:.6g}, outside the range"
    with pytest.raises(ValueError, match=re.escape(text)) as error:
        scale.raw(jnp.array([-0.1, log_scale]), layer="layer 3")
    assert type(scale).__name__ in str(error.value)
    block, shift = jnp.zeros((2, 2)), jnp.zeros(2)
    with pytest.raises(ValueError, match="layer 3: coordinate 1"):
        linear_coupling(
            halves(4),
            Affine(scale),
            block,
            jnp.array([-0.1, log_scale]),
            shift,
            layer="layer 3",
            key=jr.key(0),
        )


@pytest.mark.parametrize("bound", [0.0, -1.0, math.inf, math.nan])
def test_soft_bound_is_checked(bound):
    with pytest.raises(ValueError, match="must be positive and finite"):
        SoftBoundedScale(bound)


@pytest.mark.parametrize("hidden", [(), (4,)], ids=["affine", "net"])
@pytest.mark.parametrize("partition", [halves(5), Partition(5, (4, 0, 2))], ids=["halves", "any-set"])
@maps
def test_linear_couplings_are_members(scale, partition, hidden, dtype):
    rng = np.random.default_rng(0)
    moved, size = list(partition.moved), 5 - partition.kept_size
    block, shift = rng.normal(size=(size, 5 - size)), rng.normal(size=size)
    low, high = max(scale.range[0], -3.0), min(scale.range[1], 3.0)
    log_scale = low + (high - low) * rng.uniform(0.1, 0.9, size)
    block, shift, log_scale = (jnp.asarray(a, dtype) for a in (block, shift, log_scale))
    coupling = linear_coupling(
        partition, Affine(scale), block, log_scale, shift, hidden=hidden, key=jr.key(0)
    )
    assert isinstance(coupling, Coupling)
    # the matrix, in float64 NumPy, from the numbers that were given
    matrix = np.eye(5)
    matrix[np.ix_(moved, list(partition.kept))] = np.asarray(block)
    matrix[moved, moved] = np.exp(np.asarray(log_scale, np.float64))
    offset = np.zeros(5)
    offset[moved] = np.asarray(shift)
    z = jnp.asarray(rng.normal(size=5), dtype)
    eps = float(np.finfo(dtype).eps)
    x, log_det = coupling.forward_and_log_det(z)
    size_of_terms = np.abs(matrix) @ np.abs(np.asarray(z)) + np.abs(offset)
    assert np.all(
        np.abs(np.asarray(x, np.float64) - matrix @ np.asarray(z, np.float64) - offset)
        <= 16 * eps * size_of_terms
    )
    np.testing.assert_allclose(
        log_det, np.sum(np.asarray(log_scale, np.float64)), rtol=16 * eps, atol=16 * eps
    )


@pytest.mark.parametrize(
    ("block", "log_scale"),
    [((2, 3), (2,)), ((3, 2), (2,)), ((2, 2), (2,))],
    ids=["transposed", "few-scales", "small"],
)
def test_linear_coupling_checks_shapes(block, log_scale, unchecked):
    with pytest.raises(
        ValueError, match=re.escape("layer 7: needs a block of shape (3, 2) and 3 log-scales; got")
    ):
        linear_coupling(
            halves(5),
            Affine(ExponentialScale()),
            jnp.zeros(block),
            jnp.zeros(log_scale),
            layer="layer 7",
            key=jr.key(0),
        )


@pytest.mark.parametrize("family", ["realnvp", "spline", "maf"])
def test_a_scale_that_is_no_scale_map_is_one_sentence(family, unchecked):
    with pytest.raises(ValueError, match="`scale` must be a scale map, such as ExponentialScale"):
        getattr(flows, family)(jr.key(0), 2, 1, scale="exponential")
