"""What a training run returns, and what it tells a callback on the way: rows of epochs, and the result."""

from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from shoal.records.fit import Curve, Look, Rollback, Trained, TrainingRecord

from ._losses import Density


class EpochRow(Struct, frozen=True, kw_only=True):
    """One epoch, counted from 1; epoch 0 is the validation of the given weights, without `train` and `learning_rate`.

    `train`: mean log-likelihood of the epoch's batches, while the weights moved (with another `loss`, its negative);
    `learning_rate`: of the last step. After the epoch, None without validation data: `validation`, the `winsorised_mean`, by
    which the best epoch is chosen; `validation_mean`, the plain mean, the same number where no row is far; `far_rows`;
    `non_finite_rows`.
    """

    epoch: int
    seconds: float
    train: float | None = None
    learning_rate: float | None = None
    validation: float | None = None
    validation_mean: float | None = None
    far_rows: int | None = None
    non_finite_rows: int | None = None


@dataclass(frozen=True)
class Epoch:
    """What a `callback` is given: the flow as it stands, the number of epochs done, and the history's last row."""

    flow: Density
    epoch: int
    row: EpochRow


@dataclass(frozen=True)
class FitResult:
    """A trained flow and how it came about.

    All log-likelihoods are means of log p(x | c) in nats per row (weighted where weights were given): *higher is
    better*. A value that was not finite stays as it was.

    - `flow`: the weights with the highest validation log-likelihood, those given (epoch 0) among them (without
      validation data: those of the last epoch; where no epoch ended, or none has a finite value: the latest weights).
    - `status`: "finished" (all planned epochs), "stopped early" (no improvement for `patience` epochs),
      "unfinished" (the time limit came first), "interrupted" (Ctrl-C or `stop`), "diverged" (`max_rollbacks`
      non-finite steps), "ill-conditioned" (a monitor's budget was crossed). `message` says the same in a sentence.
    - `history`: a row an epoch, with `epoch`, `train`, `learning_rate`, `seconds`, `validation`, `validation_mean`,
      `far_rows`, `non_finite_rows`; `first`: that of the given weights, as epoch 0, or None if they were not validated.
    - `scores`: log p of the validation rows under `flow`, in their order; None without a best epoch or validation rows.
    - `best_epoch` (0: the given weights; None: none), `best_validation` (None: none), `epochs` as planned, `steps` done,
      `seconds` in all, `compile_seconds` of these.
    - `rollbacks`: one a non-finite step: `epoch` (from 1), `step` (of the epoch, from 0), `layer` (the first with a
      non-finite value, None if not found) and `learning_rate`.
    - `conditioning`: one a look of the `monitor`: `step`, `epoch`, `attempt`, `sigma_max`, `sigma_min`, their medians,
      `condition_median`, `condition_max`, `round_trip`, `growth`, `unresolved`, `kind`, `action`.
    """

    flow: Density
    status: Trained
    message: str
    history: list[EpochRow]
    best_epoch: int | None
    best_validation: float | None
    epochs: int
    steps: int
    seconds: float
    compile_seconds: float
    rollbacks: list[Rollback]
    conditioning: list[Look]
    first: EpochRow | None = None
    scores: np.ndarray | None = None

    @property
    def first_validation(self) -> float | None:
        """The validation value of the given weights; None if they were not validated."""
        return None if self.first is None else self.first.validation

    def to_record(self) -> TrainingRecord:
        """Everything but the flow as plain values; the history as one list per quantity under `curve`."""
        curve = {name: [getattr(row, name) for row in self.history] for name in Curve.__struct_fields__}
        return TrainingRecord(
            status=self.status,
            message=self.message,
            epochs=len(self.history),
            best_epoch=self.best_epoch,
            steps=self.steps,
            seconds=self.seconds,
            compile_seconds=self.compile_seconds,
            validation_log_likelihood=self.best_validation,
            first_validation=self.first_validation,
            rollbacks=self.rollbacks,
            curve=Curve(**curve),
            conditioning=self.conditioning or None,
        )
