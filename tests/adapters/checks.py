"""What every adapter must do, checked against the library's own calls on copies that the tests cast themselves."""

import copy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import pytest

from shoal.conditioning import AbstractMap, gradient_norms, log_prob_errors
from tests.conditioning.rounding import EPS, growth

LIMIT = 1e-3  # of the largest entry, for any bound: at it and beyond, a wrong layer could pass
Own = Callable[[Any, Any, Any, str], tuple[Any, Any]]


def needs(package: str) -> pytest.MarkDecorator:
    """Skips where the package is not installed, and loads it only where a test does: each process collects all files."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


def seed() -> None:
    """Before a flow is built: libraries draw initial parameters from torch's global state."""
    import torch

    torch.manual_seed(0)


def perturbed(module: Any, scale: float = 0.3) -> Any:
    """Random parameters, far from the library's initial ones."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in [p for p in module.parameters() if p.requires_grad]:
            p.add_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return module.eval()


def draws(n: int, c: int | None, rows: int = 4) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    return (
        rng.normal(size=(rows, n)),
        rng.normal(size=(rows, n)),
        None if c is None else rng.normal(size=(rows, c)),
    )


def own_figures(
    module: Any, own: Own, points: Any, context: Any, direction: str, precision: str
) -> tuple[Any, ...]:
    """Images, log-dets and Jacobians by the library and torch's own Jacobian, row by row."""
    import torch

    dtype = getattr(torch, precision)
    module = copy.deepcopy(module).to(dtype).eval()
    p = torch.tensor(points, dtype=dtype)
    c = None if context is None else torch.tensor(context, dtype=dtype)
    with torch.no_grad():
        images, log_dets = own(module, p, c, direction)

    def row(i: int) -> Any:
        given = None if c is None else c[i : i + 1]
        return torch.autograd.functional.jacobian(
            lambda q: own(module, q[None], given, direction)[0][0], p[i]
        )

    jacobians = torch.stack([row(i) for i in range(len(p))])
    return images.numpy(), log_dets.numpy(), jacobians.numpy()


def within(found: Any, wanted: Any, bound: np.ndarray) -> None:
    """No entry is off by more than its bound."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape == bound.shape
    assert np.isfinite(found).all()
    worst = float((np.abs(found - wanted) / bound).max())
    assert worst <= 1, f"an entry is off by {worst:.3g} times its bound"
    assert float(bound.max()) < LIMIT * max(1.0, float(np.abs(wanted).max()))


def parity(
    found: AbstractMap,
    module: Any,
    own: Own,
    c: int | None,
    direction: Literal["forward", "inverse"],
    precision: Literal["float64", "float32"],
) -> None:
    """The same numbers as the library's, at data points that are images where the direction is inverse."""
    points, _, context = draws(found.size, c)
    if direction == "inverse":
        points = own_figures(module, own, points, context, "forward", "float64")[0]
    agree(found, points, context, own_figures(module, own, points, context, direction, precision), direction)


def agree(
    found: AbstractMap,
    points: Any,
    context: Any,
    expected: tuple[Any, ...],
    direction: Literal["forward", "inverse"],
    *,
    rounded: float = 0.0,
) -> None:
    """Images, log-dets and Jacobians are the expected ones of their precision, up to what layers round.

    `rounded`: what the library's own log-dets are off by, where it keeps a part of them in float32.
    """
    images, log_dets, jacobians = expected
    precision = images.dtype.name
    assert np.linalg.cond(jacobians.astype(np.float64)).max() > 1.5
    bound = growth(found, points, context, direction).tolerance(precision)
    out, dets = found.at(direction, precision, context).apply(points)
    matrices = found.at(direction, precision, context).jacobian(points)
    assert dets is not None
    assert out.dtype == dets.dtype == matrices.dtype == np.dtype(precision)
    within(out, images, bound.images)
    within(dets, log_dets, bound.log_dets)
    within(matrices, jacobians, bound.jacobians)
    matrices = matrices.astype(np.float64)
    within(np.linalg.slogdet(matrices)[1], dets, bound.log_dets + bound.log_dets_of(matrices) + rounded)


def same_images(
    found: AbstractMap,
    points: Any,
    context: Any,
    images: Any,
    log_dets: Any = None,
    direction: Literal["forward", "inverse"] = "forward",
) -> None:
    """Images, and log-dets where they are given, that the library computed in float32, up to what layers round."""
    bound = growth(found, np.asarray(points, np.float64), context, direction).tolerance("float32")
    out, dets = found.at(direction, "float32", context).apply(points)
    within(out, images, bound.images)
    if log_dets is not None:
        within(dets, log_dets, bound.log_dets)


