"""`Plan`: how a flow is made, on which rows it is trained, how, and how it is evaluated. A remedy turns one into another.

All rows are in units of the training part's deviations. The test rows are never changed: every plan is judged on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import jax.random as jr
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import ArrayLike, Key
from shoal.bijections import AbstractBijection, Chain, Standardize, layers_of
from shoal.distributions import AbstractFlow, Flow
from shoal.training import Settings

Recipe: TypeAlias = Callable[[Key, int], Any]  # key, dim -> a flow on R^dim


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
    finish: tuple[Callable[[Any], Any], ...] = ()
    float64: frozenset[int] = frozenset()
    log_volume: float = 0.0

    def make(self, key: Key) -> Any:
        """The untrained flow."""
        return self.recipe(key, self.train.shape[1])

    def finished(self, flow: Any) -> Any:
        """The trained flow as one on the standardised data."""
        for step in self.finish:
            flow = step(flow)
        return flow

    def with_flow(self, change: Callable[[Any, Key], Any]) -> "Plan":
        """The plan whose recipe's flows are changed by `change(flow, key)` before training."""
        before = self.recipe

        def recipe(key: Key, dim: int) -> Any:
            return change(before(key, dim), jr.fold_in(key, 0x2E3D))

        return replace(self, recipe=recipe)

    def with_settings(self, **settings: Any) -> "Plan":
        """The plan with these settings changed."""
        return replace(self, settings=replace(self.settings, **settings))


def make_plan(recipe: Any, data: Any, settings: Settings) -> Plan:
    """The plan without any remedy, from a recipe or a flow and the parts (train, validation, test) of a table.

    **Raises:** ValueError for parts that do not fit together, a column that is constant in training, or a flow that holds a
    `Standardize` (the rows are standardised here).
    """
    parts = [_part(name, p) for name, p in zip(("train", "validation", "test"), _three(data), strict=True)]
    widths = [p.shape[1] for p in parts]
    if len(set(widths)) > 1:
        raise ValueError(f"The parts of `data` need the same columns; they have {widths}.")
    mean, scale = parts[0].mean(axis=0), parts[0].std(axis=0)
    if not (scale > 0).all():
        raise ValueError(
            f"Column {int(np.argmin(scale > 0))} of the training rows is constant; leave it out."
        )
    train, validation, test = ((p - mean) / scale for p in parts)
    plan = Plan(_recipe(recipe), train, validation, test, settings, log_volume=float(np.sum(np.log(scale))))
    _check_flow(plan.make(jr.key(0)), widths[0])
    return plan


def append(flow: AbstractFlow, layer: Callable[[int], AbstractBijection]) -> AbstractFlow:
    """The flow with `layer(n)` behind its bijection, next to the data; n counts what the flow adds to the data too."""
    joint = flow.joint
    parts = (joint.bijection, layer(joint.shape[0]))
    longer = Flow(joint.base, Chain(parts), context_columns=joint.context_columns)
    return flow.with_joint(longer, flow.columns)


def _recipe(given: Any) -> Recipe:
    if callable(given):
        return given
    if isinstance(given, AbstractFlow):
        return lambda key, dim: given
    raise ValueError(
        f"`make_flow` must be a function (key, dim) -> flow, or a Shoal flow; got a {type(given).__name__}. For a flow "
        "of another library, `propose` says what to change; its author applies it."
    )


def _three(data: Any) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    if not isinstance(data, tuple | list) or len(data) != 3:
        raise ValueError("`data` must be three arrays of rows: (train, validation, test).")
    return data[0], data[1], data[2]


def _part(name: str, rows: ArrayLike) -> FloatArray:
    part = np.asarray(rows, np.float64)
    if part.ndim != 2 or len(part) < 2 or not np.isfinite(part).all():
        raise ValueError(
            f"The {name} part of `data` must be two or more finite rows; got shape {part.shape}."
        )
    return part


def _check_flow(flow: Any, columns: int) -> None:
    if not isinstance(flow, AbstractFlow) or flow.shape != (columns,) or flow.context_shape is not None:
        found = f"{type(flow).__name__} of shape {getattr(flow, 'shape', None)}"
        raise ValueError(f"`make_flow` must give flows on R^{columns} without a context; it gave a {found}.")
    if any(isinstance(layer, Standardize) for layer in layers_of(flow.bijection)):
        raise ValueError("`make_flow` must give flows for standardised rows; leave `Standardize` out.")
