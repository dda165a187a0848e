"""What `shoal fit` leaves and says at its end.

The files of a run: model, metrics, far rows, record and report. On the terminal: the rungs, the decision, and the figure
to quote, in the words of the report.
"""

from pathlib import Path
from typing import Any

import typer
from msgspec import structs
from rich.console import Console
from rich.table import Table

from shoal._errors import InputError
from shoal.cli._session import say, sized
from shoal.cli._session import table as empty_table
from shoal.records import RECORD, SCHEMA, ConstructionRecord, FitRecord, Record, write_record
from shoal.records.fit import Look


def write_run(result: Any, folder: Path, run: str, command: str, schema: Record | None = None) -> FitRecord:
    """Writes what `shoal.selection.ladder` returned into `folder`, and returns its record.

    The model is written if there is one, and `schema`, where columns are more than numbers. A report that can not be made
    is told on stderr and keeps nothing else back.
    """
    record = structs.replace(result.record, run=run, command=command)
    if result.flow is not None:
        from shoal.flows import save

        save(result.flow, folder)
    if schema is not None:
        write_record(schema, folder / SCHEMA)
    write_metrics(record, folder / "metrics.parquet")
    write_far_rows(record, folder / "rows.parquet")
    write_record(record, folder / RECORD)
    write_page(record, folder / "report.html")
    return record


def print_schema(table: Any, console: Console | None = None) -> None:
    """Prints what each column is taken for."""
    for name, sentence in kinds_of(table).items():
        say(sized(console), f"{name}: {sentence}")


def kinds_of(table: Any) -> dict[str, str]:
    """What each column is taken for, in words."""
    return {} if table.schema is None else {c.name: c.sentence() for c in table.schema.columns}


def write_page(record: FitRecord | ConstructionRecord, path: Path) -> None:
    """Writes a report; one that can not be made is told on stderr and keeps nothing else back."""
    from shoal.report import write_report

    try:
        write_report(record, path)
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
    of_type = {int: pl.Int64, float: pl.Float64, str: pl.String, str | None: pl.String}
    looks = {field.name: of_type[field.type] for field in structs.fields(Look)}
    parts = [pl.DataFrame(schema=schema | kinds)]
    for rung in record.rungs:
        for seed in rung.seeds:
            key = {"family": rung.family, "depth": rung.depth, "seed": seed.seed}
            keys = [pl.lit(value, dtype=schema[name]).alias(name) for name, value in key.items()]
            curve = pl.DataFrame(structs.asdict(seed.curve), schema={"epoch": pl.Int64} | kinds)
            if seed.first_validation is not None and seed.curve.epoch:
                first = pl.DataFrame({"epoch": [0], "validation": [seed.first_validation]})
                curve = pl.concat([first, curve], how="diagonal")
            parts.append(curve.select(*keys, "epoch", *names))
            if seed.conditioning is not None:
                seen = pl.DataFrame(list(map(structs.asdict, seed.conditioning)), schema=looks)
                parts.append(seen.select(*keys, pl.all()))
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


def print_summary(record: FitRecord, console: Console | None = None) -> None:
    """Prints the table of rungs, the sentence of the decision, and the test log-likelihood of the delivered flow."""
    console = sized(console)
    console.print(rungs_table(record))
    decision, test, rung = record.decision, record.test, record.delivered
    if decision.margin is not None:
        say(console, f"As good: behind the best by at most {decision.margin:.3g}, with 95 % confidence.")
    if decision.sentence:
        say(console, decision.sentence)
    stream, speed = record.data.stream, record.rows_per_second
    if stream is not None and speed is not None:
        say(
            console,
            f"{record.data.rows:,} rows were read in {stream.reading_seconds:.0f} s and shuffled in "
            f"{stream.shuffling_seconds:.0f} s; {stream.sample:,} of them serve fronts, validation and test. Training took "
            f"{speed:,.0f} rows a second.",
        )
    if test is None or rung is None:
        return
    error = "" if test.standard_error is None else f" ± {_number(test.standard_error)}"
    rows = f" (plain mean of {test.rows} rows" if test.rows else " (plain mean"
    robust = _number(test.winsorised)
    if robust and robust != _number(test.log_likelihood):
        rows += f"; robust mean {robust}"
    line = f"Test log-likelihood of {rung.name}: {_number(test.log_likelihood)}{error}"
    say(console, f"{line} nats per row{rows}).")


def rungs_table(record: FitRecord) -> Table:
    """One row for each rung. At most 100 columns wide, so its times and parameters stand in the report only."""
    title = "Rungs: validation in nats per row, and how far behind the best"
    heads = ("", "flow", "validation", "behind", "at most", "state", "κ\n99 %", "round trip\n99.9 %")
    style = {"left": ("", "flow", "state"), "box": None, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = empty_table(title, *heads, **style)
    for place, rung in enumerate(record.rungs):
        trip, kappa = rung.round_trip.get("float32"), rung.condition
        table.add_row(
            next(iter(record.decision.marks(place)), ""),
            rung.name,
            _number(rung.validation_log_likelihood),
            _number(rung.difference),
            _number(rung.upper),
            rung.state or rung.status,
            _number(kappa and kappa.q99, ".3g"),
            _number(trip and trip.q999, ".1e") or ("not measured" if kappa is None and rung.state else ""),
        )
    return table


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)
