"""`shoal audit`: how close a flow comes to singular, which layer is at fault, and what a round trip loses."""

import io
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from shoal._errors import InputError
from shoal._remote import is_url
from shoal.cli._audit_summary import print_audit
from shoal.cli._parse import check_above, check_count, check_output
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._session import NUMERICAL_FAILURE, Call, argument, command, option, stop
from shoal.records import AuditRecord, read_run, write_bytes

HEALTHY = 1e4  # the largest κ of a healthy flow, where nothing else is said
OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@command
def audit(
    call: Call,
    target: Annotated[
        str,
        argument(
            "A folder that `shoal fit` or `shoal.save` made, its URL, or MODULE:OBJECT.", metavar="TARGET"
        ),
    ],
    data: Annotated[
        str | None,
        argument("A CSV, Parquet, NPY or NPZ file; samples of the model itself without.", metavar="[DATA]"),
    ] = None,
    output: Annotated[
        Path | None, option("A .html file for the report.", "-o", "--output", metavar="FILE")
    ] = None,
    parquet: Annotated[
        Path | None,
        option("A .parquet file for the points; STEM.layers.parquet lies beside it.", metavar="FILE"),
    ] = None,
    points: Annotated[int, option("Rows of DATA to audit, chosen at random.", metavar="N")] = 1000,
    seed: Annotated[int, option("Seed of everything random.")] = 0,
    attack: Annotated[
        float | None, option("Search so far around the worst points for a worse one.", metavar="RADIUS")
    ] = None,
    context: Annotated[
        str | None, option("With MODULE:OBJECT: the columns of DATA that are its context.", metavar="A,B")
    ] = None,
    max_condition: Annotated[
        float | None,
        option("Largest 99 % condition number of a healthy flow; a run's own, or 1e4.", metavar="C"),
    ] = None,
    max_round_trip: Annotated[
        float, option("Largest float32 round-trip error of a healthy flow.", metavar="E")
    ] = 1e-3,
    coverage: Annotated[
        bool, option("Rows of DATA are held-out draws: test that the flow is not too narrow.", "--coverage")
    ] = False,
    overwrite: Annotated[bool, option("Replace outputs that exist.", "--overwrite")] = False,
) -> None:
    """Measure spectra, layers and round trips of a fitted flow, or of MODULE:OBJECT from the current directory.

    Exit codes: 0 done, whatever the verdict; 2 bad input, 3 nothing could be measured, 130 interrupted.
    """
    check_count(points, "--points")
    check_count(seed, "--seed", 0)
    for name in ("attack", "max_condition", "max_round_trip"):
        if call.given[name] is not None:
            check_above(call.given[name], f"--{name.replace('_', '-')}")
    _check_outputs(output, parquet, data, overwrite=overwrite)
    if data is not None and not is_url(data) and not Path(data).exists():
        raise InputError(f"{data} does not exist; name a CSV, Parquet, NPY or NPZ file.")
    named = OBJECT.fullmatch(target) is not None and not Path(target).exists()
    folder = None if named else find_model(target)
    limit = max_condition or (HEALTHY if folder is None else _own_limit(folder.path))
    limits = {"max_condition": limit, "max_round_trip": max_round_trip}
    options = {"attack_radius": attack, **limits, "seed": seed}
    if folder is None:
        from shoal.cli._audit_target import measured, object_target

        made = object_target(target, data, context, points, seed)
        found, record = measured(made, options, coverage=coverage)
    else:
        found, record = _of_run(folder, data, context, points, options, coverage=coverage)
    line = call.line("output", "parquet", "overwrite")
    record = replace(record, target=target, command=line)
    if parquet is not None:
        _write_parquet(found, parquet)
    if output is not None:
        from shoal.report import write_report

        write_report(record, output)
    print_audit(record)
    for path, what in ((output, "The report lies at"), (parquet, "The points are in")):
        if path is not None:
            typer.echo(f"{what} {path}")
    if _nothing_measured(record):
        raise stop(
            f"Numerical failure: nothing of {target} could be measured: no spectrum and no round trip is finite.",
            NUMERICAL_FAILURE,
        )


def _own_limit(run: Path) -> float:
    """The largest κ that the run was chosen with; `HEALTHY` for a model that the ladder did not make."""
    record = read_run(run)
    limit = None if record is None else record.decision.max_condition
    return HEALTHY if limit is None else limit


def _of_run(
    folder: ModelFolder,
    data: str | None,
    context: str | None,
    points: int,
    options: dict[str, Any],
    *,
    coverage: bool,
) -> tuple[Any, AuditRecord]:
    if context is not None:
        raise InputError("--context goes with MODULE:OBJECT; a run knows its own context columns.")
    from shoal.cli._data import say_notes  # here and not above: `shoal --help` must not wait for it
    from shoal.tables import join_names, open_source

    source = None if data is None else open_source(data)
    if data is not None and source is not None:
        say_notes(data, source.notes)
    if source is None and folder.context_columns:
        names = join_names(folder.context_columns)
        raise InputError(
            f"The model in {folder.label} is conditioned on {names}: give DATA with these columns."
        )
    from shoal.cli._audit_target import measured, run_target  # here: a wrong folder is told before JAX loads

    with run_target(folder, source, points, options["seed"]) as made:
        return measured(made, options, coverage=coverage)


def _check_outputs(output: Path | None, parquet: Path | None, data: str | None, *, overwrite: bool) -> None:
    places = [(output, "-o", ".html"), (parquet, "--parquet", ".parquet")]
    if parquet is not None:
        places.append((layers_path(parquet), "--parquet", ".parquet"))
    for place, word, suffix in places:
        if place is None:
            continue
        check_output(place, word, (suffix,), data)
        if place.exists() and not overwrite:
            raise InputError(
                f"{word} {place} exists already; name another file, or replace it by --overwrite."
            )


def layers_path(parquet: Path) -> Path:
    """Where the layers lie beside the points."""
    return parquet.with_name(f"{parquet.stem}.layers.parquet")


def _write_parquet(found: Any, path: Path) -> None:
    """Both files, each under a temporary name that is renamed when it is complete."""
    for table, place in ((found.layers_table(), layers_path(path)), (found.points_table(), path)):
        data = io.BytesIO()
        table.write_parquet(data)
        write_bytes(data.getvalue(), place)


def _nothing_measured(record: AuditRecord) -> bool:
    """No singular value at any point, and no round trip of any set in any precision, is finite."""
    trips = [trip for by in record.round_trips.values() for trip in by.values()]
    return not record.spectrum.median and all(t.failed or t.nonfinite == t.points for t in trips)
