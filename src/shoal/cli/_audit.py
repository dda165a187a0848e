"""`shoal audit`: how close a flow comes to singular, which layer is at fault, and what a round trip loses."""

import io
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace

import shoal

from .._errors import InputError
from ..records import AuditRecord
from ._audit_object import OBJECT, find_object, object_points
from ._audit_run import HEALTHY, own_limit, run_points
from ._audit_summary import print_audit, shown_audit
from ._exit import NUMERICAL_FAILURE, exit_codes, stop
from ._matrix import check_place
from ._parse import check_above, check_count


def audit(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A folder that `shoal fit` or `shoal.save` made, or MODULE:OBJECT.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="A CSV, Parquet, NPY or NPZ file; samples of the model itself without.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A .html file for the report.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A .parquet file for the points; STEM.layers.parquet lies beside it."
        ),
    ] = None,
    points: Annotated[int, typer.Option(metavar="N", help="Rows of DATA to audit, chosen at random.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    attack: Annotated[
        float | None,
        typer.Option(metavar="RADIUS", help="Search so far around the worst points for a worse one."),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="With MODULE:OBJECT: the columns of DATA that are its context."),
    ] = None,
    max_condition: Annotated[
        float | None,
        typer.Option(
            metavar="C", help="Largest 99 % condition number of a healthy flow; a run's own, or 1e4."
        ),
    ] = None,
    max_round_trip: Annotated[
        float, typer.Option(metavar="E", help="Largest float32 round-trip error of a healthy flow.")
    ] = 1e-3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
) -> None:
    """Measure spectra, layers and round trips of a fitted flow, or of MODULE:OBJECT from the current directory.

    Exit codes: 0 done, whatever the verdict; 2 bad input, 3 nothing could be measured, 130 interrupted.
    """
    given = dict(locals())
    with exit_codes():
        check_count(points, "--points")
        check_count(seed, "--seed", 0)
        for value, option in (
            (attack, "--attack"),
            (max_condition, "--max-condition"),
            (max_round_trip, "--max-round-trip"),
        ):
            if value is not None:
                check_above(value, option, 0.0)
        _check_outputs(output, parquet, data, overwrite=overwrite)
        if data is not None and not data.exists():
            raise InputError(f"{data} does not exist; name a CSV, Parquet, NPY or NPZ file.")
        is_object = OBJECT.fullmatch(target) and not Path(target).exists()
        options = {
            "attack_radius": attack,
            "max_condition": max_condition or (HEALTHY if is_object else own_limit(Path(target))),
            "max_round_trip": max_round_trip,
            "seed": seed,
        }
        if is_object:
            found, record = _audited_object(target, data, context, points, options)
        else:
            if context is not None:
                raise InputError("--context goes with MODULE:OBJECT; a run knows its own context columns.")
            found, record = _audited_run(Path(target), data, points, options)
        record = replace(record, target=target, command=_command(given))
        if parquet is not None:
            _write_parquet(found, parquet)
        if output is not None:
            shoal.report.write_report(record, output)
        print_audit(record)
        for path, what in ((output, "The report lies at"), (parquet, "The points are in")):
            if path is not None:
                typer.echo(f"{what} {path}")
        if _nothing_measured(record):
            raise stop(
                f"Numerical failure: nothing of {target} could be measured: no spectrum and no round trip is finite.",
                NUMERICAL_FAILURE,
            )


def _audited_run(
    run: Path, data: Path | None, points: int, options: dict[str, Any]
) -> tuple[Any, AuditRecord]:
    with run_points(run, data, points, options["seed"]) as (flow, x, context, about):
        return _measured(flow, x, {"context": context, **options}, about)


def _audited_object(
    target: str, data: Path | None, context: str | None, points: int, options: dict[str, Any]
) -> tuple[Any, AuditRecord]:
    if data is None:
        raise InputError(f"{target} needs DATA: a table of the points at which it is audited.")
    x, c, about = object_points(data, context, points, options["seed"])
    whole, arguments = find_object(target, x.shape[1])
    return _measured(whole, x, {"context": c, **arguments, **options}, about)


def _measured(whole: Any, x: Any, options: dict[str, Any], about: dict[str, Any]) -> tuple[Any, AuditRecord]:
    """The audit and its record; what the map itself says it can not do is one sentence."""
    try:
        with shown_audit(len(x), x.shape[1]):
            found = shoal.conditioning.audit(whole, x, **options)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:  # NotImplementedError is the last
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"The map can not be audited on these points: {reason}") from error
    record, rows = found.to_record(), about.pop("row_numbers", None)
    shown = record.shown if rows is None else replace(record.shown, rows=[rows[i] for i in record.shown.rows])
    return found, replace(record, shown=shown, **about)


def _check_outputs(output: Path | None, parquet: Path | None, data: Path | None, *, overwrite: bool) -> None:
    places = [(output, "-o", ".html"), (parquet, "--parquet", ".parquet")]
    if parquet is not None:
        places.append((layers_path(parquet), "--parquet", ".parquet"))
    for place, option, suffix in places:
        if place is None:
            continue
        check_place(place, option, suffix, data or Path())
        if place.exists() and not overwrite:
            raise InputError(
                f"{option} {place} exists already; name another file, or replace it by --overwrite."
            )


def layers_path(parquet: Path) -> Path:
    """Where the layers lie beside the points."""
    return parquet.with_name(f"{parquet.stem}.layers.parquet")


def _write_parquet(found: Any, path: Path) -> None:
    """Both files, each under a temporary name that is renamed when it is complete."""
    for table, place in ((found.layers_table(), layers_path(path)), (found.points_table(), path)):
        data = io.BytesIO()
        table.write_parquet(data)
        shoal.records.write_bytes(data.getvalue(), place)


def _nothing_measured(record: AuditRecord) -> bool:
    """No singular value at any point, and no round trip of any set in any precision, is finite."""
    trips = [trip for by in record.round_trips.values() for trip in by.values()]
    return not record.spectrum.median and all(t.failed or t.nonfinite == t.points for t in trips)


def _command(given: dict[str, Any]) -> str:
    """The command line, without the outputs."""
    defaults = {"points": 1000, "seed": 0, "max_round_trip": 1e-3}
    words = ["shoal", "audit", given["target"], *([] if given["data"] is None else [str(given["data"])])]
    for name in ("points", "seed", "attack", "context", "max_condition", "max_round_trip"):
        value = given[name]
        if value is not None and value != defaults.get(name):
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
