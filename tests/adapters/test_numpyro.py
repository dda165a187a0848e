"""The numpyro adapter against numpyro itself: a trained guide of autoregressive flows, transforms within transforms."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks


@pytest.fixture(scope="module")
def trained() -> tuple[Any, Any]:
    """A guide and its parameters after a few steps, on a law that is bent in one coordinate."""
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoIAFNormal

    def model() -> None:
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(x**2, 0.5))
        numpyro.sample("z", dist.Normal(jnp.sin(x), 0.3))

    guide = AutoIAFNormal(model, num_flows=2, hidden_dims=[8, 8])
    svi = SVI(model, guide, numpyro.optim.Adam(0.02), Trace_ELBO(num_particles=8))
    found = svi.run(jax.random.key(0), 60, progress_bar=False)
    assert float(found.losses[-10:].mean()) < float(found.losses[:10].mean()) - 0.5
    return guide, found.params


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(trained: Any, direction: Any, dtype: Any) -> None:
    import jax
    import jax.numpy as jnp

    guide, parameters = trained
    posterior = guide.get_posterior(jax.tree.map(lambda a: jnp.asarray(a, dtype), parameters))
    whole = posterior.transforms[0]

    def own(p: Any) -> tuple[Any, Any]:
        image = whole(p) if direction == "forward" else whole.inv(p)
        z, x = (p, image) if direction == "forward" else (image, p)
        log_det = whole.log_abs_det_jacobian(z, x)
        return image, log_det if direction == "forward" else -log_det

    points = jnp.asarray(checks.draws(3, None)[0], dtype)
    both = jax.jit(lambda p: (*own(p), jax.vmap(jax.jacfwd(lambda q: own(q)[0]))(p)))
    expected = tuple(map(np.asarray, both(points)))
    with jax.enable_x64(False):
        found = adapters.to_map(guide.get_posterior(parameters))
        checks.agree(found, np.asarray(points), None, expected, direction)


def test_parity_can_fail(trained: Any) -> None:
    guide, parameters = trained
    checks.a_missing_layer_shows(adapters.to_map(guide.get_posterior(parameters)), None)


def test_layers_and_density(trained: Any) -> None:
    guide, parameters = trained
    posterior = guide.get_posterior(parameters)
    found = adapters.to_map(posterior)
    flow = "InverseAutoregressiveTransform"
    assert [layer.name for layer in found.layers()] == [flow, "PermuteTransform", flow]
    assert found.latent == "StandardNormal"
    checks.composition(found, None)
    points, _, _ = checks.draws(3, None)
    z, log_dets = found.at("inverse").apply(points)
    density = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi) + np.asarray(log_dets)
    np.testing.assert_allclose(density, posterior.log_prob(points.astype(np.float32)), rtol=1e-4, atol=1e-4)


def test_transforms_within_transforms() -> None:
    """By hand: exp of (2 z + 1), inverted; of a base that is not standard normal."""
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from numpyro.distributions.transforms import AffineTransform, ComposeTransform, ExpTransform

    whole = ComposeTransform([AffineTransform(jnp.ones(3), 2.0), ExpTransform()])
    law = dist.TransformedDistribution(dist.Normal(jnp.zeros(3), 2.0).to_event(1), [whole])
    points, _, _ = checks.draws(3, None)
    found = adapters.to_map(law)
    np.testing.assert_allclose(found.at()(points), np.exp(2 * points + 1), rtol=1e-12)
    assert found.latent == "Normal"
    turned = adapters.to_map(whole.inv, shape=(3,))
    assert [layer.name for layer in turned.layers()] == ["ExpTransform", "AffineTransform"]
    x = np.exp(points)
    np.testing.assert_allclose(turned.at()(x), (points - 1) / 2, rtol=1e-12, atol=1e-12)
    log_dets = np.asarray(turned.at().apply(x)[1])
    np.testing.assert_allclose(log_dets, -points.sum(1) - 3 * np.log(2), rtol=1e-12)
    with pytest.raises(ValueError, match="A numpyro transform takes no context"):
        turned.at(context=x)(x)
    with pytest.raises(ValueError, match="This numpyro flow does not tell the shape"):
        adapters.to_map(whole)
