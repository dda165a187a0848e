"""`run`: the cells of a study that are not done yet, group by group, each recorded as soon as its group ends."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax

from shoal._errors import InputError, NumericalFailure
from shoal.records import package_versions
from shoal.studies._base import Cell, Failure, Result, Study
from shoal.studies._records import Records, appending, read_records, record_of

# What a computation may end with. Any other exception is a bug of the study, and is raised: a bug is no figure.
FAILURES = (NumericalFailure, ArithmeticError, ValueError, RuntimeError, MemoryError)

Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Tally:
    """How many cells of a grid are `done`, have `failed`, or are `open` (never run, or interrupted)."""

    done: int
    failed: int
    open: int

    @property
    def total(self) -> int:
        """All cells."""
        return self.done + self.failed + self.open


def tally(cells: Sequence[Cell], records: Records) -> Tally:
    """How far the cells have come."""
    found = [records.status(cell) for cell in cells]
    done, failed = found.count("done"), found.count("failed")
    return Tally(done, failed, len(found) - done - failed)


def run(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    smoke: bool = False,
    retry: bool = False,
    progress: Callable[[Event], None] | None = None,
) -> Tally:
    """Runs the cells without a finished record, and appends a record for each.

    **Arguments:** `folder`: of the records, made if need be; `smoke`: the small grid in place of the whole one; `retry`:
    cells that failed, too; `progress`: called with `{"stage": "working" | "cell", "fraction", ...}`.

    **Returns:** the tally of the grid, earlier runs included. A cell that fails is recorded with its reason, and the
    others go on.

    **Raises:** KeyboardInterrupt after the cells at work were recorded as interrupted; `InputError` where a package that
    a cell needs is missing, or the records can not be written.
    """
    cells = study.smoke if smoke else study.cells
    with appending(study, folder) as append:
        records = read_records(study, folder)
        finished = ("done",) if retry else ("done", "failed")
        groups = study.groups([cell for cell in cells if records.status(cell) not in finished])
        costs = [sum(map(study.cost, group)) for group in groups]
        total, past = sum(costs) or 1.0, 0.0
        for group, cost in zip(groups, costs, strict=True):
            _run_group(study, group, append, _listener(progress, group, past / total, cost / total))
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


def _run_group(
    study: Study, group: tuple[Cell, ...], append: Callable[[Event], None], tell: Callable[..., None]
) -> None:
    started = time.perf_counter()

    def facts() -> dict[str, Any]:
        return {
            "versions": package_versions(study.packages),
            "dtype": study.dtype,
            "device": jax.default_backend(),
            "seconds": (time.perf_counter() - started) / len(group),
            "together": len(group),
        }

    try:
        results = results_of(study, group, tell)
    except KeyboardInterrupt:
        for cell in group:
            append(record_of(cell, "interrupted", **facts()))
        raise
    for cell, result in zip(group, results, strict=True):
        if isinstance(result, Failure):
            append(record_of(cell, "failed", reason=result.reason, **facts()))
            tell(1.0, cell.name, stage="cell", status="failed", reason=result.reason)
        else:
            append(record_of(cell, "done", figures=result, kinds=study.kinds, **facts()))
            tell(1.0, cell.name, stage="cell", status="done", reason=None)


def _listener(
    progress: Callable[[Event], None] | None, group: tuple[Cell, ...], before: float, share: float
) -> Callable[..., None]:
    """What a study calls with its own fraction, as an event with the fraction of the whole grid."""

    def tell(fraction: float, words: str, *, stage: str = "working", **facts: Any) -> None:
        if progress is not None:
            whole = before + share * min(max(fraction, 0.0), 1.0)
            progress({"stage": stage, "fraction": whole, "words": words, "cells": len(group), **facts})

    return tell
