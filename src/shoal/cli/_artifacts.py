"""Writes the files of a run: model, metrics, far rows, record and report."""

from pathlib import Path
from typing import Any

import typer
from msgspec.structs import asdict, replace

import shoal

from .._errors import InputError
from ..records import FitRecord

_SIGMAS = ("sigma_max", "sigma_max_median", "sigma_min", "sigma_min_median")


def write_run(result: Any, folder: Path, run: str, command: str) -> FitRecord:
    """Writes what `shoal.selection.ladder` returned into `folder`, and returns its record.

    The model is written if there is one. A report that can not be made is told on stderr and keeps nothing else back.
    """
    record = replace(result.record, run=run, command=command)
    if result.flow is not None:
        shoal.save(result.flow, folder)
    write_metrics(record, folder / "metrics.parquet")
    write_far_rows(record, folder / "rows.parquet")
    shoal.records.write_record(record, folder / shoal.records.RECORD)
    write_page(record, folder / "report.html")
    return record


def write_page(record: Any, path: Path) -> None:
    """Writes a report; one that can not be made is told on stderr and keeps nothing else back."""
    try:
        shoal.report.write_report(record, path)
    except InputError as error:
        typer.echo(f"No report was written: {error}", err=True)


def write_metrics(record: FitRecord, path: Path) -> None:
    """Writes the training curves, one row for each chain (`family`, in words), depth, seed and epoch.

    `validation` is the robust mean, `validation_mean` the plain one; epoch 0 is the flow before its first step.

    Where a monitor looked at the training, its looks follow the epochs of each seed, one row each, with a `step`, in columns
    of their own that are null in the rows of epochs; the curves are null in the rows of looks.
    """
    import polars as pl  # here and not above: `shoal --help` must not wait for it

    floats = ("train", "validation", "validation_mean", "learning_rate")
    names = (*floats[:3], "far_rows", floats[3])
    kinds = dict.fromkeys(names, pl.Float64) | {"far_rows": pl.Int64}
    schema = {"family": pl.String, "depth": pl.Int64, "seed": pl.Int64, "epoch": pl.Int64}
    looks = {
        **dict.fromkeys(("step", "attempt"), pl.Int64),
        **dict.fromkeys((*_SIGMAS, "condition_median", "condition_max", "round_trip", "growth"), pl.Float64),
        "unresolved": pl.Int64,
        **dict.fromkeys(("kind", "action"), pl.String),
    }
    parts = [pl.DataFrame(schema=schema | kinds)]
    for rung in record.rungs:
        for seed in rung.seeds:
            key = {"family": rung.family, "depth": rung.depth, "seed": seed.seed}
            keys = [pl.lit(value, dtype=schema[name]).alias(name) for name, value in key.items()]
            curve = pl.DataFrame(asdict(seed.curve), schema={"epoch": pl.Int64} | kinds)
            if seed.first_validation is not None and seed.curve.epoch:
                first = pl.DataFrame({"epoch": [0], "validation": [seed.first_validation]})
                curve = pl.concat([first, curve], how="diagonal")
            parts.append(curve.select(*keys, "epoch", *names))
            if seed.conditioning is not None:
                seen = pl.DataFrame(asdict(seed.conditioning), schema={"epoch": pl.Int64} | looks)
                parts.append(seen.select(*keys, "epoch", *looks))
    pl.concat(parts, how="diagonal").write_parquet(path)


def write_far_rows(record: FitRecord, path: Path) -> None:
    """Writes the validation rows whose round trip is beyond the limit, the farthest first; no file if there is none."""
    import polars as pl

    path.unlink(missing_ok=True)  # of the run that is resumed
    found = record.far_rows
    if found is not None and found.row:
        columns = {"row": found.row, "error": found.error, "log_prob": found.log_prob}
        kinds = {"row": pl.Int64, "error": pl.Float64, "log_prob": pl.Float64}
        pl.DataFrame(columns, schema=kinds).write_parquet(path)
