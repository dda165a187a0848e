"""The nflows adapter against nflows itself: nested composites, an inverted one, a cached linear layer, an embedding."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

# nflows 0.14 solves by a function that torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")


@pytest.fixture(scope="module")
def flow() -> Any:
    from nflows import distributions, transforms
    from nflows.flows import Flow
    from nflows.nn.nets import ResidualNet
    from torch import nn

    checks.seed()
    net = lambda i, o: ResidualNet(i, o, 8, context_features=4)
    inner = [
        transforms.PiecewiseRationalQuadraticCouplingTransform(
            [1, 0, 1], net, tails="linear", tail_bound=3.0
        ),
        transforms.ReversePermutation(3),
    ]
    outer = [
        transforms.MaskedAffineAutoregressiveTransform(3, 8, context_features=4),
        transforms.LULinear(3, using_cache=True),
        transforms.InverseTransform(transforms.CompositeTransform(inner)),
        transforms.BatchNorm(3),
    ]
    flow = Flow(transforms.CompositeTransform(outer), distributions.StandardNormal([3]), nn.Linear(2, 4))
    flow = checks.perturbed(flow, 0.2)
    points, _, context = checks.draws(3, 2)
    own(flow, tensor(points), tensor(context), "inverse")  # fills the cache, with a history of gradients
    assert flow._transform._transforms[1].cache.weight.grad_fn is not None
    return flow


def tensor(values: Any) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float32)


def own(flow: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    embedded = flow._embedding_net(context)
    return (flow._transform.inverse if direction == "forward" else flow._transform)(points, embedded)


@pytest.fixture
def uncached(flow: Any) -> Any:
    """The flow as torch can copy it."""
    flow._transform._transforms[1].cache.invalidate()
    flow._transform._transforms[1].using_cache = False
    return flow


def test_cached_layer_is_copied(flow: Any) -> None:
    points, _, context = checks.draws(3, 2)
    expected = own(flow, tensor(points), tensor(context), "forward")[0].detach().numpy()
    checks.same_images(adapters.to_map(flow), points, context, expected)
    assert flow._transform._transforms[1].using_cache


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(uncached: Any, direction: Any, precision: Any) -> None:
    checks.parity(adapters.to_map(uncached), uncached, own, 2, direction, precision)


def test_parity_can_fail(uncached: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(uncached), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(uncached), uncached, own, 2)


def test_layers(uncached: Any) -> None:
    found = adapters.to_map(uncached)
    spline = "PiecewiseRationalQuadraticCouplingTransform"
    names = ["BatchNorm", spline, "ReversePermutation", "LULinear", "MaskedAffineAutoregressiveTransform"]
    assert [layer.name for layer in found.layers()] == names
    checks.composition(found, 2)


def test_derivatives(uncached: Any) -> None:
    checks.derivatives(adapters.to_map(uncached), 2)
    checks.error_bars(adapters.to_map(uncached), 2)


def test_gradient_of_the_loss(uncached: Any) -> None:
    checks.gradients(adapters.to_map, uncached, own, 2)


def test_caller_unchanged(uncached: Any) -> None:
    checks.caller_unchanged(adapters.to_map, uncached, 2)


def test_samples_are_forward_of_the_base(uncached: Any) -> None:
    import torch

    context = torch.tensor([[0.3, -0.2]])
    torch.manual_seed(0)
    samples = uncached.sample(4, context)[0].detach().numpy()
    torch.manual_seed(0)
    base = uncached._distribution.sample(4, uncached._embedding_net(context))[0].numpy()
    checks.same_images(adapters.to_map(uncached), base, np.tile(context.numpy(), (4, 1)), samples)


def test_shape_is_asked_for(flow: Any) -> None:
    with pytest.raises(ValueError, match="nflows flow does not tell the shape"):
        adapters.to_map(flow._transform)


def test_bfloat16_is_refused(uncached: Any) -> None:
    points, _, context = checks.draws(3, 2)
    with pytest.raises(NotImplementedError, match=r"Flow can not run in bfloat16: .*triangular_solve"):
        adapters.to_map(uncached).at("forward", "bfloat16", context)(points)


def test_images_that_change_shape() -> None:
    from nflows import transforms

    mixed = transforms.CompositeTransform([transforms.SqueezeTransform(), transforms.OneByOneConvolution(4)])
    checks.perturbed(mixed, 0.2)
    found = adapters.to_map(mixed, shape=(4, 2, 2))
    assert found.size == 16
    assert [layer.name for layer in found.layers()] == ["OneByOneConvolution", "SqueezeTransform"]
    checks.composition(found, None)


def test_rows_that_nflows_refuses_are_nan_and_the_others_are_not() -> None:
    """`Logit` raises for a whole batch where one row of data lies outside (0, 1)."""
    from nflows import transforms

    found = adapters.to_map(transforms.CompositeTransform([transforms.Logit()]), shape=(2,))
    x = np.array([[0.25, 0.5], [1.5, 0.5], [0.75, 0.125], [0.5, -0.25]])
    image, log_det = found.at("inverse").apply(x)
    assert log_det is not None
    inside = np.array([True, False, True, False])
    np.testing.assert_array_equal(np.isfinite(image).all(axis=1), inside)
    np.testing.assert_array_equal(np.isfinite(log_det), inside)
    np.testing.assert_allclose(image[inside], np.log(x[inside] / (1 - x[inside])), rtol=1e-12)


@pytest.mark.parametrize("row", [0.5, 3.0])
def test_an_assertion_at_some_rows_is_nan_and_at_all_rows_is_said(row: float) -> None:
    """The splines of nflows assert that a root is real, which rounding can break for a single row."""
    from nflows import transforms

    class Asserting(transforms.Transform):
        def forward(self, inputs: Any, context: Any = None) -> Any:
            assert (inputs < 2).all()
            return inputs, inputs.new_zeros(len(inputs))

        inverse = forward

    found = adapters.to_map(Asserting(), shape=(1,)).at("inverse")
    x = np.array([[row], [3.0]])
    if row == 0.5:
        np.testing.assert_array_equal(np.isnan(found(x)), [[False], [True]])
    else:
        with pytest.raises(RuntimeError, match="fails at every row"):
            found(x)


def test_a_map_that_mixes_rows_has_no_error_bars() -> None:
    """Moments of the batch: whose error a rounding is can not be told from derivatives."""
    from nflows import transforms

    from shoal.conditioning import log_prob_errors

    class Centred(transforms.Transform):
        def forward(self, inputs: Any, context: Any = None) -> Any:
            moved = inputs / (1.0 + (inputs**2).mean(0))
            return moved, moved.new_zeros(len(moved))

        inverse = forward

    x = np.random.default_rng(0).normal(size=(40, 2))
    found = adapters.to_map(Centred(), shape=(2,))
    assert found.at("inverse").apply(x)[1] is not None
    assert log_prob_errors(found, x, None) is None
