"""The sequential pass of the autoregressive map against a fixed-point iteration of its parallel pass."""

# `noisy` gives back the class that it was given, typed as the base class.
# pyright: reportArgumentType=false

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import (
    Additive,
    Affine,
    Autoregressive,
    RationalQuadratic,
    SigmoidScale,
    masked_autoregressive,
)
from tests.bijections.draws import noisy, normal


@eqx.filter_jit
def iterated(b: Autoregressive, z: jax.Array, context: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """n steps of x <- f(z; raw(x)): exact then, because entry i needs x_1 ... x_{i-1} only. Also x of one step more."""
    n = z.shape[0]
    order = jnp.where(b.reverse, jnp.arange(n)[::-1], jnp.arange(n))

    def step(x, _):
        raw = b.conditioner(x, context)
        return b.transformer.forward(raw, z[order])[0], None

    x = jax.lax.scan(step, jnp.zeros_like(z), length=n)[0]
    return x[order], step(x, None)[0][order]


@pytest.mark.parametrize(
    ("n", "settings", "transformer"),
    [
        pytest.param(1, {"hidden": (4,)}, Affine(), id="n1"),
        pytest.param(2, {"hidden": (1,), "context_dim": 1}, Affine(), id="n2-one-unit-context"),
        pytest.param(5, {"hidden": (2,)}, Affine(), id="narrower-than-n"),
        pytest.param(
            5, {"hidden": (3, 11), "reverse": True, "context_dim": 3}, Affine(), id="uneven-reverse-context"
        ),
        pytest.param(5, {"hidden": ()}, Affine(SigmoidScale()), id="no-hidden-layer"),
        pytest.param(4, {"hidden": (), "context_dim": 2}, Affine(), id="no-hidden-layer-context"),
        pytest.param(16, {"hidden": (7,)}, Affine(), id="n16"),
        pytest.param(17, {"hidden": (20, 5), "context_dim": 1, "reverse": True}, Affine(), id="n17-context"),
        pytest.param(19, {"hidden": ()}, Affine(), id="n19-no-hidden-layer"),
        pytest.param(5, {"hidden": (3, 11), "context_dim": 2}, RationalQuadratic(3), id="spline-context"),
        pytest.param(2, {"hidden": (3, 4), "reverse": True}, RationalQuadratic(3), id="spline-in-line"),
        pytest.param(17, {"hidden": (9,), "reverse": True}, RationalQuadratic(4), id="spline-n17-reverse"),
        pytest.param(4, {"hidden": (6,)}, Additive(), id="additive"),
    ],
)
def test_sequential_pass_is_the_fixed_point(n, settings, transformer, x64):
    b = noisy(masked_autoregressive(n, transformer, key=jr.key(0), **settings), spread=0.4)
    z, context = normal(0, n), normal(1, b.context_shape[0]) if b.context_shape else None
    want, once_more = iterated(b, z, context)
    np.testing.assert_allclose(once_more, want, rtol=1e-12, atol=1e-12)
    x, log_det = eqx.filter_jit(b.forward_and_log_det)(z, context)
    np.testing.assert_allclose(x, want, rtol=1e-11, atol=1e-11)
    assert np.max(np.abs(x - z)) > 0.05
    assert np.isfinite(log_det)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("context", [0, 2])
def test_every_hidden_unit_has_a_degree_and_no_gap(width, context):
    conditioner = masked_autoregressive(
        4, Affine(), hidden=(width,), context_dim=context, key=jr.key(0)
    ).conditioner
    degrees = conditioner.degrees(width)
    lowest = 0 if context else 1
    assert np.all(np.diff(degrees) >= 0)
    assert np.all((degrees >= lowest) & (degrees <= 3))
    assert len(set(degrees)) == min(width, 4 - lowest)


def test_nan_is_never_turned_into_a_number():
    b = noisy(masked_autoregressive(4, Affine(), hidden=(6,), key=jr.key(0)))
    for function in (b.forward_and_log_det, b.inverse_and_log_det):
        out, log_det = function(jnp.array([0.1, 0.2, jnp.nan, 0.3]))
        assert np.all(np.isnan(out[2:]))
        assert np.isnan(log_det)
