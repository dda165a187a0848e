"""One rung: a front alone (depth 0), or a family at a depth behind a front, its seeds trained together."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax.random as jr
import msgspec
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.distributions import AbstractFlow
from shoal.flows import Family, Front
from shoal.records.fit import Status
from shoal.selection._measure import Figures, log_likelihoods, measure
from shoal.selection._options import BASE_SLOWER, Options
from shoal.selection._prepare import Part, Prepared
from shoal.selection._rule import Candidate, winsorised
from shoal.training import FitResult, fit_many

Listener = Callable[[dict[str, Any]], None] | None


@dataclass
class Rung:
    """A front, and a family at a depth behind it (None, 0: the front alone).

    `flows`, `log_likelihoods` (of the validation rows), `results` and `figures` have one entry a seed; `results` are empty
    for a front alone, `figures` until the rung is measured. `workers`: of an executor, host and process of each seed.
    """

    front: str
    family: Family | None = None
    depth: int = 0
    flows: list[AbstractFlow] = field(default_factory=list)
    log_likelihoods: list[FloatArray] = field(default_factory=list)
    results: list[FitResult] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    seconds: float = 0.0
    compile_seconds: float = 0.0
    measuring_seconds: float = 0.0
    dropped: str = ""
    limit: float | None = None  # seconds that the last training of its steps was given
    workers: list[str] = field(default_factory=list)

    @property
    def chain(self) -> str:
        """The front and family that the rung belongs to, in words."""
        return self.front if self.family is None else f"{self.family.name} on {self.front}"

    @property
    def name(self) -> str:
        """The rung in words."""
        if self.family is None:
            return f"{self.front}, no layer"
        return f"{self.chain}, {self.depth} layer{'s' if self.depth > 1 else ''}"

    @property
    def status(self) -> Status:
        """The worst status of its seeds; "closed form" for a front alone, "not started" without any seed."""
        if self.family is None:
            return "closed form" if self.flows else "not started"
        bad: tuple[Status, ...] = ("diverged", "ill-conditioned", "interrupted", "unfinished")
        for status in bad:
            if any(r.status == status for r in self.results):
                return status
        return "finished" if self.results else "not started"

    def candidate(self) -> Candidate | None:
        """What the decision rule needs, or None if there are no log-likelihoods."""
        if not self.log_likelihoods:
            return None
        measured = bool(self.figures)
        return Candidate(
            depth=self.depth,
            log_likelihoods=np.stack(self.log_likelihoods),
            condition_q99=max(f.condition.q99 for f in self.figures) if measured else None,
            round_trip=float(np.max([f.round_trips["float32"].q999 for f in self.figures]))
            if measured
            else None,
        )

    def value(self, weights: FloatArray | None) -> float:
        """The (winsorised) mean validation log-likelihood of all seeds; -inf where there is none."""
        return winsorised(np.stack(self.log_likelihoods), weights) if self.log_likelihoods else -np.inf

    def best_seed(self, weights: FloatArray | None) -> int:
        """The seed with the highest (winsorised) mean validation log-likelihood."""
        return int(np.argmax([winsorised(row[None], weights) for row in self.log_likelihoods]))


def train(
    rung: Rung,
    front: Front,
    prepared: Prepared,
    options: Options,
    *,
    before: Rung | None,
    time_limit: float | None,
    compile_first: bool = False,
    progress: Listener,
) -> None:
    """Train all seeds of the rung, front and layers; fills `rung` in. Ctrl-C ends the training.

    `time_limit`: seconds for the steps, after the program is compiled where `compile_first` asks for it. Fronts of one form
    share a program. `before`: the chain's shallower rung, from whose weights "grow" begins; or the rung
    itself, which is then trained on.
    """
    started, on = time.monotonic(), before is rung
    part, validation = prepared.parts["train"], prepared.parts["validation"]
    start, keys = begun(rung, front, part, options, before)
    trained = partial(
        fit_many,
        **prepared.to_train(),
        validation=validation.x,
        validation_context=validation.context,
        validation_weights=validation.weights,
        optimizer=BASE_SLOWER,
        monitor=options.monitor,
    )
    if time_limit is not None and compile_first:
        least = replace(options.settings, time_limit=1e-3)
        compiled = uninterrupted(trained(start[:1], keys=keys[:1], settings=least)[0])
        rung.compile_seconds = compiled.compile_seconds
    results = trained(
        start,
        keys=keys,
        settings=replace(options.settings, time_limit=time_limit),
        folder=None if options.folder is None else options.folder / folder_name(rung, on=on),
        resume=options.resume,
        progress=progress,
    )
    rung.limit = time_limit
    fill(rung, results, validation, on=on)
    rung.seconds += time.monotonic() - started


def folder_name(rung: Rung, *, on: bool) -> str:
    """The folder of its checkpoints, one of its own where the rung is trained `on`, or again as it had no time before."""
    more = " on" if on else " again" if rung.results else ""
    return f"{rung.chain}, {rung.depth}{more}".replace(" ", "-")


def fill(rung: Rung, results: list[FitResult], validation: Part, *, on: bool) -> None:
    """Puts the results of a training of all seeds into the rung; `on`: it goes on with the one before."""
    rung.results = [_joined(*both) for both in zip(rung.results, results, strict=True)] if on else results
    results = rung.results
    if all(r.history for r in results):  # a seed without one whole epoch is what it began as
        rung.flows = [r.flow for r in results]
        rung.log_likelihoods = [_scores(r, validation) for r in results]


def uninterrupted(result: FitResult) -> FitResult:
    """The result of a training on the way to another one. **Raises:** `KeyboardInterrupt`, meant for the ladder."""
    if result.status == "interrupted":
        raise KeyboardInterrupt
    return result


def begun(
    rung: Rung, front: Front, part: Part, options: Options, before: Rung | None
) -> tuple[list[AbstractFlow], list[Key]]:
    """The flows that the seeds begin from, and the keys of their steps, which do not depend on what else is trained."""
    assert rung.family is not None
    key = jr.fold_in(jr.fold_in(jr.key(options.seed), rung.family.number), rung.depth)
    keys = [jr.fold_in(key, index) for index in range(options.seeds)]
    if before is rung:
        keys = [jr.fold_in(k, len(rung.results[0].history)) for k in keys]
    begin = [jr.split(k) for k in keys]
    context_dim = 0 if part.context is None else part.context.shape[1]
    build = partial(rung.family.build, hidden=options.hidden, context_dim=context_dim)
    start = [front.around(build(k[0], part.x.shape[1], rung.depth)) for k in begin]
    if options.start == "grow" and before is not None:
        start = [front.grown(flow, old) for flow, old in zip(start, before.flows, strict=True)]
    return start, [k[1] for k in begin]


def _joined(old: FitResult, new: FitResult) -> FitResult:
    """The result of a training and of a second one as one, with the flow of the better one."""
    value = lambda r: -np.inf if r.best_validation is None else r.best_validation
    better = bool(new.best_epoch) and value(new) >= value(old)
    kept = new if better else old
    epochs, steps = len(old.history), old.steps
    later = lambda rows: [msgspec.structs.replace(row, epoch=row.epoch + epochs) for row in rows]
    looks = [msgspec.structs.replace(row, step=row.step + steps) for row in later(new.conditioning)]
    return replace(
        new,
        first=old.first,
        history=old.history + later(new.history),
        flow=kept.flow,
        scores=kept.scores,
        best_epoch=kept.best_epoch if kept.best_epoch is None or not better else kept.best_epoch + epochs,
        best_validation=kept.best_validation,
        epochs=old.epochs + new.epochs,
        steps=steps + new.steps,
        seconds=old.seconds + new.seconds,
        compile_seconds=old.compile_seconds + new.compile_seconds,
        rollbacks=old.rollbacks + later(new.rollbacks),
        conditioning=old.conditioning + looks,
    )


def _scores(result: FitResult, validation: Part) -> FloatArray:
    if result.scores is not None:
        return np.asarray(result.scores, np.float64)
    return log_likelihoods(result.flow, validation.x, validation.context)


def measure_rung(rung: Rung, prepared: Prepared, *, whole: bool) -> None:
    """Condition numbers and round trips of every seed; fills `figures` in. `whole`: round trips in float64 too."""
    started = time.monotonic()
    validation = prepared.parts["validation"]
    rung.figures = [
        measure(flow, validation, prepared.scale, logs, ("float32", "float64") if whole else ("float32",))
        for flow, logs in zip(rung.flows, rung.log_likelihoods, strict=True)
    ]
    rung.measuring_seconds = time.monotonic() - started
