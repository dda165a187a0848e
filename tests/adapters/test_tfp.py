"""The adapter of TensorFlow Probability on JAX against TFP itself: couplings over trained arrays, chains inside inverses."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

pytestmark = [
    checks.needs("tensorflow_probability"),
    # It uses a name that JAX has deprecated.
    pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings:DeprecationWarning"),
]


def made(weights: Any) -> Any:
    """A coupling of the first coordinate, a triangular map and a scale, the last two inverted; of a scaled base."""
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    tfb, tfd = tfp.bijectors, tfp.distributions

    def shift_and_log_scale(given: Any, size: int, **_: Any) -> tuple[Any, Any]:
        hidden = jnp.tanh(given @ weights["in"])
        shift, log_scale = jnp.split(hidden @ weights["out"], 2, axis=-1)
        return shift, jnp.tanh(log_scale)

    coupling = tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=shift_and_log_scale)
    linear = tfb.ScaleMatvecTriL(weights["tril"])
    turned = tfb.Invert(tfb.Chain([linear, tfb.Scale(weights["scale"])]))
    base = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Shift(weights["shift"]))
    return tfd.TransformedDistribution(base, tfb.Chain([coupling, turned]))


@pytest.fixture(scope="module")
def weights() -> Any:
    """Trained for some steps to rows on a bent sheet."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 3))
    rows = jnp.asarray(
        np.stack([z[:, 0], z[:, 0] ** 2 + 0.5 * z[:, 1], z[:, 1] + 0.3 * z[:, 2]], 1), jnp.float32
    )
    start = {
        "in": jnp.asarray(rng.normal(size=(1, 8)), jnp.float32),
        "out": jnp.asarray(0.1 * rng.normal(size=(8, 4)), jnp.float32),
        "tril": jnp.asarray([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.25, 0.5, 0.5]], jnp.float32),
        "scale": jnp.asarray([1.0, 2.0, 0.5], jnp.float32),
        "shift": jnp.asarray([0.0, 1.0, -1.0], jnp.float32),
    }
    loss = lambda w: -made(w).log_prob(rows).mean()
    step = jax.jit(jax.value_and_grad(loss))
    found, first = start, float(step(start)[0])
    for _ in range(40):
        _, slopes = step(found)
        found = jax.tree.map(lambda w, g: w - 0.02 * g, found, slopes)
    assert float(step(found)[0]) < first - 0.1
    return found


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(weights: Any, direction: Any, dtype: Any) -> None:
    import jax
    import jax.numpy as jnp

    cast = jax.tree.map(lambda w: jnp.asarray(w, dtype), weights)
    law = made(cast)
    outer, inner = law.bijector, law.distribution.bijector

    def own(p: Any) -> tuple[Any, Any]:
        if direction == "forward":
            h = inner.forward(p)
            return outer.forward(h), inner.forward_log_det_jacobian(p, 1) + outer.forward_log_det_jacobian(
                h, 1
            )
        h = outer.inverse(p)
        return inner.inverse(h), outer.inverse_log_det_jacobian(p, 1) + inner.inverse_log_det_jacobian(h, 1)

    points = jnp.asarray(checks.draws(3, None)[0], dtype)
    both = jax.jit(lambda p: (*own(p), jax.vmap(jax.jacfwd(lambda q: own(q)[0]))(p)))
    expected = tuple(map(np.asarray, both(points)))
    with jax.enable_x64(False):
        checks.agree(adapters.to_map(made(weights)), np.asarray(points), None, expected, direction)


def test_parity_can_fail(weights: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(made(weights)), None)


def test_layers(weights: Any) -> None:
    """The first by hand: a shift, then the inverse of the triangular map, for `Chain` lists the last one first."""
    found = adapters.to_map(made(weights))
    layers = found.layers()
    assert [layer.name for layer in layers] == ["Shift", "ScaleMatvecTriL", "Scale", "RealNVP"]
    points, _, _ = checks.draws(3, None)
    shifted = points + np.asarray(weights["shift"], np.float64)
    np.testing.assert_allclose(layers[0].at()(points), shifted, rtol=1e-12)
    matrix = np.asarray(weights["tril"], np.float64)
    solved = np.linalg.solve(matrix, shifted[..., None])[..., 0]
    np.testing.assert_allclose(layers[1].at()(shifted), solved, rtol=1e-12, atol=1e-12)
    checks.composition(found, None)


def test_what_can_not_be_measured(weights: Any) -> None:
    points, _, context = checks.draws(3, 2)
    found = adapters.to_map(made(weights))
    with pytest.raises(ValueError, match="A bijector of TFP takes no context"):
        found.at(context=context)(points)
    with pytest.raises(ValueError, match="This TFP flow does not tell the shape"):
        adapters.to_map(made(weights).bijector)
    with pytest.raises(
        ValueError, match="takes a TransformedDistribution or Bijector of TensorFlow Probability"
    ):
        adapters.to_map(made(weights).distribution.distribution)
