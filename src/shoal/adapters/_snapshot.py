"""`Snapshot`: a torch module as it was when it was handed over, cast to each precision; the caller's is not touched."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shoal.bijections import Direction
from shoal.conditioning import Precision

Call = Callable[[Tensor, Tensor | None, Direction], tuple[Tensor, Any]]
DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Piece:
    """A map or one of its layers: batches in the library's own shape -> images and log-dets (rows,), () or a number."""

    name: str
    call: Call


class Snapshot:
    """Copies of a module on the CPU, in evaluation mode, without gradients, one for each precision that was asked for.

    **Arguments:** `module`; `pieces`: what gives the whole map of such a module, then its layers in forward order;
    `shape`: of one latent point; `reshapes`: whether layers may change the shape; `refused`: precisions in which the
    module can not run, and why.
    """

    def __init__(
        self,
        module: nn.Module,
        pieces: Callable[[nn.Module], Sequence[Piece]],
        shape: tuple[int, ...],
        *,
        reshapes: bool = False,
        refused: dict[str, str] | None = None,
    ):
        self._pieces, self._shape, self._reshapes = pieces, shape, reshapes
        self.refused = refused or {}
        known = {name: p for name, p in module.named_parameters() if p.is_floating_point()}
        self._learned = {name for name, p in known.items() if p.requires_grad} or set(known)
        with scope():
            self._module = _frozen(copy.deepcopy(module, _memo(module)))
        self.names = tuple(p.name for p in pieces(self._module))
        self._cast: dict[str, Sequence[Piece]] = {}
        self._shapes: list[tuple[int, ...]] | None = None
        self._trainable: tuple[Sequence[Piece], Sequence[Tensor]] | None = None

    def piece(self, index: int, precision: Precision) -> Piece:
        """The whole map, index 0, or a layer, in a precision."""
        if precision not in self._cast:
            module = copy.deepcopy(self._module).to(DTYPES[precision])
            _cast_attributes(module, DTYPES[precision])
            self._cast[precision] = self._pieces(module)
        return self._cast[precision][index]

    def trainable(self) -> tuple[Sequence[Piece], Sequence[Tensor]]:
        """The pieces of a further copy, in float64, and those of its parameters that the given module learns (all, where
        it learns none), which here take gradients.
        """
        if self._trainable is None:
            module = copy.deepcopy(self._module).to(DTYPES["float64"])
            _cast_attributes(module, DTYPES["float64"])
            learned = [p for name, p in module.named_parameters() if name in self._learned]
            for parameter in learned:
                parameter.requires_grad_(True)
            self._trainable = (self._pieces(module), learned)
        return self._trainable

    def shape(self, index: int, direction: Direction, context: Tensor | None, precision: Precision) -> tuple:
        """The shape of one point that goes into a piece; where layers reshape, one row is sent through to find out."""
        if not self._reshapes:
            return self._shape
        if self._shapes is None:
            point = torch.zeros((1, *self._shape), dtype=DTYPES[precision])
            row = None if context is None else context[:1]
            shapes = [self._shape]
            with torch.no_grad():
                for i in range(1, len(self.names)):
                    point = self.piece(i, precision).call(point, row, "forward")[0]
                    shapes.append(tuple(point.shape[1:]))
            self._shapes = shapes
        ends = (0, -1) if index == 0 else (index - 1, index)
        return self._shapes[ends[0] if direction == "forward" else ends[1]]


@contextmanager
def scope() -> Iterator[None]:
    """Torch's random state is restored, inference mode and autocast of the caller are off; what is random repeats."""
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.autocast("cpu", enabled=False),
        torch.enable_grad(),
    ):
        torch.default_generator.manual_seed(0)
        yield


def _frozen(module: nn.Module) -> nn.Module:
    module = module.cpu().eval().requires_grad_(False)
    for part in module.modules():
        if getattr(part, "using_cache", False):  # of weights and inverses, in nflows and normflows
            vars(part)["using_cache"] = False
    return module


def _cast_attributes(module: nn.Module, dtype: torch.dtype) -> None:
    """Tensors that a module holds as plain attributes, which `.to` leaves as they are."""
    for part in module.modules():
        for key, value in vars(part).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(part, key, value.to(dtype))


def _memo(module: nn.Module) -> dict[int, Any]:
    """For `deepcopy`, which refuses tensors with a gradient's history: caches, weights of old-style weight norm."""
    holders = [h for part in module.modules() for h in (part, *vars(part).values()) if hasattr(h, "__dict__")]
    tensors = [
        t for h in holders for t in vars(h).values() if isinstance(t, Tensor) and t.grad_fn is not None
    ]
    return {id(t): t.detach().clone() for t in tensors}
