"""Glow: shapes, mixings, what `fold_linear` makes of it, and that it trains."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.datasets import load_digits

from shoal.bijections import (
    Coupling,
    LULinear,
    Permutation,
    PixelWise,
    Support,
    initialize,
    layers_of,
)
from shoal.distributions import Dequantized, Flow
from shoal.flows import fold_linear, glow, load, save
from shoal.training import Settings, fit


def digits(rows: int) -> np.ndarray:
    return np.asarray(load_digits(return_X_y=True)[0], np.float32)[:rows]


@pytest.mark.parametrize("mixing", ["lu", "plain", "couplings"])
def test_every_mixing_starts_as_a_rotation_of_the_pixels(mixing):
    flow = glow(jr.key(0), (4, 4, 1), 2, scales=1, mixing=mixing, hidden=(4,))
    x = jr.normal(jr.key(1), (5, 16))
    z = flow.inverse(x)
    np.testing.assert_allclose(jnp.sum(z**2, 1), jnp.sum(x**2, 1), rtol=1e-5)
    np.testing.assert_allclose(flow.forward(z), x, atol=1e-5)
    assert float(jnp.max(jnp.abs(z - x))) > 0.1


@pytest.mark.parametrize("mixing", ["lu", pytest.param("plain", marks=pytest.mark.long)])
def test_folding_turns_convolutions_into_six_couplings(mixing):
    flow: Any = glow(jr.key(0), (4, 4, 1), 2, scales=2, mixing=mixing, hidden=(4,))
    folded = fold_linear(flow)
    x = jr.normal(jr.key(1), (5, 16))
    np.testing.assert_allclose(folded.log_prob(x), flow.log_prob(x), atol=1e-4)
    np.testing.assert_allclose(folded.inverse(x), flow.inverse(x), atol=1e-4)
    inner = [innermost(layer) for layer in layers_of(folded.bijection)]
    assert not any(isinstance(b, LULinear | Permutation) for b in inner)
    assert sum(isinstance(b, Coupling) for b in inner) >= 4 * 6


def innermost(layer: Any) -> Any:
    while hasattr(layer, "bijection"):
        layer = layer.bijection
    return layer


def test_split_latents_leave_after_each_scale():
    """Three quarters of the latents pass the outer scale only: they do not depend on the inner one's parameters."""
    flow: Any = glow(jr.key(0), (8, 8, 1), 1, scales=3, hidden=(4,))
    x = jr.normal(jr.key(1), (64,))
    inner = flow.bijection.bijections[0]
    moved = jax.tree.map(lambda a: a + 0.1 if jnp.issubdtype(a.dtype, jnp.floating) else a, inner)
    changed: Any = Flow(flow.base, type(flow.bijection)([moved, *flow.bijection.bijections[1:]]))
    z, other = flow.inverse(x), changed.inverse(x)
    assert int(jnp.sum(z != other)) == 32


def test_colour_images_have_shapes_and_scales():
    flow = glow(jr.key(0), (32, 32, 3), 4, scales=3, hidden=(8,), levels=256)
    made = jax.eval_shape(lambda k, x: (flow.sample(k, 2), flow.log_prob(x)), jr.key(0), jnp.zeros((5, 3072)))
    assert made[0].shape == (2, 3072)
    assert made[1].shape == (5,)


def test_initialize_gives_every_actnorm_its_batch():
    x = jnp.asarray(digits(200)) + 0.5
    flow: Any = glow(jr.key(0), (8, 8, 1), 2, hidden=(4,), levels=17)
    latent = eqx.filter_jit(lambda bijection: jax.vmap(bijection.inverse)(x))
    z, before = latent(initialize(flow.bijection, x)), latent(flow.bijection)
    assert float(jnp.abs(jnp.mean(z**2) - 1.0)) < 0.3
    assert float(jnp.abs(jnp.mean(before**2) - 1.0)) > 1.0


@pytest.mark.long
def test_it_trains_on_digits_and_comes_back_from_disk(tmp_path):
    x = digits(600)
    flow = glow(jr.key(0), (8, 8, 1), 2, hidden=(8,), levels=17)
    made = Dequantized(Flow(flow.base, initialize(flow.bijection, jnp.asarray(x) + 0.5)), 17, key=jr.key(1))
    before = float(-jnp.mean(made.log_prob(x[500:])))
    trained = fit(
        made, x[:500], key=jr.key(2), validation=x[500:], settings=Settings(max_epochs=6, batch_size=100)
    ).flow
    after = float(-jnp.mean(trained.log_prob(x[500:])))
    assert after < before - 0.05
    sampled = np.asarray(trained.sample(jr.key(3), 20))
    assert set(np.unique(sampled)) <= set(range(17))
    save(trained.density, tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").log_prob(x + 0.5), trained.density.log_prob(x + 0.5))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"image_shape": (6, 6, 1)}, "must divide height and width, 3 and 3; got 2"),
        ({"mixing": "qr"}, "`mixing` must be one of lu, plain, couplings; got 'qr'"),
        ({"scales": 0}, "`scales` must be at least 1; got 0"),
        ({"levels": 1}, "`levels` must be at least 2; got 1"),
        ({"depth": 0}, "`depth` (the number of layers) must be at least 1; got 0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_settings(settings, text):
    given: Any = {"image_shape": (8, 8, 1), "depth": 1, "hidden": (4,)} | settings
    with pytest.raises(ValueError, match=r".") as error:
        glow(jr.key(0), **given)
    assert text in str(error.value)


def test_image_layers_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="has 3 channels"):
        PixelWise(LULinear(2, key=jr.key(0)), (2, 2, 3))
    with pytest.raises(ValueError, match="low < high"):
        Support(2, low=1.0, high=0.0)
    with pytest.raises(ValueError, match="alpha"):
        Support(2, alpha=0.5)
