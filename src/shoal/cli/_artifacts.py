"""Writes the files of a run: model, metrics, far rows, record and report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

import shoal

from .._errors import InputError

_SIGMAS = ("sigma_max", "sigma_max_median", "sigma_min", "sigma_min_median")


def write_run(result: Any, folder: Path, command: str) -> dict[str, Any]:
    """Writes what `shoal.selection.ladder` returned into `folder`, and returns its record.

    The model is written if there is one. A report that can not be made is told on stderr and keeps nothing else back.
    """
    record = {**result.record, "command": command}
    if result.flow is not None:
        shoal.save(result.flow, folder)
    write_metrics(record, folder / "metrics.parquet")
    write_far_rows(record, folder / "rows.parquet")
    shoal.records.write_record(record, folder / "record.json")
    try:
        shoal.report.write_report(shoal.records.read_record(folder / "record.json"), folder / "report.html")
    except InputError as error:
        typer.echo(f"No report was written: {error}", err=True)
    return record


def write_metrics(record: Mapping[str, Any], path: Path) -> None:
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
    for rung in record["rungs"]:
        for seed in rung.get("seeds") or ():
            curve = seed.get("curve") or {}
            epochs = list(curve.get("epoch") or ())
            key = {"family": rung["family"], "depth": rung["depth"], "seed": seed["seed"]}
            columns: dict[str, Any] = {name: _numbers(curve.get(name), len(epochs)) for name in floats}
            columns["far_rows"] = curve.get("far_rows") or [None] * len(epochs)
            first = seed.get("first_validation")
            if first is not None and epochs:
                epochs = [0, *epochs]
                columns = {name: [None, *values] for name, values in columns.items()}
                columns["validation"][0] = float(first)
            part = pl.DataFrame({"epoch": epochs, **columns}, schema={"epoch": pl.Int64} | kinds)
            keys = [pl.lit(value, dtype=schema[name]).alias(name) for name, value in key.items()]
            parts.append(part.select(*keys, "epoch", *names))
            seen = seed.get("conditioning") or {}
            if seen:
                columns = {
                    name: _numbers(values, len(values)) if looks.get(name) == pl.Float64 else values
                    for name, values in seen.items()
                }
                part = pl.DataFrame(columns, schema={"epoch": pl.Int64} | looks)
                parts.append(part.select(*keys, "epoch", *looks))
    pl.concat(parts, how="diagonal").write_parquet(path)


def write_far_rows(record: Mapping[str, Any], path: Path) -> None:
    """Writes the validation rows whose round trip is beyond the limit, the farthest first; no file if there is none."""
    import polars as pl

    path.unlink(missing_ok=True)  # of the run that is resumed
    found = record.get("far_rows") or {}
    rows = list(found.get("row") or ())
    if rows:
        columns = {name: _numbers(found.get(name), len(rows)) for name in ("error", "log_prob")}
        pl.DataFrame({"row": rows, **columns}, schema_overrides={"row": pl.Int64}).write_parquet(path)


def _numbers(values: Any, length: int) -> list[float | None]:
    """As floats: a record may hold a non-finite number as text, and null where there is none."""
    if values is None:
        return [None] * length
    return [None if value is None else float(value) for value in values]
