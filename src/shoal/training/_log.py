"""What a run remembers beside its arrays, and how both go into a checkpoint and come back."""

from collections.abc import Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jaxtyping import PyTree

from shoal.records.fit import Look, Rollback, Trained

from ._checkpoint import Stored
from ._result import EpochRow
from ._schedule import Plan
from ._settings import Settings
from ._step import State, Weights

# a run with one of these is not taken up again
FINAL = ("finished", "stopped early", "diverged", "ill-conditioned")


class Log(msgspec.Struct):
    """Plain values only: a checkpoint stores them as they are."""

    plan: Plan | None = None
    factor: float = 1.0
    best_epoch: int | None = None
    status: Trained | None = None
    seconds: float = 0.0
    compile_seconds: float = 0.0
    first: EpochRow | None = None  # the validation of the given weights
    history: list[EpochRow] = msgspec.field(default_factory=list)
    rollbacks: list[Rollback] = msgspec.field(default_factory=list)
    conditioning: list[Look] = msgspec.field(default_factory=list)
    rescales: int = 0
    good_step: int | None = None  # the last one that a monitor found within its budget
    patient_from: int = 0  # epochs done when the best weights were last given up

    @property
    def attempt(self) -> int:
        """How often training went back, for whatever reason: what shuffles and noise depend on, beside the epoch."""
        return len(self.rollbacks) + self.rescales

    @property
    def done(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best_validation(self) -> float | None:
        """The validation log-likelihood of the best epoch."""
        if self.best_epoch is None:
            return None
        row = self.history[self.best_epoch - 1] if self.best_epoch else self.first
        return None if row is None else row.validation

    def message(self, settings: Settings, limit: float | None) -> str:
        """One sentence on how the run ended."""
        planned = self.plan.epochs if self.plan is not None else settings.max_epochs
        kept = self._kept()
        match self.status:
            case "stopped early":
                return f"No improvement in {settings.patience} epochs up to epoch {self.done} of {planned}; {kept}."
            case "unfinished":
                return f"The time limit of {limit:g} s came after {self.done} of {planned} epochs; {kept}."
            case "interrupted":
                return f"Interrupted after {self.done} of {planned} epochs; {kept}."
            case "ill-conditioned":
                row = self.conditioning[-1]
                before = f" after going back {self.rescales} times" if self.rescales else ""
                return (
                    f"The monitor's budget was crossed at step {row.step}{before}, with condition numbers up to "
                    f"{row.condition_max:.3g} ({row.kind}) and round trips up to {row.round_trip:.3g}; "
                    f"{self._good() if self.best_epoch is None else kept}."
                )
            case "diverged":
                last = self.rollbacks[-1]
                where = last.layer or "a layer that could not be found"
                return (
                    f"{len(self.rollbacks)} steps were not finite, the last one in epoch {last.epoch}, step "
                    f"{last.step} ({where}), at learning rate {last.learning_rate:.3g}; {kept}."
                )
            case _:
                return f"All {self.done} planned epochs are done; {kept}."

    def _kept(self) -> str:
        if self.best_epoch is not None and self.best_validation is not None:
            what = f"the weights of epoch {self.best_epoch}" if self.best_epoch else "the given weights"
            return f"{what} are kept"
        never_finite = bool(self.history) and self.history[-1].validation is not None
        return "no epoch had a finite validation value" if never_finite else "the latest weights are kept"

    def _good(self) -> str:
        if self.good_step is None:
            return "no weights were within it, and the first ones are kept"
        return f"the weights of step {self.good_step}, the last ones within it, are kept"


def summary(log: Log, train_steps: int) -> dict[str, object]:
    """What `progress` is given: the history's last row, how far the run is, and the seconds left by the plan."""
    planned = log.plan.epochs if log.plan is not None else log.done
    recent = [row.seconds for row in log.history[-10:]]
    return {
        **msgspec.structs.asdict(log.history[-1]),
        "epochs": planned,
        "steps": log.done * train_steps,
        "best_epoch": log.best_epoch,
        "best_validation": log.best_validation,
        "rollbacks": len(log.rollbacks),
        "status": log.status,
        "fraction": 1.0 if log.status is not None else log.done / planned,
        "seconds_left": 0.0 if log.status is not None else (planned - log.done) * sum(recent) / len(recent),
    }


_STORED = ("start", "best", "best_value", "best_scores")


def stored(state: State, log: Log, good: Weights | None) -> Stored:
    """The arrays, by name, and the plain values that a checkpoint holds: the end of the last whole epoch.

    A run that goes on does the epoch at work again, and looks again, so the looks of its present attempt are left out.
    """
    arrays = {}
    for name in _STORED:
        arrays |= _named(name, getattr(state, name))
    if good is not None:
        arrays |= _named("good", good)
    if log.status not in FINAL:
        at_work = (log.done + 1, log.attempt)
        seen = [row for row in log.conditioning if (row.epoch, row.attempt) != at_work]
        log = msgspec.structs.replace(log, status=None, conditioning=seen)
    return arrays, msgspec.to_builtins(log)


def restore(state: State, found: Stored) -> tuple[State, Log, Weights | None]:
    """The state, the log and the last weights within a budget of a checkpoint; `state` gives the structure."""
    arrays, content = found
    values = {name: _found(name, getattr(state, name), arrays) for name in _STORED}
    state = replace(state, **values, now=jax.tree.map(jnp.copy, values["start"]))
    log = msgspec.convert(content, Log)
    return state, log, None if log.good_step is None else _found("good", state.now, arrays)


def _named(name: str, tree: PyTree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _found(name: str, like: PyTree, arrays: Mapping[str, np.ndarray]) -> PyTree:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.array(arrays[name + jax.tree_util.keystr(path)], copy=True), like
    )
