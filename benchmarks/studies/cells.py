"""`run`: the cells of a study that are not done yet, group by group, each recorded as soon as its group ends."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
from resume import Record, alone

from shoal._errors import InputError, NumericalFailure
from shoal.records import package_versions

from .grid import Cell, Failure, Result, Study
from .records import Tally, opened, place, read_records, record_of, tally

# What a computation may end with. Any other exception is a bug of the study, and is raised: a bug is no figure.
FAILURES = (NumericalFailure, ArithmeticError, ValueError, RuntimeError, MemoryError)

Event: TypeAlias = dict[str, Any]


def run(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    smoke: bool = False,
    retry: bool = False,
    progress: Callable[[Event], None] | None = None,
) -> Tally:
    """Runs the cells without a finished record, and writes a record for each.

    **Arguments:** `folder`: of the records, made if need be; `smoke`: the small grid in place of the whole one; `retry`:
    cells that failed, too; `progress`: called with `{"stage": "working" | "cell", "fraction", ...}`.

    **Returns:** the tally of the grid, earlier runs included. A cell that fails is recorded with its reason, and the
    others go on.

    **Raises:** KeyboardInterrupt after the cells at work were recorded as interrupted; `InputError` where a package that
    a cell needs is missing, or the records can not be written.
    """
    cells = study.smoke if smoke else study.cells
    with alone(place(study, folder)):
        file, records = opened(study, folder), read_records(study, folder)
        finished = ("done",) if retry else ("done", "failed")
        groups = study.groups([cell for cell in cells if records.status(cell) not in finished])
        costs = [sum(map(study.cost, group)) for group in groups]
        total, past = sum(costs) or 1.0, 0.0
        for group, cost in zip(groups, costs, strict=True):
            _run_group(study, group, file, _listener(progress, group, past / total, cost / total))
            past += cost
    return tally(cells, read_records(study, folder))


def results_of(study: Study, group: tuple[Cell, ...], tell: Callable[..., None]) -> Sequence[Result]:
    """`study.run(group, tell)`, with a numerical failure as the result of each cell of the group."""
    try:
        results = study.run(group, tell)
    except InputError:
        raise
    except FAILURES as why:
        return [Failure(f"{type(why).__name__}: {' '.join(str(why).split())}")] * len(group)
    if len(results) != len(group):
        raise TypeError(
            f"`run` of the study {study.name!r} gave {len(results)} results for {len(group)} cells."
        )
    return results


def _run_group(study: Study, group: tuple[Cell, ...], file: Record, tell: Callable[..., None]) -> None:
    started = time.perf_counter()

    def facts() -> dict[str, Any]:
        return {
            "versions": package_versions(study.packages),
            "dtype": study.dtype,
            "device": jax.default_backend(),
            "seconds": (time.perf_counter() - started) / len(group),
            "together": len(group),
        }

    def store(found: Sequence[tuple[Cell, Event]]) -> None:
        file.save(cells={**file["cells"], **{cell.hash: record for cell, record in found}})

    try:
        results = results_of(study, group, tell)
    except KeyboardInterrupt:
        store([(cell, record_of(cell, "interrupted", **facts())) for cell in group])
        raise
    made: list[tuple[Cell, Event]] = []
    for cell, result in zip(group, results, strict=True):
        if isinstance(result, Failure):
            made.append((cell, record_of(cell, "failed", reason=result.reason, **facts())))
        else:
            made.append((cell, record_of(cell, "done", figures=result, kinds=study.kinds, **facts())))
    store(made)
    for cell, record in made:
        tell(1.0, cell.name, stage="cell", status=record["status"], reason=record["reason"])


def _listener(
    progress: Callable[[Event], None] | None, group: tuple[Cell, ...], before: float, share: float
) -> Callable[..., None]:
    """What a study calls with its own fraction, as an event with the fraction of the whole grid."""

    def tell(fraction: float, words: str, *, stage: str = "working", **facts: Any) -> None:
        if progress is not None:
            whole = before + share * min(max(fraction, 0.0), 1.0)
            progress({"stage": stage, "fraction": whole, "words": words, "cells": len(group), **facts})

    return tell
