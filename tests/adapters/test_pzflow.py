"""The pzflow adapter against pzflow itself: a trained default flow, conditional and not."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

pytestmark = checks.needs("pzflow")

CONSTANTS = 1e-6  # log-dets of `ShiftBounds` were worked out in float32, when it was made


def table() -> Any:
    import pandas as pd

    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(200, 3)), rng.uniform(2.0, 5.0, size=200)
    return pd.DataFrame(
        {"a": z[:, 0], "b": z[:, 0] ** 2 + 0.5 * z[:, 1] + t, "c": z[:, 1] + 0.3 * z[:, 2], "t": t}
    )


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "conditional"])
def flow(request: pytest.FixtureRequest) -> Any:
    from pzflow import Flow
    from pzflow.bijectors import Chain, RollingSplineCoupling, ShiftBounds
    from pzflow.distributions import Normal

    frame = table()
    columns = ["a", "b", "c"]
    low, high = frame[columns].to_numpy().min(axis=0), frame[columns].to_numpy().max(axis=0)
    spline = RollingSplineCoupling(2, n_conditions=int(request.param), hidden_dim=8, hidden_layers=1, K=4)
    made = Flow(
        columns,
        Chain(ShiftBounds(low, high, 4.0), spline),
        latent=Normal(3) if request.param else None,
        conditional_columns=["t"] if request.param else None,
    )
    losses = made.train(frame, epochs=3, batch_size=50, seed=0)
    assert losses[-1] < losses[0] - 0.1
    return made


def points(flow: Any) -> tuple[Any, Any]:
    """Rows within the splines' range, and their contexts in the column's units."""
    frame = table().iloc[:4]
    context = None if flow.conditional_columns is None else frame[["t"]].to_numpy()
    return frame[["a", "b", "c"]].to_numpy(), context


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, direction: Any) -> None:
    import jax
    import jax.numpy as jnp

    cast = lambda tree: jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tree)
    parameters = cast(flow._params[1])
    x, given = points(flow)
    scaled = jnp.zeros((len(x), 1), jnp.float64)
    if given is not None:
        scaled = (jnp.asarray(given) - cast(flow._condition_means)) / cast(flow._condition_stds)
    start = jnp.asarray(x)
    if direction == "forward":
        start = flow._forward(parameters, start, conditions=scaled)[0]
    run = flow._inverse if direction == "forward" else flow._forward

    def own(p: Any, c: Any) -> Any:
        images, log_dets = run(parameters, p, conditions=c)
        row = lambda q, d: run(parameters, q[None], conditions=d[None])[0][0]
        return images, log_dets, jax.vmap(jax.jacfwd(row))(p, c)

    expected = tuple(map(np.asarray, jax.jit(own)(start, scaled)))
    with jax.enable_x64(False):
        found = adapters.to_map(flow)
        checks.agree(found, np.asarray(start), given, expected, direction, rounded=CONSTANTS)


def test_layers_and_density(flow: Any) -> None:
    found = adapters.to_map(flow)
    assert [x.name for x in found.layers()] == ["Roll", "NeuralSplineCoupling"] * 2 + ["ShiftBounds"]
    x, context = points(flow)
    z, log_dets = found.at("inverse", context=context).apply(x)
    asked = np.asarray(flow.log_prob(table().iloc[:4]))
    if context is None:
        assert found.latent == "CentBeta13"
        base = np.asarray(flow.latent.log_prob(flow._params[0], z.astype(np.float32)))
    else:
        assert found.latent == "StandardNormal"
        base = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(base + log_dets, asked, rtol=1e-3, atol=1e-3)


def test_parity_can_fail(flow: Any) -> None:
    """The map without any one of its layers, at rows within the splines' range."""
    found = adapters.to_map(flow)
    x, context = points(flow)
    z = found.at("inverse", context=context)(x)
    layers = found.layers()
    for i, missing in enumerate(layers):
        value = z
        for layer in (*layers[:i], *layers[i + 1 :]):
            value = layer.at(context=context)(value)
        assert np.abs(value - x).max() > 1e-2, missing.name
    value = z
    for layer in layers:
        value = layer.at(context=context)(value)
    np.testing.assert_allclose(value, x, rtol=0, atol=1e-9)


def test_what_can_not_be_measured(flow: Any) -> None:
    from pzflow import Flow

    if flow.conditional_columns is not None:
        with pytest.raises(ValueError, match="This pzflow Flow is conditional: give a context"):
            adapters.to_map(flow).at()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="This pzflow Flow has no bijector yet"):
        adapters.to_map(Flow(["a", "b"]))
