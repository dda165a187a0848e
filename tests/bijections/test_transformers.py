"""What every transformer owes its layer, for all that are exported, and mistakes that these laws catch.

The oracle of a log slope is the derivative by automatic differentiation, that of a linear member NumPy in float64.
"""

import inspect
import re
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import shoal.bijections
from shoal.bijections import (
    AbstractTransformer,
    Additive,
    Affine,
    Autoregressive,
    Chain,
    Coupling,
    DenseConditioner,
    ExponentialScale,
    Inverse,
    MaskedConditioner,
    Partition,
    RationalQuadratic,
    SigmoidScale,
    SoftBoundedScale,
    convolutional_coupling,
    dense_coupling,
    halves,
    layer_name,
    linear_coupling,
    masked_autoregressive,
)
from shoal.bijections.transformers import _rational_quadratic as rq

TRANSFORMERS: dict[str, AbstractTransformer] = {
    "additive": Additive(),
    "affine": Affine(),
    "affine, exponential": Affine(ExponentialScale()),
    "affine, sigmoid": Affine(SigmoidScale()),
    "spline": RationalQuadratic(5, 3.0),
    "spline, exponential": RationalQuadratic(2, 1.5, ExponentialScale()),
}
M, KEY = 6, jax.random.key(0)
every = pytest.mark.parametrize("transformer", TRANSFORMERS.values(), ids=list(TRANSFORMERS))


def drawn(transformer: AbstractTransformer, dtype: str, spread: float = 2.0) -> tuple[jax.Array, jax.Array]:
    """Large raw values, and points inside and outside of the box of a spline."""
    rng = np.random.default_rng(0)
    raw = spread * rng.standard_normal(transformer.parameters * M)
    return jnp.asarray(raw, dtype), jnp.asarray([-4.0, -1.4, -0.2, 0.3, 1.1, 5.0], dtype)


def law_round_trip(transformer: AbstractTransformer, dtype: str) -> None:
    """inverse(forward(z)) = z, and the log slopes cancel, to rounding times the condition of the two ways."""
    raw, z = drawn(transformer, dtype)
    x, up = transformer.forward(raw, z)
    back, down = transformer.inverse(raw, x)
    assert {a.dtype for a in (x, up, back, down)} == {jnp.dtype(dtype)}
    eps = float(np.finfo(dtype).eps)
    size = np.abs(np.asarray(z)) + (1 + np.abs(np.asarray(x))) * np.exp(-np.asarray(up)) + 3.0
    assert np.all(np.abs(back - z) <= 32 * eps * size)
    assert np.all(np.abs(up + down) <= 1024 * eps * size)


def law_slopes(transformer: AbstractTransformer, dtype: str) -> None:
    """Log slopes are those of the derivatives, which are positive: both ways."""
    raw, z = drawn(transformer, dtype)
    x = transformer.forward(raw, z)[0]
    for function, at in ((transformer.forward, z), (transformer.inverse, x)):
        values, slopes = jax.jvp(lambda v, f=function: f(raw, v)[0], (at,), (jnp.ones_like(at),))
        got = function(raw, at)[1]
        assert values.shape == got.shape == (M,)
        assert np.all(np.asarray(slopes) > 0)
        tolerance = 2e3 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(
            got, np.log(np.asarray(slopes, np.float64)), rtol=tolerance, atol=tolerance
        )


def law_layout(transformer: AbstractTransformer, dtype: str) -> None:
    """Parameter by parameter: coordinates in another order, each with its parameters, give the values in that order."""
    raw, z = drawn(transformer, dtype)
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = raw.reshape(transformer.parameters, M)[:, order].reshape(-1)
    for function in (transformer.forward, transformer.inverse):
        for got, want in zip(function(moved, z[order]), function(raw, z), strict=True):
            np.testing.assert_array_equal(got, want[order])


