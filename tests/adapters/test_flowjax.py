"""The flowjax adapter against flowjax itself: a masked flow, which flowjax builds inverted, scanned, with a condition."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks


def moved(tree: Any) -> Any:
    """Every parameter moved at random, far from its initial value."""
    import equinox as eqx
    import jax

    key = jax.random.key(1)
    move = lambda a: a + 0.2 * jax.random.normal(key, a.shape) if eqx.is_inexact_array(a) else a
    return jax.tree.map(move, tree)


@pytest.fixture(scope="module")
def flow() -> Any:
    import jax
    from flowjax.distributions import StandardNormal
    from flowjax.flows import masked_autoregressive_flow

    base = StandardNormal((3,))
    flow = masked_autoregressive_flow(
        jax.random.key(0), base_dist=base, cond_dim=2, flow_layers=2, nn_width=8
    )
    return moved(flow)


def own(flow: Any, points: Any, context: Any, direction: str) -> Any:
    """Images, log-dets and Jacobians of flowjax, in the dtype of the parameters."""
    import jax

    method = (
        flow.bijection.transform_and_log_det if direction == "forward" else flow.bijection.inverse_and_log_det
    )

    def both(p: Any, c: Any) -> Any:
        image, log_det = method(p, c)
        return image, (image, log_det)

    jacobians, (images, log_dets) = jax.jit(jax.vmap(jax.jacrev(both, has_aux=True)))(points, context)
    return np.asarray(images), np.asarray(log_dets), np.asarray(jacobians)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, direction: Any, dtype: Any) -> None:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    points, _, context = (jnp.asarray(a, dtype) for a in checks.draws(3, 2))
    cast = jax.tree.map(lambda a: jnp.asarray(a, dtype) if eqx.is_inexact_array(a) else a, flow)
    expected = own(cast, points, context, direction)
    with jax.enable_x64(False):
        checks.agree(adapters.to_map(flow), np.asarray(points), np.asarray(context), expected, direction)


def test_parity_can_fail(flow: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(flow), 2)


def test_layers_and_direction(flow: Any) -> None:
    """The density is that of the base at the inverse, the direction that flowjax's own `log_prob` takes."""
    found = adapters.to_map(flow)
    assert [x.name for x in found.layers()] == ["Permute", "MaskedAutoregressive"] * 2
    checks.composition(found, 2)
    points, _, context = checks.draws(3, 2)
    z, log_dets = found.at("inverse", context=context).apply(points)
    density = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi) + np.asarray(log_dets)
    asked = flow.log_prob(points.astype(np.float32), condition=context.astype(np.float32))
    np.testing.assert_allclose(density, asked, rtol=1e-4, atol=1e-4)


def test_nested_distribution_and_bare_bijection() -> None:
    """A composition by hand: 2 (z reversed / (1, 2, 3)) + (0, 1, 2)."""
    import jax.numpy as jnp
    from flowjax.bijections import Affine, Chain, Flip, Invert
    from flowjax.distributions import Normal, Transformed

    scale, shift = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.0, 1.0, 2.0])
    inner = Invert(Chain([Affine(jnp.zeros(3), scale), Flip((3,))]))  # z -> z reversed -> / scale
    outer = Affine(shift, jnp.full(3, 2.0))
    z = np.array([[0.5, -1.0, 2.0]])
    expected = 2 * z[:, ::-1] / np.array([1.0, 2.0, 3.0]) + np.array([0.0, 1.0, 2.0])
    nested = Transformed(Transformed(Normal(jnp.ones(3)), inner), outer)
    for flow in (nested, Chain([inner, outer])):
        found = adapters.to_map(flow)
        assert [x.name for x in found.layers()] == ["Flip", "Affine", "Affine"]
        x, log_dets = found.at().apply(z)
        np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-6)  # flowjax stores scales in float32
        np.testing.assert_allclose(np.asarray(log_dets), 3 * np.log(2) - np.log(6), rtol=1e-6)


def test_bfloat16_is_refused(flow: Any) -> None:
    points, _, context = checks.draws(3, 2)
    with pytest.raises(NotImplementedError, match="flowjax can not run in bfloat16"):
        adapters.to_map(flow).at("forward", "bfloat16", context)(points)
