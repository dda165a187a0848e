"""`TorchMap`: a map of a torch library, or one of its layers, as an `AbstractMap`; the adapters of torch libraries share it.

Its module is a snapshot: as it was when it was handed over, cast to each precision; the caller's is not touched.
"""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.adapters import _torch_derivatives as derivatives
from shoal.adapters._torch_rounding import rounding
from shoal.bijections import Direction
from shoal.conditioning import AbstractMap, AbstractParametric, MapView, Precision, Quantity

LogDet: TypeAlias = Tensor | float | int
Call: TypeAlias = Callable[[Tensor, Tensor | None, Direction], tuple[Tensor, LogDet]]
DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


class Refused(Exception):
    """What a piece raises for a batch of which some row lies outside of its domain."""


@dataclass(frozen=True)
class Piece:
    """A map or one of its layers: batches in the library's own shape -> images and log-dets (rows,), () or a number."""

    name: str
    call: Call


def composed(name: str, layers: Sequence[Piece]) -> Piece:
    """Layers in forward order, one after the other, in the precision of the points."""

    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        total = points.new_zeros(len(points))
        for layer in layers if direction == "forward" else layers[::-1]:
            points, log_det = layer.call(points, context, direction)
            total = total + log_det
        return points, total

    return Piece(name, call)


# a module -> the whole map, its layers in forward order
Cut: TypeAlias = Callable[[nn.Module], Sequence[Piece]]


def torch_map(
    module: nn.Module,
    cut: Cut,
    shape: tuple[int, ...],
    *,
    reshapes: bool = False,
    refused: Mapping[str, str] | None = None,
    latent: str = "StandardNormal",
) -> "TorchMap":
    """The map of a module.

    **Arguments:** `shape`: of one latent point; `reshapes`: whether layers may change the shape; `refused`: precisions in
    which the module can not run, and why; `latent`: the class of the base.
    """
    made = TorchMap(_Snapshot(module, cut, shape, reshapes=reshapes), int(np.prod(shape)), 0, refused or {})
    made.latent = latent
    return made


class TorchMap(AbstractParametric):
    """Piece `index` of a snapshot: 0 for the whole map, from 1 for its layers in forward order."""

    def __init__(self, snapshot: "_Snapshot", size: int, index: int, refused: Mapping[str, str]):
        self.name, self.size = snapshot.names[index], size
        self._snapshot, self._index, self._refused = snapshot, index, refused

    def evaluate(self, quantity: Quantity, view: MapView, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """By reverse passes; images and log-dets are the library's."""
        precision = view.precision
        if precision not in get_args(Precision):
            raise InputError(
                f"`precision` must be one of {', '.join(get_args(Precision))}; got {precision!r}."
            )
        if precision in self._refused:
            raise NotImplementedError(f"{self.name} can not run in {precision}: {self._refused[precision]}")

        def kernel(context: FloatArray | None, *rows: FloatArray) -> tuple[FloatArray, ...]:
            with _scope():
                try:
                    pieces = self._snapshot.pieces(precision)
                    c = None if context is None else _tensor(context, precision)
                    if quantity == "rounding" and c is not None:
                        c.requires_grad_()
                    function = self._function(pieces, c, view.direction, precision)
                    more = (c,) if quantity == "rounding" else ()
                    found = _KERNELS[quantity](function, *(_tensor(a, precision) for a in rows), *more)
                except (RuntimeError, TypeError) as error:
                    if precision != "bfloat16":
                        raise
                    why = str(error.__cause__ or error).strip().splitlines()[0].rstrip(".")
                    raise NotImplementedError(f"{self.name} can not run in bfloat16: {why}.") from error
            return tuple(map(_numpy, found if isinstance(found, tuple) else (found,)))

        return view.in_pieces(kernel, *arrays)

    def loss_step(
        self, points: FloatArray, cotangents: FloatArray, context: FloatArray | None
    ) -> tuple[float, FloatArray]:
        """By one reverse pass to the parameters of a copy of the module and to the points."""
        with _scope():
            pieces, parameters = self._snapshot.trainable()
            c = None if context is None else _tensor(context, "float64")
            function = self._function(pieces, c, "inverse", "float64")
            given = _tensor(points, "float64"), _tensor(cotangents, "float64")
            norm, slopes = derivatives.loss_step(function, *given, parameters)
        return float(norm), _numpy(slopes)

    def layers(self) -> tuple[AbstractMap, ...]:
        """The library's single layers in forward order, on the same copies; a layer gives itself."""
        count = len(self._snapshot.names)
        if self._index or count == 1:
            return (self,)
        return tuple(TorchMap(self._snapshot, self.size, i, self._refused) for i in range(1, count))

    def _function(
        self, pieces: Sequence[Piece], c: Tensor | None, direction: Direction, precision: Precision
    ) -> derivatives.Function:
        """Flat rows -> flat images (rows, n) and log-dets (rows,), given the context c."""
        shape = self._snapshot.shape(self._index, direction, c, precision)

        def function(points: Tensor) -> tuple[Tensor, Tensor]:
            images, log_dets = _called(pieces[self._index].call, points.reshape(-1, *shape), c, direction)
            if images.dtype != points.dtype:
                raise NotImplementedError(
                    f"{self.name} computes in {images.dtype} where {points.dtype} was asked for."
                )
            return images.reshape(len(points), -1), _one_each(log_dets, points)

        return function


class _Snapshot:
    """Copies of a module on the CPU, in evaluation mode, without gradients, one for each precision that was asked for."""

    def __init__(self, module: nn.Module, cut: Cut, shape: tuple[int, ...], *, reshapes: bool):
        self._cut, self._shape, self._reshapes = cut, shape, reshapes
        known = {name: p for name, p in module.named_parameters() if p.is_floating_point()}
        self._learned = {name for name, p in known.items() if p.requires_grad} or set(known)
        with _scope():
            self._module = copy.deepcopy(module, _detached(module)).cpu().eval().requires_grad_(False)
        for part in self._module.modules():
            if getattr(part, "using_cache", False):  # of weights and inverses, in nflows and normflows
                vars(part)["using_cache"] = False
        self.names = tuple(p.name for p in cut(self._module))
        self._cast: dict[str, Sequence[Piece]] = {}
        self._shapes: list[tuple[int, ...]] = []
        self._trainable: tuple[Sequence[Piece], Sequence[Tensor]] | None = None

    def pieces(self, precision: Precision) -> Sequence[Piece]:
        """The whole map, then its layers, in a precision."""
        if precision not in self._cast:
            self._cast[precision] = self._cut(self._copied(precision))
        return self._cast[precision]

    def trainable(self) -> tuple[Sequence[Piece], Sequence[Tensor]]:
        """The pieces of a further copy, in float64, and those of its parameters that the given module learns (all, where
        it learns none), which here take gradients.
        """
        if self._trainable is None:
            module = self._copied("float64")
            learned = [p for name, p in module.named_parameters() if name in self._learned]
            for parameter in learned:
                parameter.requires_grad_(True)
            self._trainable = (self._cut(module), learned)
        return self._trainable

    def shape(
        self, index: int, direction: Direction, context: Tensor | None, precision: Precision
    ) -> tuple[int, ...]:
        """The shape of one point that goes into a piece; where layers reshape, one row is sent through to find out."""
        if not self._reshapes:
            return self._shape
        if not self._shapes:
            point = torch.zeros((1, *self._shape), dtype=DTYPES[precision])
            row = None if context is None else context[:1]
            shapes = [self._shape]
            with torch.no_grad():
                for layer in self.pieces(precision)[1:]:
                    point = layer.call(point, row, "forward")[0]
                    shapes.append(tuple(point.shape[1:]))
            self._shapes = shapes
        ends = (0, -1) if index == 0 else (index - 1, index)
        return self._shapes[ends[0] if direction == "forward" else ends[1]]

    def _copied(self, precision: Precision) -> nn.Module:
        """Cast, with the tensors that modules hold as plain attributes, which `.to` leaves as they are."""
        module = copy.deepcopy(self._module).to(DTYPES[precision])
        for part in module.modules():
            for key, value in vars(part).items():
                if isinstance(value, Tensor) and value.is_floating_point():
                    setattr(part, key, value.to(DTYPES[precision]))
        return module


@contextmanager
def _scope() -> Generator[None, None, None]:
    """Torch's random state is restored, inference mode and autocast of the caller are off; what is random repeats."""
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
        torch.enable_grad(),
    ):
        torch.default_generator.manual_seed(0)
        yield


