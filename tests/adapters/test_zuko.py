"""The zuko adapter against zuko itself: a spline flow with context, and flows whose inverse is a root finder's."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks


@pytest.fixture(scope="module")
def flow() -> Any:
    import zuko

    checks.seed()
    flow = checks.perturbed(zuko.flows.NSF(3, 2, transforms=2, hidden_features=(8, 8)))
    turn = zuko.lazy.UnconditionalTransform(zuko.transforms.RotationTransform, A=np_tensor())
    return zuko.lazy.Flow([*flow.transform.transforms, turn.inv], flow.base)


def np_tensor() -> Any:
    import torch

    return torch.tensor(np.random.default_rng(5).normal(size=(3, 3)), dtype=torch.float32)


def own(flow: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    transform = flow(context).transform
    return (transform.inv if direction == "forward" else transform).call_and_ladj(points)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, direction: Any, precision: Any) -> None:
    checks.parity(adapters.to_map(flow), flow, own, 2, direction, precision)


def test_parity_can_fail(flow: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(flow), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(flow), flow, own, 2)


def test_layers(flow: Any) -> None:
    found = adapters.to_map(flow)
    singles = list(found.layers())
    assert [layer.name for layer in found.layers()] == [
        "RotationTransform",
        *["MaskedAutoregressiveTransform"] * 2,
    ]
    assert [layer.layers()[0] for layer in singles] == singles
    checks.composition(found, 2)
    checks.composition(adapters.to_map(flow.transform.inv, shape=(3,)), 2)


def test_derivatives(flow: Any) -> None:
    checks.derivatives(adapters.to_map(flow), 2)
    checks.error_bars(adapters.to_map(flow), 2)


def test_gradient_of_the_loss(flow: Any) -> None:
    checks.gradients(adapters.to_map, flow, own, 2)


def test_caller_unchanged(flow: Any) -> None:
    checks.caller_unchanged(adapters.to_map, flow, 2)


def test_context_is_passed(flow: Any) -> None:
    points, _, context = checks.draws(3, 2)
    found = adapters.to_map(flow)
    assert np.abs(found.at(context=context)(points) - found.at(context=context + 1)(points)).max() > 0.1


def test_samples_are_forward_of_the_base(flow: Any) -> None:
    import torch

    context = torch.tensor([0.3, -0.2])
    torch.manual_seed(0)
    samples = flow(context).sample((4,)).numpy()
    torch.manual_seed(0)
    base = flow(context).base.sample((4,)).numpy()
    checks.same_images(adapters.to_map(flow), base, np.tile(context.numpy(), (4, 1)), samples)


def test_root_finder_keeps_its_derivatives() -> None:
    """Bisection drops second derivatives in silence: a jvp by two reverse passes alone would be zero."""
    import zuko

    flow = checks.perturbed(zuko.flows.NAF(3, 0, transforms=1, hidden_features=(8, 8)), 0.1)
    points, tangents, _ = checks.draws(3, None, 2)
    found = adapters.to_map(flow)
    x = found.at()(points)
    back = found.at("inverse").jacobian(x)
    push = found.at().jvp(points, tangents)
    np.testing.assert_allclose(push, np.linalg.solve(back, tangents[..., None])[..., 0], rtol=1e-4, atol=1e-4)
    rate = np.einsum("ri,ri->r", push, found.at().curvature(points, tangents)) / (push**2).sum(1)
    logs, slopes = found.at().stretch_gradient(points, tangents)
    np.testing.assert_allclose(logs, np.log(np.linalg.norm(push, axis=1)), rtol=1e-6)
    np.testing.assert_allclose((slopes * tangents).sum(1), rate, rtol=0.02, atol=2e-3)  # both are differences
    checks.error_bars(found, None)  # its log-det is a derivative: a layer as one operation


def test_bfloat16() -> None:
    import zuko

    points, _, _ = checks.draws(3, None)
    found = adapters.to_map(checks.perturbed(zuko.flows.MAF(3, 0, transforms=2, hidden_features=(8,))))
    rough = found.at("forward", "bfloat16")(points)
    assert rough.dtype == np.float32
    assert 1e-4 < np.abs(rough - found.at()(points)).max() < 0.5
    continuous = adapters.to_map(zuko.flows.CNF(3, 0, hidden_features=(4,)))
    with pytest.raises(NotImplementedError, match="CNF can not run in bfloat16: the steps of its ODE solver"):
        continuous.at("forward", "bfloat16")(points)


def test_shape_is_asked_for(flow: Any) -> None:
    with pytest.raises(
        ValueError, match=r"zuko flow does not tell the shape of a latent point: give `shape=\(n,\)`"
    ):
        adapters.to_map(flow.transform)
