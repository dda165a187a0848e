"""The pyro adapter against pyro itself: trained stacks, conditional and not, with inverted and plain transforms."""

import copy
from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

pytestmark = checks.needs("pyro")


def rows() -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 3, generator=generator)
    context = torch.randn(200, 2, generator=generator)
    x = torch.stack([z[:, 0], z[:, 0] ** 2 + 0.5 * z[:, 1], z[:, 1] + 0.3 * z[:, 2]], 1)
    return x + context[:, :1], context


def law(transforms: list[Any], conditional: bool, dtype: Any) -> Any:
    import pyro.distributions as dist
    import torch
    from pyro.distributions.conditional import ConditionalTransformedDistribution

    base = dist.Normal(torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype))
    made = ConditionalTransformedDistribution if conditional else dist.TransformedDistribution
    return made(base, transforms)


def stack(conditional: bool) -> tuple[list[Any], Any]:
    """Transforms, and their modules."""
    import pyro.distributions.transforms as t
    import torch

    if conditional:
        made = [
            t.conditional_spline(3, 2, [8]),
            t.conditional_affine_coupling(3, 2, [8]),
            t.conditional_affine_autoregressive(3, 2, [8]).inv,
        ]
        return made, torch.nn.ModuleList([made[0], made[1], made[2].inv])
    autoregressive = t.affine_autoregressive(3, [8])
    norm = t.batchnorm(3)
    made = [
        t.spline_coupling(3, hidden_dims=[8]),
        t.permute(3, torch.tensor([2, 0, 1])),
        autoregressive.inv,
        t.AffineTransform(torch.tensor([0.3, 0.0, 1.0]), torch.tensor([1.0, 2.0, 0.5])),
        norm,
    ]
    return made, torch.nn.ModuleList([made[0], autoregressive, norm])


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "conditional"])
def trained(request: pytest.FixtureRequest) -> Any:
    """The flow after a few steps, in evaluation mode, and its modules."""
    import torch

    checks.seed()
    transforms, modules = stack(request.param)
    flow = law(transforms, request.param, torch.float32)
    x, context = rows()
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        flow.clear_cache()
        loss = -(flow.condition(context) if request.param else flow).log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    modules.eval()
    return flow, modules, request.param


def test_density_in_float64(trained: Any) -> None:
    """The same to 1e-10 as pyro's own in float64, on modules that the test casts itself."""
    import torch

    flow, modules, conditional = trained
    x, context = (a[:20].double() for a in rows())
    given = context.numpy() if conditional else None
    found = adapters.to_map(flow)
    z, log_dets = found.at("inverse", context=given).apply(x.numpy())
    density = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi) + np.asarray(log_dets)
    before = copy.deepcopy(modules.state_dict())
    plain = [t for t in flow.transforms if type(t).__name__ == "AffineTransform"]
    torch.set_default_dtype(torch.float64)
    try:
        modules.double()
        for t in plain:
            t.loc, t.scale = t.loc.double(), t.scale.double()
        double = law(flow.transforms, conditional, torch.float64)
        double.clear_cache()
        with torch.no_grad():
            asked = (double.condition(context) if conditional else double).log_prob(x).numpy()
        again = (double.condition(context) if conditional else double).transforms
        image = torch.tensor(z)
        for transform in again:
            image = transform(image)
    finally:
        torch.set_default_dtype(torch.float32)
        modules.float()
        modules.load_state_dict(before)
        for t in plain:
            t.loc, t.scale = t.loc.float(), t.scale.float()
    np.testing.assert_allclose(density, asked, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.at(context=given)(z), image.detach().numpy(), rtol=0, atol=1e-10)


def test_layers(trained: Any) -> None:
    flow, _, conditional = trained
    found = adapters.to_map(flow)
    alone = ["SplineCoupling", "Permute", "AffineAutoregressive", "AffineTransform", "BatchNorm"]
    given = ["ConditionalSpline", "ConditionalAffineCoupling", "ConditionalAffineAutoregressive"]
    assert [layer.name for layer in found.layers()] == (given if conditional else alone)
    assert found.latent == "StandardNormal"
    checks.composition(found, 2 if conditional else None)
    checks.derivatives(found, 2 if conditional else None)


def test_parity_can_fail(trained: Any) -> None:
    flow, modules, conditional = trained
    before = copy.deepcopy(modules.state_dict())
    checks.perturbed(modules)
    checks.a_missing_layer_shows(adapters.to_map(flow), 2 if conditional else None)
    modules.load_state_dict(before)


def test_float32_and_the_caller(trained: Any) -> None:
    """The same numbers as pyro's in float32; caches, modes, flags, and torch's default precision are the caller's."""
    import torch

    flow, modules, conditional = trained
    x, context = (a[:20] for a in rows())
    flow.clear_cache()
    bound = flow.condition(context) if conditional else flow
    asked = bound.log_prob(x).detach().numpy()  # fills the caches, with a history of gradients
    modules.train()
    found = adapters.to_map(flow)
    given = context.numpy() if conditional else None
    z, log_dets = found.at("inverse", "float32", given).apply(x.numpy())
    density = -0.5 * (z**2).sum(1) - 1.5 * np.log(2 * np.pi) + np.asarray(log_dets)
    np.testing.assert_allclose(density, asked, rtol=1e-3, atol=1e-3)
    assert modules.training
    assert all(p.requires_grad and p.dtype == torch.float32 for p in modules.parameters())
    assert torch.get_default_dtype() == torch.float32
    modules.eval()


def test_what_can_not_be_measured(trained: Any) -> None:
    import pyro.distributions.transforms as t

    flow, _, conditional = trained
    if conditional:
        with pytest.raises(ValueError, match="This pyro flow is conditional: give a context"):
            adapters.to_map(flow).at()(np.zeros((2, 3)))
    planar = adapters.to_map(t.planar(3), shape=(3,))
    assert planar.at()(np.zeros((1, 3))).shape == (1, 3)
    with pytest.raises(
        NotImplementedError, match="pyro has no inverse of Planar but for points that it made"
    ):
        planar.at("inverse")(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="This pyro flow does not tell the shape"):
        adapters.to_map(t.planar(3))
