"""`TorchMap`: a map of a torch library, or one of its layers, as an `AbstractMap`; the four torch adapters share it."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.adapters import _gradients as gradients
from shoal.adapters._snapshot import DTYPES, Piece, Snapshot, scope
from shoal.bijections import Direction
from shoal.conditioning import AbstractMap, AbstractParametric, MapView, Precision, Quantity


class TorchMap(AbstractParametric):
    """Piece `index` of a snapshot: 0 for the whole map, from 1 for its layers in forward order."""

    def __init__(self, snapshot: Snapshot, size: int, index: int = 0):
        self.name, self.size = snapshot.names[index], size
        self._snapshot, self._index = snapshot, index

    def evaluate(self, quantity: Quantity, view: MapView, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        """By reverse passes; images and log-dets are the library's."""
        precision = view.precision
        if precision not in get_args(Precision):
            raise InputError(
                f"`precision` must be one of {', '.join(get_args(Precision))}; got {precision!r}."
            )
        if precision in self._snapshot.refused:
            raise NotImplementedError(
                f"{self.name} can not run in {precision}: {self._snapshot.refused[precision]}"
            )

        def piece(context: FloatArray | None, *rows: FloatArray) -> Any:
            with scope():
                c = None if context is None else _tensor(context, precision)
                function = _Bound(self, c, view.direction, precision)
                try:
                    found = _KERNELS[quantity](function, *(_tensor(a, precision) for a in rows))
                except (RuntimeError, TypeError) as error:
                    if precision != "bfloat16":
                        raise
                    raise NotImplementedError(
                        f"{self.name} can not run in bfloat16: {_first_line(error)}"
                    ) from error
            return tuple(map(_numpy, found)) if isinstance(found, tuple) else _numpy(found)

        return view.in_pieces(piece, *arrays)

    def loss_step(
        self, points: FloatArray, cotangents: FloatArray, context: FloatArray | None
    ) -> tuple[float, FloatArray]:
        """By one reverse pass to the parameters of a copy of the module and to the points."""
        with scope():
            pieces, parameters = self._snapshot.trainable()
            c = None if context is None else _tensor(context, "float64")
            function = _Bound(self, c, "inverse", "float64", pieces[self._index])
            norm, slopes = gradients.loss_step(
                function.both, _tensor(points, "float64"), _tensor(cotangents, "float64"), parameters
            )
        return float(norm), _numpy(slopes)

    def layers(self) -> tuple[AbstractMap, ...]:
        """The library's single layers in forward order, on the same copies; a layer gives itself."""
        if self._index or len(self._snapshot.names) == 1:
            return (self,)
        return tuple(TorchMap(self._snapshot, self.size, i) for i in range(1, len(self._snapshot.names)))


class _Bound:
    """A piece with its context, direction and precision: flat rows -> flat images."""

    def __init__(
        self,
        owner: TorchMap,
        context: Tensor | None,
        direction: Direction,
        precision: Precision,
        piece: Piece | None = None,
    ):
        self._owner, self._context, self._piece = owner, context, piece
        self._direction: Direction = direction
        self._precision: Precision = precision

    def __call__(self, points: Tensor) -> Tensor:
        return self.both(points)[0]

    def both(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Images (rows, n) and log-dets (rows,)."""
        snapshot, index = self._owner._snapshot, self._owner._index
        shape = snapshot.shape(index, self._direction, self._context, self._precision)
        call = (self._piece or snapshot.piece(index, self._precision)).call
        images, log_dets = call(points.reshape(-1, *shape), self._context, self._direction)
        if images.dtype != points.dtype:
            raise NotImplementedError(
                f"{self._owner.name} computes in {images.dtype} where {points.dtype} was asked for."
            )
        log_dets = torch.as_tensor(log_dets).to(points)
        if log_dets.ndim > 1:
            log_dets = log_dets.flatten(1).sum(1)
        return images.reshape(len(points), -1), log_dets.expand(len(points))


def torch_map(
    module: nn.Module,
    pieces: Callable[[nn.Module], Sequence[Piece]],
    shape: tuple[int, ...],
    *,
    reshapes: bool = False,
    refused: dict[str, str] | None = None,
) -> TorchMap:
    """The map of a module's pieces: the whole, then its layers in forward order; `shape` is that of a latent point."""
    return TorchMap(Snapshot(module, pieces, shape, reshapes=reshapes, refused=refused), int(np.prod(shape)))


def _apply(function: _Bound, points: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return function.both(points)


_KERNELS: dict[Quantity, Callable[..., Any]] = {
    "apply": _apply,
    "jvp": gradients.jvp,
    "vjp": gradients.vjp,
    "jacobian": gradients.jacobian,
    "curvature": gradients.curvature,
    "stretch_gradient": gradients.stretch,
}


def _tensor(array: FloatArray, precision: Precision) -> Tensor:
    return torch.from_numpy(np.array(array, np.float64)).to(DTYPES[precision])


def _numpy(tensor: Tensor) -> FloatArray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _first_line(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0].rstrip(".") + "."
