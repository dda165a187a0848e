"""What a ladder is asked to do, as one value that its parts read; and how its rungs are trained, by the number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._executors import Executor
from shoal._remote import is_url, local_place
from shoal._types import Array
from shoal.flows import Family, checked
from shoal.selection._rule import Gates
from shoal.training import ConditioningMonitor, Settings

Start = Literal["grow", "scratch"]
STEPS = 6000  # of one training without a time limit
LEAST, MOST = 64, 256  # rows of a step
BATCHES = 32  # wanted in an epoch
LEAST_EPOCHS, MOST_EPOCHS = 40, 1000
PATIENCE = 0.25  # of the epochs
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.2
BASE_RATE = 0.1  # of the layers' rate, for a base that starts near its best


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `ladder`, checked. `few`: how many of the fronts get layers (None: all)."""

    families: tuple[Family, ...]
    fronts: tuple[str, ...]
    depths: tuple[int, ...]
    gates: Gates
    settings: Settings
    start: Start = "grow"
    seeds: int = 1
    seed: int
    time_limit: float | None
    dequantize: Literal["auto", "off"] = "auto"
    parts: tuple[float, float, float]
    hidden: tuple[int, ...] | None
    dtype: Literal["float32", "float64"] = "float32"
    few: int | None = None
    folder: Path | None = None
    resume: bool = False
    monitor: ConditioningMonitor | None = None
    executor: Executor | None = None
    work: str | None = None

    def __post_init__(self) -> None:
        """**Raises:** `InputError` naming the option, what was given and what it may be."""
        for name in self.fronts:
            checked(name)
        if not self.fronts:
            raise InputError("`fronts` must name at least one.")
        for name, least in (("seeds", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}; got {getattr(self, name)}.")
        if self.time_limit is not None and not 0 < self.time_limit < np.inf:
            raise InputError(
                f"`time_limit` must be a finite number of seconds above 0, or None; got {self.time_limit}."
            )
        if self.work is not None and self.executor is None:
            raise InputError("`work` is for the workers of an executor; pass `executor`, or leave it out.")
        if self.work is not None and (
            not is_url(self.work) or "::" in self.work or local_place(self.work) is not None
        ):
            raise InputError(
                f"`work` must be the URL of a folder, such as s3://bucket/work; got {self.work!r}. On a shared disk "
                "`folder` will do."
            )
        words = {"dtype": ("float32", "float64"), "dequantize": ("auto", "off"), "start": get_args(Start)}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f'`{name}` must be "{known[0]}" or "{known[1]}"; got {getattr(self, name)!r}.'
                )
        if self.dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise InputError(
                '`dtype="float64"` needs JAX\'s 64-bit switch: jax.config.update("jax_enable_x64", True).'
            )

    def config(self) -> dict[str, object]:
        """The options as the record holds them."""
        apart = ("families", "gates", "settings", "few", "folder", "resume", "monitor", "executor", "work")
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        lists = {name: list(value) for name, value in plain.items() if isinstance(value, tuple)}
        families = {"families": [family.name for family in self.families]}
        return {**families, **plain, **lists, **vars(self.gates), **self.settings.fingerprint()}


def depths_of(depths: Sequence[int] | int) -> tuple[int, ...]:
    """Distinct depths, the shallowest first. **Raises:** `InputError` for what is no whole number of at least 1."""
    given = [depths] if isinstance(depths, int) else list(depths)
    if any(not isinstance(d, (int, np.integer)) or isinstance(d, bool) or d < 1 for d in given):
        raise InputError(f"`depths` must be whole numbers of at least 1; got {given}.")
    return tuple(sorted({int(d) for d in given}))


def settings_for(rows: int, blocks: int = 1, *, limited: bool = False, **given: Any) -> Settings:
    """The settings of a ladder with so many rows in an epoch; those in `given` that are not None take their place.

    `blocks`: epochs of one pass over a large table; there are at least two passes where no time limits them.

    Batches of 64 to 256 rows, 32 of them in an epoch; about 6,000 steps in all, or with `limited` as many as there is time
    for; training ends early after a quarter of the epochs without a better validation value.
    """
    given = {name: value for name, value in given.items() if value is not None}
    wanted = 2 ** int(np.round(np.log2(max(rows, 1) / BATCHES)))
    batch = given.get("batch_size", int(np.clip(wanted, LEAST, MOST)))
    steps = max(rows // batch, 1)
    passes = MOST_EPOCHS if limited else -(-STEPS // steps)
    epochs = given.get(
        "max_epochs", int(np.clip(passes, max(LEAST_EPOCHS, 2 * blocks), max(MOST_EPOCHS, 2 * blocks)))
    )
    patience = max(20, int(PATIENCE * epochs))
    standard = {"batch_size": batch, "max_epochs": epochs, "patience": patience}
    rates = {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
    return Settings(**{**standard, **rates, **given})


def _slower(updates: PyTree, params: PyTree) -> PyTree:
    del params

    def scaled(path: tuple[object, ...], update: Array) -> Array:
        return BASE_RATE * update if getattr(path[0], "name", None) == "base" else update

    return jax.tree_util.tree_map_with_path(scaled, updates)


BASE_SLOWER = optax.chain(optax.adam(1.0), optax.stateless(_slower))  # one value, so that programs are shared