def law_start(transformer: AbstractTransformer, dtype: str) -> None:
    """At raw = 0 it is s z with the scale map's s at 0, and the identity where there is no scale."""
    raw, z = drawn(transformer, dtype)
    scale = getattr(transformer, "scale", None)
    start = 0.0 if scale is None else float(scale.log_scale(jnp.zeros(1))[0])
    x, log_slope = transformer.forward(jnp.zeros_like(raw), z)
    rounding = 16 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(x, np.exp(start) * np.asarray(z, np.float64), rtol=rounding, atol=rounding)
    np.testing.assert_allclose(log_slope, start, rtol=1e-6, atol=rounding)


def law_linear(transformer: AbstractTransformer, dtype: str) -> None:
    """The linear member is x = exp(l) z + t, to a few roundings of its terms."""
    low, high = getattr(getattr(transformer, "scale", None), "range", (0.0, 0.0))
    low, high = max(low, -2.0), min(high, 2.0)
    rng = np.random.default_rng(1)
    log_scale = jnp.asarray(low + (high - low) * rng.uniform(0.1, 0.9, M), dtype)
    shift = jnp.asarray(rng.normal(size=M), dtype)
    _, z = drawn(transformer, dtype)
    raw = transformer.linear(log_scale, shift)
    assert raw.shape == (transformer.parameters * M,)
    x, log_slope = transformer.forward(raw, z)
    terms = np.exp(np.asarray(log_scale, np.float64)) * np.asarray(z), np.asarray(shift, np.float64)
    eps = float(np.finfo(dtype).eps)
    assert np.all(np.abs(np.asarray(x, np.float64) - sum(terms)) <= 24 * eps * sum(map(np.abs, terms)))
    np.testing.assert_allclose(log_slope, log_scale, rtol=16 * eps, atol=16 * eps)


LAWS = (law_round_trip, law_slopes, law_layout, law_start, law_linear)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@every
def test_laws(transformer, law, dtype):
    law(transformer, dtype)


def test_every_exported_transformer_is_here():
    exported = {
        c
        for c in vars(shoal.bijections).values()
        if inspect.isclass(c) and issubclass(c, AbstractTransformer) and not inspect.isabstract(c)
    }
    assert exported == {type(t) for t in TRANSFORMERS.values()}
    assert len(exported) >= 3


def slope_turned(function: Callable) -> Callable:
    """The log slope with the other sign."""
    return lambda self, *given: (lambda out, slope: (out, -slope))(*function(self, *given))


def shift_off(function: Callable) -> Callable:
    """A linear member whose shift is off by a thousandth."""
    return lambda self, log_scale, shift, **rest: function(self, log_scale, shift + 1e-3, **rest)


def edge_off(search: Callable) -> Callable:
    """The bin on the left of the one that holds x."""
    return lambda k, x, axis: search(k, search(k, x, axis)[0 if axis == 0 else 2] - 1e-6, axis)


def by_coordinate(function: Callable) -> Callable:
    """Raw values taken coordinate by coordinate."""
    return lambda self, raw, v: function(self, raw.reshape(M, -1).T.reshape(-1), v)


def started(function: Callable) -> Callable:
    """A tenth added to every raw value."""
    return lambda self, raw, v: function(self, raw + 0.1, v)


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "transformer", "law"),
    [
        (Affine, "forward", slope_turned, Affine(), law_slopes),
        (Affine, "inverse", slope_turned, Affine(), law_round_trip),
        (RationalQuadratic, "inverse", slope_turned, RationalQuadratic(5, 3.0), law_slopes),
        (RationalQuadratic, "linear", shift_off, RationalQuadratic(5, 3.0), law_linear),
        (Affine, "linear", shift_off, Affine(), law_linear),
        (Additive, "linear", shift_off, Additive(), law_linear),
        (rq, "_bin", edge_off, RationalQuadratic(5, 3.0), law_round_trip),
        (Affine, "forward", by_coordinate, Affine(), law_layout),
        (RationalQuadratic, "inverse", by_coordinate, RationalQuadratic(5, 3.0), law_layout),
        (RationalQuadratic, "forward", started, RationalQuadratic(5, 3.0), law_start),
    ],
    ids=lambda v: getattr(v, "__name__", "") if callable(v) or isinstance(v, type) else None,
)
def test_mistakes_are_caught(owner, name, wrong, transformer, law, x64):
    law(transformer, "float64")
    with (
        mock.patch.object(owner, name, wrong(getattr(owner, name))),
        pytest.raises(AssertionError),
    ):
        law(transformer, "float64")