def a_missing_layer_shows(found: AbstractMap, c: int | None) -> None:
    """The map without any one of its layers is far beyond the bounds of float32, so that parity can fail."""
    points, _, context = draws(found.size, c)
    bound = growth(found, points, context).tolerance("float32")
    image = found.at(context=context)(points)
    layers = found.layers()
    for i, missing in enumerate(layers):
        value = points
        for layer in (*layers[:i], *layers[i + 1 :]):
            value = layer.at(context=context)(value)
        assert (np.abs(value - image) / bound.images).max() > 100, missing.name


def a_wrong_parameter_shows(found: AbstractMap, module: Any, own: Own, c: int | None) -> None:
    """Of the tensors that matter, scaled by 1.001 one at a time, nine in ten are beyond the bounds of float32.

    By float64 numbers, at twice the bounds, so that no rounding can hide them. A bias near zero moves nothing.
    """
    import torch

    module = copy.deepcopy(module).double()
    points, _, context = draws(found.size, c)
    p = torch.tensor(points)
    given = None if context is None else torch.tensor(context)
    bound = growth(found, points, context).tolerance("float32")
    shifts = []
    with torch.no_grad():
        right = own(module, p, given, "forward")
        for parameter in [p for p in module.parameters() if p.requires_grad]:
            kept = parameter.clone()
            parameter.mul_(1.001)
            wrong = own(module, p, given, "forward")
            parameter.copy_(kept)
            moved = [(a - b).abs().numpy() for a, b in zip(wrong, right, strict=True)]
            shifts.append(max((moved[0] / bound.images).max(), (moved[1] / bound.log_dets).max()))
    # What a base holds, or the length of a reflection's vector, has no effect but by what float64 rounds.
    used = np.array([shift for shift in shifts if shift > 1e-6])
    assert len(used) >= 8
    assert (used > 2).mean() > 0.9, used


def composition(found: AbstractMap, c: int | None) -> None:
    """The layers in forward order give the map, log-dets add up, and reversed they give the inverse.

    The round trip's error is at most about eps times the sum of |h| / sigma_min(J: z -> h) over the layers' outputs h.
    """
    points, _, context = draws(found.size, c)
    x, log_dets = found.at(context=context).apply(points)
    assert log_dets is not None
    value, total, bound = points, np.zeros(len(points)), float(np.abs(points).max())
    product = np.broadcast_to(np.eye(found.size), (len(points), found.size, found.size))
    for layer in found.layers():
        product = layer.at(context=context).jacobian(value) @ product
        value, part = layer.at(context=context).apply(value)
        assert part is not None
        total = total + part
        least = np.linalg.svd(product, compute_uv=False)[:, -1]
        bound += float((np.linalg.norm(value, axis=1) / least).max())
    rounded = growth(found, points, context).tolerance("float64")
    within(value, x, rounded.images)
    within(total, log_dets, rounded.log_dets)
    for layer in found.layers()[::-1]:
        value = layer.at("inverse", context=context)(value)
    assert bound < 1e6
    np.testing.assert_allclose(value, points, rtol=0, atol=64 * EPS["float64"] * bound)


def derivatives(found: AbstractMap, c: int | None) -> None:
    """jvp and vjp against the Jacobian; curvature and the stretch's gradient against central differences of it.

    The step is 1e-5, so that a difference has an error near 1e-10 times a third derivative plus eps / 1e-5: 1e-6 is asked.
    """
    points, tangents, context = draws(found.size, c)
    matrix = lambda q: found.at(context=context).jacobian(q)
    at, step = matrix(points), 1e-5
    scale = float(np.abs(at).max())
    push = np.einsum("rij,rj->ri", at, tangents)
    np.testing.assert_allclose(
        found.at(context=context).jvp(points, tangents), push, rtol=1e-12, atol=1e-12 * scale
    )
    pull = np.einsum("rij,ri->rj", at, tangents)
    np.testing.assert_allclose(
        found.at(context=context).vjp(points, tangents), pull, rtol=1e-12, atol=1e-12 * scale
    )
    ends = [matrix(points + s * tangents) for s in (step, -step)]
    bend = np.einsum("rij,rj->ri", (ends[0] - ends[1]) / (2 * step), tangents)
    curved = found.at(context=context).curvature(points, tangents)
    np.testing.assert_allclose(curved, bend, rtol=1e-6, atol=1e-6 * max(scale, float(np.abs(bend).max())))
    logs, slopes = found.at(context=context).stretch_gradient(points, tangents)
    norm = lambda q: np.log(np.linalg.norm(np.einsum("rij,rj->ri", matrix(q), tangents), axis=1))
    np.testing.assert_allclose(logs, norm(points), rtol=1e-12, atol=1e-12)
    units = np.eye(found.size)
    finite = np.stack([(norm(points + step * e) - norm(points - step * e)) / (2 * step) for e in units], 1)
    np.testing.assert_allclose(slopes, finite, rtol=1e-6, atol=1e-6 * max(1.0, float(np.abs(finite).max())))


