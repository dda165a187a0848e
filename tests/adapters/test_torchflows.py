"""The torchflows adapter against torchflows itself: trained flows with a context, one inverted, one on its side."""

import copy
from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

pytestmark = [
    checks.needs("torchflows"),
    # What torch says of torchflows 1.2.
    pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning"),
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar:UserWarning"),
]


def rows() -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 3, generator=generator)
    context = torch.randn(200, 2, generator=generator)
    mixing = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.4]])
    return z @ mixing + 1 + context[:, :1], context


def trained(bijection: Any) -> Any:
    from torchflows.flows import Flow

    flow = Flow(bijection)
    x, context = rows()
    flow.fit(x, n_epochs=5, context_train=context)
    return flow


@pytest.fixture(scope="module", params=["RQS coupling", "inverted"])
def flow(request: pytest.FixtureRequest) -> Any:
    from torchflows.bijections.base import invert
    from torchflows.bijections.finite.autoregressive import architectures

    checks.seed()
    if request.param == "inverted":
        return trained(invert(architectures.RealNVP((3,), context_shape=(2,))))
    return trained(architectures.CouplingRQNSF((3,), context_shape=(2,)))


def own(flow: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    run = flow.bijection.inverse if direction == "forward" else flow.bijection.forward
    return run(points, context=context)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(flow: Any, direction: Any, precision: Any) -> None:
    checks.parity(adapters.to_map(flow), flow, own, 2, direction, precision)


def test_parity_can_fail(flow: Any) -> None:
    moved = checks.perturbed(copy.deepcopy(flow), 1.0)  # after so few epochs most layers do little
    checks.a_missing_layer_shows(adapters.to_map(moved), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(moved), moved, own, 2)


def test_layers_and_density(flow: Any) -> None:
    import torch

    found = adapters.to_map(flow)
    names = [layer.name for layer in found.layers()]
    block = ["ActNorm", "RQSCoupling", "ReversePermutationMatrix"]
    assert names in (["RealNVP"], ["ActNorm", "ElementwiseAffine", *block, *block, "ElementwiseAffine"])
    checks.composition(found, 2)
    x, context = (a[:20].double() for a in rows())
    z, log_dets = found.at("inverse", context=context.numpy()).apply(x.numpy())
    with torch.no_grad():
        asked = copy.deepcopy(flow).double().log_prob(x, context=context).numpy()
    density = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi) + np.asarray(log_dets)
    np.testing.assert_allclose(density, asked, rtol=0, atol=1e-10)
    assert found.latent == "StandardNormal"


def test_caller_unchanged(flow: Any) -> None:
    checks.caller_unchanged(adapters.to_map, flow, 2)


def test_images() -> None:
    from torchflows.bijections.finite.multiscale.base import Squeeze

    found = adapters.to_map(Squeeze((1, 2, 2)))
    points = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(found.at("inverse")(found.at()(points)), points)