def test_a_log_scale_out_of_reach_names_the_layer():
    three = jnp.asarray([0.0, 0.25, 0.0])
    with pytest.raises(
        ValueError, match=r"layer 4: coordinate 1 needs log-scale 0\.25; Additive has 0 alone"
    ):
        Additive().linear(three, three, layer="layer 4")
    with pytest.raises(ValueError, match=r"layer 4: coordinate 1 needs log-scale 2\.5, outside the range"):
        RationalQuadratic().linear(10 * three, three, layer="layer 4")


@pytest.mark.parametrize("transformer", [Additive(), RationalQuadratic(3, 2.0)], ids=["additive", "spline"])
def test_linear_couplings_of_other_transformers(transformer, x64):
    """`test_scale_maps` has the affine ones."""
    rng = np.random.default_rng(3)
    partition, block, shift = Partition(4, [2, 0]), rng.normal(size=(2, 2)), rng.normal(size=2)
    log_scale = np.zeros(2) if isinstance(transformer, Additive) else np.array([0.7, -0.4])
    made = linear_coupling(
        partition, transformer, *map(jnp.asarray, (block, log_scale, shift)), hidden=(3,), key=KEY
    )
    z = 3.0 * rng.normal(size=(8, 4))
    want = z.copy()
    want[:, [1, 3]] = np.exp(log_scale) * z[:, [1, 3]] + z[:, [2, 0]] @ block.T + shift
    np.testing.assert_allclose(jax.vmap(made.forward)(jnp.asarray(z)), want, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(jax.vmap(made.inverse)(jnp.asarray(want)), z, rtol=1e-13, atol=1e-13)


def test_sizes_that_do_not_fit_are_one_sentence():
    net = DenseConditioner(2, 5, key=KEY)
    text = "`Coupling` needs a conditioner of 2 inputs and 6 outputs; got 2 and 5."
    with pytest.raises(ValueError, match=re.escape(text)):
        Coupling(halves(5), Affine(), net)
    with pytest.raises(ValueError, match=re.escape("a conditioner of 3 inputs and 4 outputs; got 2 and 5.")):
        Coupling(halves(5).swapped(), Affine(), net)
    text = "`Autoregressive` needs a conditioner of 75 outputs for 3 inputs; got 6."
    with pytest.raises(ValueError, match=re.escape(text)):
        Autoregressive(RationalQuadratic(), MaskedConditioner(3, 2, key=KEY))
    with pytest.raises(
        ValueError, match=re.escape("a partition of 4 channels for an image of shape (2, 2, 3)")
    ):
        convolutional_coupling((2, 2, 3), halves(4), Affine(), key=KEY)


def test_names_of_layers():
    affine = dense_coupling(halves(4), Affine(), hidden=(), key=KEY)
    spline = masked_autoregressive(4, RationalQuadratic(), hidden=(), key=KEY)
    assert [layer_name(b) for b in (affine, spline, Inverse(spline), Chain([affine]))] == [
        "Coupling(Affine)",
        "Autoregressive(RationalQuadratic)",
        "Inverse(Autoregressive(RationalQuadratic))",
        "Chain",
    ]
    with pytest.raises(ValueError, match=re.escape("`Coupling(Affine)` acts on one vector of shape (4,)")):
        affine.forward(jnp.zeros(3))


def test_soft_bounded_defaults():
    assert Affine().scale == SoftBoundedScale(3.0)
    assert RationalQuadratic().scale == SoftBoundedScale(1.0)
