"""The distrax adapter against distrax itself: couplings whose functions close over arrays, chains inside inverses."""

from typing import Any

import numpy as np
import pytest

import shoal
from shoal import adapters
from tests.adapters import checks

# tensorflow_probability, on which distrax stands, uses a name that JAX has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings:DeprecationWarning")

MATRIX = [[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.25, 0.5, 0.5]]


@pytest.fixture(scope="module")
def flow() -> Any:
    import distrax
    import jax.numpy as jnp

    weights = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2)), jnp.float32)

    def conditioner(x: Any) -> Any:
        given = jnp.tanh(jnp.roll(x, 1, -1))  # where an entry is free, its neighbour is kept
        return jnp.stack([given * weights[:, 0], given * weights[:, 1]], -1)

    coupling = distrax.MaskedCoupling(
        jnp.array([True, False, True]),
        conditioner,
        lambda p: distrax.ScalarAffine(p[..., 0], log_scale=p[..., 1]),
    )
    affine = distrax.Block(distrax.ScalarAffine(jnp.arange(3.0), jnp.array([1.0, 2.0, 0.5])), 1)
    turned = distrax.Inverse(distrax.Chain([distrax.TriangularLinear(jnp.array(MATRIX)), affine]))
    base = distrax.MultivariateNormalDiag(jnp.zeros(3), jnp.full(3, 2.0))
    return distrax.Transformed(base, distrax.Chain([coupling, turned]))


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, direction: Any, dtype: Any) -> None:
    import jax
    import jax.numpy as jnp

    bijector = flow.bijector
    points = jnp.asarray(checks.draws(3, None)[0], dtype)
    call = bijector.forward_and_log_det if direction == "forward" else bijector.inverse_and_log_det
    both = jax.jit(lambda p: (call(p), jax.vmap(jax.jacrev(lambda q: call(q)[0]))(p)))
    (images, log_dets), jacobians = jax.tree.map(np.asarray, both(points))
    with jax.enable_x64(False):
        found = adapters.to_map(flow)
        checks.agree(found, np.asarray(points), None, (images, log_dets, jacobians), direction)


def test_parity_can_fail(flow: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(flow), None)


def test_layers_and_direction(flow: Any) -> None:
    """The first layers by hand: z -> M^{-1} z, then (y - shift) / scale."""
    found = adapters.to_map(flow)
    first, second, third = found.layers()
    assert [x.name for x in (first, second, third)] == ["TriangularLinear", "Block", "MaskedCoupling"]
    points, _, _ = checks.draws(3, None)
    solved = np.linalg.solve(np.array(MATRIX), points[..., None])[..., 0]
    np.testing.assert_allclose(first.at()(points), solved, rtol=1e-12, atol=1e-12)
    scaled = (solved - np.arange(3.0)) / np.array([1.0, 2.0, 0.5])
    np.testing.assert_allclose(second.at()(solved), scaled, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(third.at()(scaled), found.at()(points), rtol=1e-12, atol=1e-12)
    back = second.at("inverse")(scaled)
    np.testing.assert_allclose(back, solved, rtol=1e-12, atol=1e-12)


def test_what_can_not_be_measured(flow: Any) -> None:
    import distrax
    import jax.numpy as jnp

    points, _, context = checks.draws(3, 2)
    found = adapters.to_map(flow)
    with pytest.raises(ValueError, match="A distrax bijector takes no context"):
        found.at(context=context)(points)
    with pytest.raises(
        NotImplementedError, match="Transformed computes in float32 where bfloat16 was asked for"
    ):
        found.at("forward", "bfloat16")(points)
    with pytest.raises(ValueError, match="distrax flow does not tell the shape"):
        adapters.to_map(flow.bijector)
    batch = distrax.ScalarAffine(jnp.zeros((4, 3)), jnp.ones((4, 3)))
    with pytest.raises(ValueError, match=r"ScalarAffine takes shape .* give one without batches"):
        adapters.to_map(batch, shape=(3,))


def test_audit_of_an_inverted_bijector(flow: Any) -> None:
    """Its layers change their structure under a partition; the gradient of the affine layer is known by hand."""
    rows = np.asarray(checks.draws(3, None)[0], np.float64)
    found = shoal.audit(adapters.to_map(flow), rows, scale=np.ones(3))
    assert [row.name for row in found.layers] == ["TriangularLinear", "Block", "MaskedCoupling"]
    middle = found.layers[1].gradient
    # Layer 1 is y = (h - shift) / scale, z = M h. distrax stores scale and log scale apart, so the loss
    # |z|^2 / 2 - sum log scale has the derivatives M^T z, M^T z * y and -1 by shift, scale and log scale.
    layers = adapters.to_map(flow).layers()
    y = layers[2].at("inverse")(rows)
    shift, scale = np.arange(3.0), np.array([1.0, 2.0, 0.5])
    h = y * scale + shift
    z = h @ np.array(MATRIX).T
    pulled = z @ np.array(MATRIX)
    expected = np.concatenate([pulled.mean(axis=0), (pulled * y).mean(axis=0), -np.ones(3)])
    assert middle == pytest.approx(np.linalg.norm(expected), rel=1e-9)
