"""One rung: a family at a depth, several seeds trained together and measured on the validation part."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from shoal import flows
from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.distributions import Flow, Padded
from shoal.selection._evaluate import Figures, evaluate
from shoal.selection._prepare import Prepared
from shoal.selection._rule import Candidate
from shoal.training import ConditioningMonitor, FitResult, fit_many

FAMILIES: dict[str, Callable[..., Flow | Padded]] = {
    "nice": flows.nice,
    "realnvp": flows.realnvp,
    "spline": flows.spline,
    "maf": flows.maf,
    "iaf": flows.iaf,
    "nsf": flows.nsf,
    "single_coordinate": flows.single_coordinate,
    "planar": flows.planar,
    "radial": flows.radial,
    "sylvester": flows.sylvester,
    "residual": flows.residual,
    "layerwise": flows.layerwise,
    "ffjord": flows.ffjord,
    "anode": flows.anode,
    "anf": flows.anf,
}
NUMBERS = (  # in random keys: append only
    *("iaf", "maf", "nice", "realnvp", "spline", "ffjord", "anode", "anf"),
    *("single_coordinate", "planar", "radial", "sylvester", "residual", "layerwise"),
    "nsf",
)


@dataclass(frozen=True)
class Training:
    """The settings that every rung shares."""

    seeds: int
    seed: int
    hidden: tuple[int, ...]
    batch_size: int
    max_epochs: int
    patience: int
    learning_rate: float
    folder: Path | None
    resume: bool
    monitor: ConditioningMonitor | None = None


@dataclass
class Rung:
    """A family at a depth; `results` and `figures` have one entry a seed once it is trained."""

    family: str
    depth: int
    results: list[FitResult] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    seconds: float = 0.0
    measuring_seconds: float = 0.0

    @property
    def status(self) -> str:
        """The worst status of its seeds; "not started" without any."""
        order = ("diverged", "ill-conditioned", "interrupted", "unfinished")
        found = {r.status for r in self.results}
        if not found:
            return "not started"
        return next((s for s in order if s in found), "finished")

    def candidate(self) -> Candidate | None:
        """What the decision rule needs, or None if the rung was not measured."""
        if not self.figures:
            return None
        return Candidate(
            depth=self.depth,
            log_likelihoods=np.stack([f.log_likelihoods for f in self.figures]),
            condition_q99=self.condition_q99(),
            round_trip=float(np.max([f.round_trips["float32"].max for f in self.figures])),
        )

    def condition_q99(self) -> float:
        """The 99 % quantile of kappa, the largest over the seeds; inf where it was not measured."""
        return max((f.condition.q99 for f in self.figures), default=np.inf)

    def best_seed(self, weights: FloatArray | None) -> int:
        """The seed with the highest mean validation log-likelihood; `weights` of the validation points."""
        return int(np.argmax([np.average(f.log_likelihoods, weights=weights) for f in self.figures]))


def check_family(family: str) -> None:
    """Raise an `InputError` unless `family` is one that the ladder can build."""
    if family not in FAMILIES:
        raise InputError(f"family {family!r} is unknown; choose from {', '.join(FAMILIES)}.")


def train(
    rung: Rung,
    prepared: Prepared,
    settings: Training,
    *,
    time_limit: float | None,
    progress: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Train all seeds of the rung and measure them; fills `rung` in. Ctrl-C ends the training, not the measuring."""
    started = time.monotonic()
    train_part, validation = prepared.parts["train"], prepared.parts["validation"]
    dim = train_part.x.shape[1]
    context_dim = 0 if train_part.context is None else train_part.context.shape[1]
    keys = [rung_key(settings.seed, rung.family, rung.depth, s) for s in range(settings.seeds)]
    begin = [jr.split(k) for k in keys]
    start = [
        FAMILIES[rung.family](k[0], dim, rung.depth, hidden=settings.hidden, context_dim=context_dim)
        for k in begin
    ]
    folder = None if settings.folder is None else settings.folder / f"{rung.family}-{rung.depth}"
    rung.results = fit_many(
        start,
        train_part.x,
        keys=[k[1] for k in begin],
        context=train_part.context,
        weights=train_part.weights,
        validation=validation.x,
        validation_context=validation.context,
        validation_weights=validation.weights,
        batch_size=settings.batch_size,
        max_epochs=settings.max_epochs,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        time_limit=time_limit,
        folder=folder,
        resume=settings.resume,
        progress=progress,
        monitor=settings.monitor,
    )
    trained = time.monotonic()
    if all(r.history for r in rung.results):  # a seed without one whole epoch would be measured as it began
        rung.figures = [evaluate(r.flow, validation, prepared.scale) for r in rung.results]
    rung.seconds, rung.measuring_seconds = time.monotonic() - started, time.monotonic() - trained


def rung_key(seed: int, family: str, depth: int, index: int) -> Key:
    """The random key of one seed of one rung; it does not depend on which other rungs are trained."""
    key = jr.key(seed)
    for word in (NUMBERS.index(family), depth, index):
        key = jr.fold_in(key, word)
    return key
