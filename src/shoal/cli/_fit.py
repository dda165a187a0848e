"""`shoal fit`: a table in, the shallowest well-conditioned flow out."""

import time
from functools import partial
from typing import Annotated, Any

import typer

from shoal._errors import InputError, NumericalFailure, WorkersLost
from shoal._executors import connected, is_elsewhere
from shoal._names import FAMILY_NAMES, FRONT_NAMES, KINDS
from shoal.cli._fit_output import print_schema, print_summary, write_run
from shoal.cli._processes import Tell, follow, follows, leading
from shoal.cli._progress import shown_progress
from shoal.cli._run_folder import Places, check_places, claimed, discard, find_places, publish
from shoal.cli._session import INTERRUPTED, NUMERICAL_FAILURE, Call, argument, command, float64, option, stop
from shoal.cli._settings import FitSettings, parse_settings

OUT_OF_TIME = ("not started", "unfinished")  # statuses of rungs that time, not numbers, ended
_of_columns, _of_ladder, _of_training, _of_run = (
    partial(option, panel=panel) for panel in ("Columns", "Ladder and choice", "Training", "Run")
)


@command
def fit(
    call: Call,
    data: Annotated[
        str, argument("A CSV, Parquet, NPY or NPZ file, a folder of Parquet files, or a URL.", metavar="DATA")
    ],
    out: Annotated[
        str, _of_run("Folder to make, or its URL, for the model and its report.", "--out", metavar="RUN")
    ],
    columns: Annotated[str | None, _of_columns("Columns to model; all without.", metavar="A,B")] = None,
    drop: Annotated[str | None, _of_columns("Columns to leave out.", metavar="A,B")] = None,
    context: Annotated[str | None, _of_columns("Columns the model is conditioned on.", metavar="A,B")] = None,
    weights: Annotated[str | None, _of_columns("Column of row weights.", metavar="A")] = None,
    kind: Annotated[
        str | None,
        _of_columns(f"Kinds of columns, out of {', '.join(KINDS)}; found without.", metavar="A=KIND,.."),
    ] = None,
    dequantize: Annotated[
        str,
        _of_columns("Noise of one step on rounded values; off: every column is numbers.", metavar="auto|off"),
    ] = "auto",
    parts: Annotated[
        str, _of_columns("Shares of training, validation and test rows; the last may be 0.", metavar="N,N,N")
    ] = "80,10,10",
    stream: Annotated[
        str,
        _of_columns(
            "Read DATA in pieces, its shuffled rows on disk or in memory; auto: on disk, from 0.5 GB on.",
            metavar="auto|off|disk|memory",
        ),
    ] = "auto",
    fronts: Annotated[
        str | None,
        _of_ladder(
            f"What stands between data and layers, out of {', '.join(FRONT_NAMES)}; raced without.",
            metavar="A,B",
        ),
    ] = None,
    families: Annotated[str, _of_ladder(f"Out of {', '.join(FAMILY_NAMES)}.", metavar="A,B")] = "nsf",
    depths: Annotated[str, _of_ladder("Numbers of layers to try, beside none.", metavar="N,N")] = "1,2,3,4,6",
    start: Annotated[
        str, _of_ladder("Deeper rungs begin from the shallower one, or anew.", metavar="grow|scratch")
    ] = "grow",
    seeds: Annotated[int, _of_ladder("Models trained for each rung.")] = 1,
    margin: Annotated[
        float | None, _of_ladder("Nats a row behind the best that count as good; 0.02 √columns without.")
    ] = None,
    max_condition: Annotated[float, _of_ladder("Largest 99 % condition number of a usable flow.")] = 1e5,
    max_round_trip: Annotated[
        float, _of_ladder("Largest 99.9 % float32 round-trip error of a usable flow.")
    ] = 1e-3,
    time_limit: Annotated[
        str | None, _of_ladder("Time for all rungs together, such as 90s, 5m or 1h.", metavar="TIME")
    ] = None,
    hidden: Annotated[
        str | None, _of_training("Widths of the hidden layers; the family's own without.", metavar="N,N")
    ] = None,
    batch_size: Annotated[int | None, _of_training("Rows in a step; by the rows without.")] = None,
    max_epochs: Annotated[
        int | None, _of_training("Passes over the training rows; 6,000 steps without.")
    ] = None,
    patience: Annotated[
        int | None,
        _of_training("Epochs without improvement before training stops; a quarter of all without."),
    ] = None,
    learning_rate: Annotated[float | None, _of_training("Largest learning rate; 0.003 without.")] = None,
    weight_decay: Annotated[
        float | None, _of_training("Decay of the conditioners' matrices; 0.2 without.")
    ] = None,
    devices: Annotated[
        int | None, _of_training("Devices that share the rows of a step; by the work in it without.")
    ] = None,
    dtype: Annotated[str, _of_training("Precision of the model.", metavar="float32|float64")] = "float32",
    seed: Annotated[int, _of_training("Seed of everything random.")] = 0,
    overwrite: Annotated[bool, _of_run("Replace RUN if it exists.", "--overwrite")] = False,
    resume: Annotated[bool, _of_run("Go on with RUN.unfinished.", "--resume")] = False,
    cluster: Annotated[
        str | None,
        _of_run(
            "Train rungs side by side: a Dask scheduler, or so many processes here.",
            metavar="tcp://HOST:PORT|local:N",
        ),
    ] = None,
    quiet: Annotated[bool, _of_run("No progress bar.", "--quiet")] = False,
) -> None:
    """Train flows of growing depth on DATA and keep the shallowest that is good and invertible.

    Exit codes: 0 done, 2 bad input, 3 no usable flow, or workers lost, 130 interrupted; what was done by
    then lies in RUN.unfinished.
    """
    began = time.monotonic()
    settings = parse_settings(data, call.given)
    places = find_places(out)
    from shoal.cli._data import to_fit  # here and not above: `shoal --help` must not wait for it

    read = partial(to_fit, call, data, settings)
    if follows():
        follow(read, settings, places, began)
        return
    with leading() as tell:
        check_places(places, overwrite=overwrite, resume=resume)
        table = read()
        print_schema(table)
        with connected(cluster) as executor, claimed(places, settings, resume=resume) as new:
            options = {"began": began, "resume": resume and not new, "executor": executor}
            if places.mirror is not None and is_elsewhere(cluster):
                options["work"] = places.mirror.unfinished
            _train(table, settings, options, places, tell, new=new, quiet=quiet, line=call.line())


