"""`Plan`: how a flow is made, on which rows it is trained, how, and how it is evaluated. A remedy turns one into another.

All rows are in units of the training part's deviations. The test rows are never changed: every plan is judged on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike, Key
from shoal.bijections import Standardize, layers_of
from shoal.distributions import AbstractFlow
from shoal.training import Settings

Recipe: TypeAlias = Callable[[Key, int], AbstractFlow]  # key, dim -> a flow on R^dim


@dataclass(frozen=True)
class Plan:
    """`recipe(key, dim)` makes the flow that is trained on `train` with `settings`, a `training.Settings`.

    `finish` turns the trained flow into one on the standardised data; `float64`: numbers of layers (forward order, from 0)
    that are evaluated in float64; `log_volume`: log p in the data's own units is log p of the row less this.
    """

    recipe: Recipe
    train: FloatArray
    validation: FloatArray
    test: FloatArray
    settings: Settings = field(default_factory=Settings)
    finish: tuple[Callable[[AbstractFlow], AbstractFlow], ...] = ()
    float64: frozenset[int] = frozenset()
    log_volume: float = 0.0

    def make(self, key: Key) -> AbstractFlow:
        """The untrained flow."""
        return self.recipe(key, self.train.shape[1])

    def finished(self, flow: AbstractFlow) -> AbstractFlow:
        """The trained flow as one on the standardised data."""
        for step in self.finish:
            flow = step(flow)
        return flow

    def with_flow(self, change: Callable[[AbstractFlow], AbstractFlow]) -> "Plan":
        """The plan whose recipe's flows are changed before training."""
        before = self.recipe
        return replace(self, recipe=lambda key, dim: change(before(key, dim)))


def make_plan(recipe: Recipe | AbstractFlow, data: Sequence[ArrayLike], settings: Settings) -> Plan:
    """The plan without any remedy, from a recipe or a flow and the parts (train, validation, test) of a table.

    **Raises:** InputError for parts that do not fit together, a column that is constant in training, or a flow that holds a
    `Standardize` (the rows are standardised here).
    """
    if not isinstance(data, tuple | list) or len(data) != 3:
        raise InputError("`data` must be three arrays of rows: (train, validation, test).")
    parts = []
    for name, rows in zip(("train", "validation", "test"), data, strict=True):
        part = np.asarray(rows, np.float64)
        if part.ndim != 2 or len(part) < 2 or not np.isfinite(part).all():
            raise InputError(
                f"The {name} part of `data` must be two or more finite rows; got shape {part.shape}."
            )
        parts.append(part)
    widths = [p.shape[1] for p in parts]
    if len(set(widths)) > 1:
        raise InputError(f"The parts of `data` need the same columns; they have {widths}.")
    mean, scale = parts[0].mean(axis=0), parts[0].std(axis=0)
    if not (scale > 0).all():
        raise InputError(
            f"Column {int(np.argmin(scale > 0))} of the training rows is constant; leave it out."
        )
    train, validation, test = ((p - mean) / scale for p in parts)
    plan = Plan(_recipe(recipe), train, validation, test, settings, log_volume=float(np.sum(np.log(scale))))
    _check_flow(plan.make(jr.key(0)), widths[0])
    return plan


def _recipe(given: Recipe | AbstractFlow) -> Recipe:
    if isinstance(given, AbstractFlow):
        return lambda key, dim: given
    if callable(given):
        return given
    raise InputError(
        f"`make_flow` must be a function (key, dim) -> flow, or a Shoal flow; got a {type(given).__name__}. For a flow "
        "of another library, `propose` says what to change; its author applies it."
    )


def _check_flow(flow: AbstractFlow, columns: int) -> None:
    if not isinstance(flow, AbstractFlow) or flow.shape != (columns,) or flow.context_shape is not None:
        found = f"{type(flow).__name__} of shape {getattr(flow, 'shape', None)}"
        raise InputError(f"`make_flow` must give flows on R^{columns} without a context; it gave a {found}.")
    if any(isinstance(layer, Standardize) for layer in layers_of(flow.bijection)):
        raise InputError("`make_flow` must give flows for standardised rows; leave `Standardize` out.")
