"""A rung that is trained on: two results as one."""

from dataclasses import replace
from typing import Any

import pytest

from shoal.flows import family
from shoal.records.fit import Look, Rollback
from shoal.selection._rung import Rung, _joined, folder_name
from shoal.training import FitResult
from shoal.training._result import EpochRow


def result(values: list[float], best: int | None, first: float) -> FitResult:
    seen = [first, *values]
    history = [EpochRow(epoch=i + 1, validation=v, seconds=1.0) for i, v in enumerate(values)]
    return FitResult(
        flow=None,
        status="finished",
        message="",
        history=history,
        best_epoch=best,
        best_validation=None if best is None else seen[best],
        epochs=len(values),
        steps=10 * len(values),
        seconds=1.5,
        compile_seconds=0.5,
        rollbacks=[Rollback(1, 0, None, 0.1)],
        conditioning=[],
        first=EpochRow(epoch=0, validation=first, seconds=1.0),
    )


@pytest.mark.parametrize(
    ("values", "best", "epoch", "value"),
    [([-1.0, -3.0], 1, 4, -1.0), ([-4.0, -5.0], 0, 3, -2.0), ([], 0, 3, -2.0), ([-4.0], 1, 3, -2.0)],
)
def test_epochs_go_on_counting_and_the_best_is_the_best_of_all(values, best, epoch, value):
    old, new = result([-9.0, -3.0, -2.0], 3, -10.0), result(values, best, -2.0)
    made = _joined(old, new)
    assert [row.epoch for row in made.history] == list(range(1, 4 + len(values)))
    assert (made.best_epoch, made.best_validation) == (epoch, value)
    assert made.first_validation == -10.0
    assert [r.epoch for r in made.rollbacks] == [1, 4]
    assert (made.steps, made.seconds, made.compile_seconds) == (30 + 10 * len(values), 3.0, 1.0)


def test_looks_of_a_monitor_go_on_too():
    figures: dict[str, Any] = {name: 2.0 for name, kind in Look.__annotations__.items() if kind is float}
    look = Look(step=5, epoch=1, attempt=0, unresolved=0, kind="estimate", **figures)
    old, new = (replace(result([-1.0], 1, -2.0), conditioning=[look]) for _ in range(2))
    assert [(row.step, row.epoch) for row in _joined(old, new).conditioning] == [(5, 1), (15, 2)]


def test_each_training_of_a_rung_has_checkpoints_of_its_own():
    rung = Rung("gaussian", family("nsf"), 2)
    names = [folder_name(rung, on=False)]
    rung.results = [result([], None, -2.0)]  # it had no time for an epoch
    names += [folder_name(rung, on=False), folder_name(rung, on=True)]
    assert len(set(names)) == 3