def _called(
    call: Call, points: Tensor, context: Tensor | None, direction: Direction
) -> tuple[Tensor, LogDet]:
    """Images and log-dets; NaN for rows for which a library refuses the whole batch: those outside of a domain, and those at
    which an assertion about a spline's roots fails by rounding.
    """
    failed: list[AssertionError] = []

    def halved(p: Tensor, c: Tensor | None) -> tuple[Tensor, LogDet]:
        try:
            return call(p, c, direction)
        except (Refused, AssertionError) as error:
            if len(p) == 1:
                failed.extend([error] if isinstance(error, AssertionError) else [])
                return p * torch.nan, torch.nan
        middle = len(p) // 2
        parts = [
            halved(p[half], None if c is None else c[half]) for half in (slice(middle), slice(middle, None))
        ]
        log_dets = [_one_each(log_det, image) for image, log_det in parts]
        return torch.cat([image for image, _ in parts]), torch.cat(log_dets)

    found = halved(points, context)
    if len(failed) == len(points):  # not by rounding
        raise RuntimeError("an assertion of the library fails at every row") from failed[0]
    return found


def _one_each(log_dets: LogDet, points: Tensor) -> Tensor:
    """(rows,): log-dets of a library, summed over what is in a row."""
    found = torch.as_tensor(log_dets).to(points)
    return (found.flatten(1).sum(1) if found.ndim > 1 else found).expand(len(points))


def _detached(module: nn.Module) -> dict[int, Tensor]:
    """For `deepcopy`, which refuses tensors with a gradient's history: caches, weights of old-style weight norm."""
    holders = [h for part in module.modules() for h in (part, *vars(part).values()) if hasattr(h, "__dict__")]
    values = [value for holder in holders for value in vars(holder).values()]
    values += [value for several in values if isinstance(several, tuple) for value in several]
    return {id(t): t.detach().clone() for t in values if isinstance(t, Tensor) and t.grad_fn is not None}


_KERNELS: dict[Quantity, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "apply": torch.no_grad()(lambda function, points: function(points)),
    "jvp": derivatives.jvp,
    "vjp": derivatives.vjp,
    "jacobian": derivatives.jacobian,
    "curvature": derivatives.curvature,
    "stretch_gradient": derivatives.stretch,
    "rounding": rounding,
}


def _tensor(array: FloatArray, precision: Precision) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64)).to(DTYPES[precision])


def _numpy(tensor: Tensor) -> FloatArray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
