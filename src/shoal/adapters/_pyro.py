"""pyro: transforms latent to data, of a `TransformedDistribution`, conditional or not; the context conditions them.

E. Bingham and others, Pyro: deep universal probabilistic programming, JMLR 20(28), 2019.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from pyro.distributions.conditional import (
    ConditionalComposeTransformModule,
    ConditionalTransform,
    ConditionalTransformedDistribution,
    ConstantConditionalDistribution,
    ConstantConditionalTransform,
    _ConditionalInverseTransformModule,
)
from torch import Tensor, nn
from torch.distributions import Independent, Normal, Transform, TransformedDistribution
from torch.distributions.transforms import ComposeTransform, IndependentTransform, _InverseTransform

from shoal._errors import InputError
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.adapters._torch import LogDet, Piece, TorchMap, composed, torch_map
from shoal.bijections import Direction


def to_map(flow: Any, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    laws, maps = (
        TransformedDistribution | ConditionalTransformedDistribution,
        Transform | ConditionalTransform,
    )
    if not isinstance(flow, laws | maps):
        raise wrong_kind(flow, "a pyro TransformedDistribution or transform, conditional or not")
    base = flow.base_dist if isinstance(flow, laws) else None
    if isinstance(base, ConstantConditionalDistribution):
        base = base.base_dist
    found = getattr(base, "batch_shape", ()) + getattr(base, "event_shape", ()) or None
    parts = flow.transforms if isinstance(flow, laws) else [flow]
    listed = [pair for part in parts for pair in singles(part, _inner, _parts)]
    held = _Held(listed, type(flow).__name__)
    return torch_map(held, _cut, sized(shape, found, "pyro"), reshapes=True, latent=_latent(base))


def _latent(base: Any) -> str:
    """The class of a base, in Shoal's words; that of a lone transform is taken to be standard normal."""
    while isinstance(base, Independent):
        base = base.base_dist
    standard = isinstance(base, Normal) and not base.loc.any() and bool((base.scale == 1).all())
    return "StandardNormal" if base is None or standard else type(base).__name__


def _inner(transform: Any) -> Any:
    if isinstance(transform, _InverseTransform):
        return transform._inv
    return transform._transform if isinstance(transform, _ConditionalInverseTransformModule) else None


def _parts(transform: Any) -> list[Any] | None:
    if isinstance(transform, ComposeTransform):
        return list(transform.parts)
    if isinstance(transform, ConditionalComposeTransformModule):
        return list(transform.transforms)
    if isinstance(transform, ConstantConditionalTransform):
        return [transform.transform]
    return [transform.base_transform] if isinstance(transform, IndependentTransform) else None


class _Held(nn.Module):
    """Transforms, of which some are modules and some hold plain tensors, as one module that is copied and cast."""

    def __init__(self, listed: list[tuple[Any, bool]], name: str):
        nn.Module.__init__(self)
        self.name, self.inverted = name, [inverted for _, inverted in listed]
        bare = lambda t: t if isinstance(t, nn.Module) or not isinstance(t, Transform) else t.with_cache(0)
        self.transforms = [bare(transform) for transform, _ in listed]
        self.learned = nn.ModuleList([t for t in self.transforms if isinstance(t, nn.Module)])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_Held":
        nn.Module._apply(self, fn, recurse)
        for plain in [t for t in self.transforms if not isinstance(t, nn.Module)]:
            for key, value in vars(plain).items():
                if isinstance(value, Tensor):
                    setattr(plain, key, fn(value))
        return self


def _cut(held: Any) -> list[Piece]:
    layers = [_piece(t, inverted) for t, inverted in zip(held.transforms, held.inverted, strict=True)]
    return [composed(held.name, layers), *layers]


def _piece(given: Any, inverted: bool) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        transform = given
        if isinstance(given, ConditionalTransform):
            if context is None:
                raise InputError("This pyro flow is conditional: give a context.")
            transform = given.condition(context)
        with _default(points.dtype):
            if (direction == "forward") != inverted:
                image = transform(points)
                return image, _summed(transform, transform.log_abs_det_jacobian(points, image), points)
            try:
                image = transform.inv(points)
            except KeyError as error:  # it finds no image in its cache
                name = type(given).__name__
                raise NotImplementedError(
                    f"pyro has no inverse of {name} but for points that it made."
                ) from error
            return image, -_summed(transform, transform.log_abs_det_jacobian(image, points), image)

    return Piece(type(given).__name__, call)


def _summed(transform: Any, log_det: Tensor, points: Tensor) -> Tensor:
    """(rows,): over the events within a point; some transforms leave the rows to broadcasting."""
    events = points.shape[: points.ndim - transform.domain.event_dim]
    return log_det.expand(events).reshape(len(points), -1).sum(1)


@contextmanager
def _default(dtype: torch.dtype) -> Generator[None, None, None]:
    """Some inverses of pyro begin with zeros of torch's default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