def _train(
    table: Any,
    settings: FitSettings,
    options: dict[str, Any],
    places: Places,
    tell: Tell,
    *,
    new: bool,
    quiet: bool,
    line: str,
) -> None:
    folder = places.unfinished
    try:
        tell(options["resume"])
        with (
            float64(settings.dtype == "float64"),
            shown_progress(folder / "log.jsonl", quiet=quiet) as progress,
        ):
            from shoal.selection import ladder  # here: bad input is told before JAX loads

            checkpoints = folder / "checkpoints"
            result = ladder(table, **settings.for_ladder(), **options, folder=checkpoints, progress=progress)
            record = write_run(result, folder, places.label, line, table.schema)
    except InputError:
        if new and not _has_checkpoints(places):
            discard(places)
        raise
    except (NumericalFailure, WorkersLost, KeyboardInterrupt) as error:
        raise _stopped_short(error, places, new) from error
    print_summary(record)
    if result.interrupted:
        raise stop(
            f"Interrupted: {_kept(places, result)}; go on with the same command and --resume.", INTERRUPTED
        )
    if result.flow is None:
        if all(rung.status in OUT_OF_TIME for rung in record.rungs):
            raise stop(
                f"Out of time: no flow is kept, {_kept(places, result)}; go on with the same command, a longer "
                "--time-limit and --resume.",
                NUMERICAL_FAILURE,
            )
        raise stop(f"Numerical failure: no flow is kept, {_kept(places, result)}.", NUMERICAL_FAILURE)
    publish(places)
    typer.echo(f"The report lies at {places.label}/report.html")


def _stopped_short(error: BaseException, places: Places, new: bool) -> typer.Exit:
    """What is left of a run that was ended before the ladder returned."""
    if _has_checkpoints(places):
        kept = f"checkpoints are kept in {places.label}.unfinished; go on with the same command and --resume"
    elif new:
        discard(places)
        kept = "nothing was trained yet and nothing is kept"
    else:
        kept = f"{places.label}.unfinished is as it was"
    if isinstance(error, WorkersLost):
        return stop(f"Workers lost: {error} ({kept}).", NUMERICAL_FAILURE)
    if isinstance(error, NumericalFailure):
        return stop(f"Numerical failure: {error} ({kept}).", NUMERICAL_FAILURE)
    return stop(f"Interrupted: {kept}.", INTERRUPTED)


def _has_checkpoints(places: Places) -> bool:
    folder = places.unfinished / "checkpoints"
    names = (path.relative_to(folder).parts for path in folder.rglob("*") if path.is_file())
    return not all(any(part.startswith(".") for part in name) for name in names)


def _kept(places: Places, result: Any) -> str:
    folder = f"{places.label}.unfinished"
    model = "the best flow so far, " if result.flow is not None else ""
    return f"{model}the record and the report ({folder}/report.html) are kept in {folder}"
