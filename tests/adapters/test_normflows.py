"""The normflows adapter against normflows itself, which sums log-dets in float32: to that, and to slogdet in float64."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

# normflows 1.7 solves and factors by functions that torch has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning"),
]


@pytest.fixture(scope="module")
def flow() -> Any:
    import normflows as nf
    import torch

    checks.seed()
    net = lambda *sizes: nf.nets.MLP(list(sizes))
    layers = [
        nf.flows.AffineCouplingBlock(net(2, 8, 2)),
        nf.flows.Permute(3, mode="swap"),
        nf.flows.MaskedAffineFlow(torch.tensor([1.0, 0, 1]), net(3, 8, 3), net(3, 8, 3)),
        nf.flows.ActNorm(3),
        nf.flows.Reverse(nf.flows.AutoregressiveRationalQuadraticSpline(3, 1, 8)),
    ]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(3), layers)
    torch.manual_seed(0)
    flow(torch.randn(16, 3))
    return checks.perturbed(flow)


@pytest.fixture(scope="module")
def conditional() -> Any:
    import normflows as nf

    checks.seed()
    layers = [nf.flows.MaskedAffineAutoregressive(3, 8, context_features=2), nf.flows.LULinearPermute(3)]
    return checks.perturbed(nf.ConditionalNormalizingFlow(nf.distributions.DiagGaussian(3), layers))


def own(flow: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    """The library's own layers, summed in the dtype of the points."""
    given = {} if context is None else {"context": context}
    layers = flow.flows if direction == "forward" else list(flow.flows)[::-1]
    total = 0.0
    for layer in layers:
        points, log_det = (layer if direction == "forward" else layer.inverse)(points, **given)
        total = total + log_det
    return points, total


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, conditional: Any, direction: Any, precision: Any) -> None:
    checks.parity(adapters.to_map(flow), flow, own, None, direction, precision)
    checks.parity(adapters.to_map(conditional), conditional, own, 2, direction, precision)


def test_parity_can_fail(flow: Any, conditional: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(flow), None)
    checks.a_wrong_parameter_shows(adapters.to_map(flow), flow, own, None)
    checks.a_missing_layer_shows(adapters.to_map(conditional), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(conditional), conditional, own, 2)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_whole_calls_of_the_library(flow: Any, direction: Any) -> None:
    import torch

    points, _, _ = checks.draws(3, None)
    call = flow.forward_and_log_det if direction == "forward" else flow.inverse_and_log_det
    images, log_dets = call(torch.tensor(points, dtype=torch.float32))
    found = adapters.to_map(flow)
    checks.same_images(found, points, None, images.detach().numpy(), log_dets.detach().numpy(), direction)


def test_layers(flow: Any, conditional: Any) -> None:
    found = adapters.to_map(flow)
    names = [
        "AffineCouplingBlock",
        "Permute",
        "MaskedAffineFlow",
        "ActNorm",
        "AutoregressiveRationalQuadraticSpline",
    ]
    assert [layer.name for layer in found.layers()] == names
    checks.composition(found, None)
    checks.composition(adapters.to_map(conditional), 2)


def test_derivatives(flow: Any, conditional: Any) -> None:
    checks.derivatives(adapters.to_map(flow), None)
    checks.derivatives(adapters.to_map(conditional), 2)
    checks.error_bars(adapters.to_map(conditional), 2)


def test_gradient_of_the_loss(flow: Any, conditional: Any) -> None:
    checks.gradients(adapters.to_map, flow, own, None)
    checks.gradients(adapters.to_map, conditional, own, 2)


def test_caller_unchanged(flow: Any) -> None:
    checks.caller_unchanged(adapters.to_map, flow, None)


def test_samples_are_forward_of_the_base(flow: Any) -> None:
    import torch

    torch.manual_seed(0)
    samples = flow.sample(4)[0].detach().numpy()
    torch.manual_seed(0)
    base = flow.q0(4)[0].detach().numpy()
    checks.same_images(adapters.to_map(flow), base, None, samples)


def test_glow_block_is_taken_apart_and_images_change_shape() -> None:
    import normflows as nf
    import torch

    torch.manual_seed(0)
    flow = nf.NormalizingFlow(
        nf.distributions.DiagGaussian((4, 2, 2)), [nf.flows.GlowBlock(4, 8), nf.flows.Squeeze()]
    )
    flow(torch.randn(16, 4, 2, 2))
    found = adapters.to_map(checks.perturbed(flow, 0.2))
    names = [layer.name for layer in found.layers()]
    assert names == ["AffineCouplingBlock", "Invertible1x1Conv", "ActNorm", "Squeeze"]
    checks.composition(found, None)
    assert adapters.to_map(nf.flows.Planar((2,)), shape=(2,)).at()(np.zeros((1, 2))).shape == (1, 2)


def test_what_is_no_map_of_points_is_refused() -> None:
    import normflows as nf

    base = nf.distributions.DiagGaussian(3)
    with pytest.raises(ValueError, match="ActNorm of this normflows flow has seen no data"):
        adapters.to_map(nf.NormalizingFlow(base, [nf.flows.ActNorm(3)]))
    with pytest.raises(ValueError, match="BatchNorm maps batches, not points"):
        adapters.to_map(nf.NormalizingFlow(base, [nf.flows.BatchNorm()]))