def gradients(adapt: Callable[[Any], AbstractMap], module: Any, own: Own, c: int | None) -> None:
    """The gradient's norm of a layer of which one tensor is learned, against central differences of the library's own loss.

    The step is 1e-6: a difference errs by 1e-12 times a third derivative and by eps / 1e-6; 1e-6 is asked.
    """
    import torch

    module = copy.deepcopy(module).double().requires_grad_(False)
    points, _, context = draws(adapt(module).size, c)
    given = None if context is None else torch.tensor(context)
    x = own(module, torch.tensor(points), given, "forward")[0].detach()

    def loss() -> float:
        z, log_dets = own(module, x.clone(), given, "inverse")
        return float((z.square().sum(1) / 2 - log_dets).mean())

    checked = 0
    small = [p for p in module.parameters() if p.is_floating_point() and 2 <= p.numel() <= 12]
    for parameter in [p for p in small if p.is_contiguous()]:
        flat, slopes = parameter.view(-1), []
        for i in range(len(flat)):
            value, ends = float(flat[i]), []
            for moved in (value + 1e-6, value - 1e-6):
                flat[i] = moved
                ends.append(loss())
            flat[i] = value
            slopes.append((ends[0] - ends[1]) / 2e-6)
        size = float(np.linalg.norm(slopes))
        if size < 1e-2:
            continue
        parameter.requires_grad_(True)
        layers = adapt(module).layers()
        parameter.requires_grad_(False)
        states = [x.numpy()]
        for layer in reversed(layers):
            states.append(layer.at("inverse", context=context)(states[-1]))
        norms = gradient_norms(layers, states[::-1], context)
        assert norms is not None
        assert len(norms) == len(layers)
        used = [norm for norm in norms if norm != 0]
        if len(used) > 1:  # a net that all layers share has in each its share alone
            continue
        np.testing.assert_allclose(used, [size], rtol=1e-6, atol=1e-8)
        checked += 1
    assert checked > 0


def caller_unchanged(adapt: Callable[[Any], AbstractMap], module: Any, c: int | None) -> None:
    """Bits, dtypes, modes, gradient flags, random state and global dtype are the caller's; the map is of that moment."""
    import torch

    module = copy.deepcopy(module).train()
    before = copy.deepcopy(module.state_dict())
    flags = [(p.requires_grad, p.dtype, p.grad) for p in module.parameters()]
    modes = [part.training for part in module.modules()]
    state = torch.random.get_rng_state()
    points, tangents, context = draws(adapt(module).size, c)
    found = adapt(module)
    first = found.at(context=context)(points)
    found.at("forward", "float32", context)(points)
    found.at(context=context).stretch_gradient(points, tangents)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_default_dtype() == torch.float32
    assert [part.training for part in module.modules()] == modes
    assert [(p.requires_grad, p.dtype, p.grad) for p in module.parameters()] == flags
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    with torch.no_grad():
        for p in [p for p in module.parameters() if p.requires_grad]:
            p.mul_(1.5)
    np.testing.assert_array_equal(found.at(context=context)(points), first)
    assert np.abs(adapt(module).at(context=context)(points) - first).max() > 1e-3


def error_bars(found: AbstractMap, context: int | None, *, largest_slack: float = 15.0) -> None:
    """log p in float32 is within its bound of float64, at every row, and the bound is no more than it has to be."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(64, found.size))
    c = None if context is None else rng.normal(size=(64, context))
    bars = log_prob_errors(found, x, c)
    assert bars is not None
    assert (bars.measured > 0).mean() > 0.9
    assert (bars.measured <= bars.bound).all()
    assert (bars.bound <= bars.worst_case).mean() > 0.9
    assert np.median(bars.bound / np.maximum(bars.measured, 1e-12)) < largest_slack
