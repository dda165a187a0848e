"""`shoal compare`: which of two runs has the better model of one table, by paired differences of log p of its rows.

The difference and its error are those of the ladder's rule. Rows that a run was trained on do not count, where the table is
the one that it was fitted on: the split is made again from the settings in the run, and is known to be the same by the means
and deviations of the training rows in the record. Of a run whose table was read in pieces a row's part follows from its
cells, in whatever table it stands.
"""

import math
from contextlib import nullcontext
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import typer

from shoal._errors import InputError
from shoal._remote import fetched, is_url
from shoal.cli._mirror import CONFIG
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._runs import Run, figure, run_of
from shoal.cli._session import NUMERICAL_FAILURE, argument, command, say, sized, stop
from shoal.cli._session import table as empty_table
from shoal.cli._settings import FitSettings
from shoal.records import FitRecord, read_record, read_run

TWO_SIDED = 1.96  # standard errors of a two-sided 95 % interval
LOOKED_AT = 300_000  # rows of a table that is larger than memory, a uniform sample
FEWEST = 100  # test rows that are enough; with fewer, validation rows count too
Parts: TypeAlias = dict[str, Any]  # row numbers by the name of the part
RunPlace = Annotated[str, argument("A folder that `shoal fit` made, or its URL.", metavar="RUN")]


class Side(NamedTuple):
    """One of the runs: its letter, model, columns, record and settings, the last three where its folder has them."""

    name: str
    folder: ModelFolder
    schema: Any
    record: FitRecord | None
    settings: FitSettings | None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns of the model, where they have names."""
        return self.folder.columns if self.schema is None else self.schema.names

    def measure(self) -> dict[str, tuple[Any, ...]]:
        """What log p is relative to, by column: probabilities of words or of single values, or lengths."""
        columns = () if self.schema is None else self.schema.columns
        plain: dict[str, tuple[Any, ...]] = dict.fromkeys(self.columns or (), (False, False, ()))
        return plain | {
            c.name: (c.kind == "category", c.is_time, c.atoms) for c in columns if c.name in plain
        }


@command
def compare(
    first: RunPlace,
    second: RunPlace,
    data: Annotated[
        str | None,
        argument(
            "A CSV, Parquet, NPY or NPZ file, or its URL; the table of the first run without.",
            metavar="[DATA]",
        ),
    ] = None,
) -> None:
    """Say which model is better on the rows of DATA that neither was trained on: nats a row, with a standard error.

    Better means by more than 1.96 standard errors. Exit codes: 0 done, 2 bad input, 3 log p is not a number.
    """
    sides = (_side("A", first), _side("B", second))
    _check_columns(*sides)
    asked = data if data is not None else _own_table(sides[0])
    import numpy as np  # here and not above: `shoal --help` must not wait for it

    from shoal.cli import _model
    from shoal.cli._data import open_rows
    from shoal.selection import paired_difference
    from shoal.tables import Source, sampled
    from shoal.training import winsorised_mean

    rows = open_rows(asked)
    source = sampled(rows, LOOKED_AT)
    whole = isinstance(rows, Source)
    with fetched(asked) if whole and is_url(asked) else nullcontext(Path(asked)) as table:
        parts = [
            _by_cells(side, source) if _is_streamed(side) else _parts(side, table) if whole else None
            for side in sides
        ]
    if parts[0] is None and data is None:
        raise InputError(f"{asked} is not the table that {first} was fitted on, or not any more: give DATA.")
    index, words = _rows(sides, parts, asked, source.frame.height)
    weights = _weights(sides, source)
    if weights is not None:
        index = index[weights[index] > 0]
        weights = weights[index]
    logs = [_model.log_probs(side.folder, side.schema, source, index).astype(np.float64) for side in sides]
    loss = paired_difference(logs[0][None], logs[1][None], weights)
    means = [float(winsorised_mean(values, weights).value) for values in logs]
    _print(sides, means, asked, words)
    console = sized(None)
    for side, values in zip(sides, logs, strict=True):
        for count, what in ((np.isnan(values).sum(), "not a number"), (np.isneginf(values).sum(), "-inf")):
            if count:
                say(console, f"log p of {count} of {len(values)} rows is {what} under {side.name}.")
    if np.isnan(loss.mean):
        raise stop("Numerical failure: the difference is not a number.", NUMERICAL_FAILURE)
    say(console, verdict(loss.mean, loss.standard_error))


def verdict(mean: float, error: float) -> str:
    """Which is better, in a sentence; `mean` of A - B."""
    better = "A" if mean > 0 else "B"
    if math.isinf(mean):
        return f"{better} is better: the other gives no density to more than a thousandth of the rows."
    if mean == error == 0:
        return "The two are the same on these rows."
    places = 3 if not error else max(0, 1 - math.floor(math.log10(error)))  # two digits of the error
    shown = f"{abs(mean):.{places}f} ± {error:.{places}f} nats a row"
    if abs(mean) > TWO_SIDED * error:
        return f"{better} is better by {shown}."
    return f"The two are not told apart: {better} is ahead by {shown}."


def _side(name: str, run: str) -> Side:
    from shoal.cli._data import read_schema

    folder = find_model(run)
    try:
        record = read_run(folder.path)
        config = folder.path / CONFIG
        settings = read_record(config, FitSettings) if config.is_file() else None
    except InputError as error:
        typer.echo(f"{name}: {error}", err=True)
        record = settings = None
    return Side(name, folder, read_schema(folder), record, settings)


def _check_columns(a: Side, b: Side) -> None:
    """**Raises:** `InputError` where the two are no densities of the same thing."""
    if a.columns is None or b.columns is None:
        return
    from shoal.tables import join_names

    if set(a.columns) != set(b.columns):
        only = [
            f"{join_names(names)} in {side.folder.label} only"
            for side, other in ((a, b), (b, a))
            if (names := [name for name in side.columns or () if name not in (other.columns or ())])
        ]
        raise InputError(
            f"The runs model different columns ({'; '.join(only)}): their log p are not comparable."
        )
    ours, theirs = a.measure(), b.measure()
    for name in ours:
        if ours[name] != theirs[name]:
            raise InputError(
                f"The runs take column {name!r} for different things (a category, a date, numbers, values with a "
                "probability of their own): their log p are not comparable; fit one of them again with --kind."
            )


def _own_table(side: Side) -> str:
    source = "" if side.record is None else side.record.data.source
    if source and (is_url(source) or Path(source).exists()):
        return source
    found = f"its table {source} is not here" if source else "its record does not name its table"
    raise InputError(f"Give DATA, the table to compare on: of {side.folder.label} {found}.")


def _rows(sides: tuple[Side, Side], parts: list[Parts | None], data: str, rows: int) -> tuple[Any, str]:
    """The rows that count, and what they are, in words."""
    import numpy as np

    known = [one for one in parts if one is not None]
    for side, one in zip(sides, parts, strict=True):
        if one is None:
            words = f"Whether {side.folder.label} was trained on rows of {data} is not known; they count."
            typer.echo(words, err=True)
    if not known:
        return np.arange(rows), f"{rows} rows"
    test = reduce(np.intersect1d, [one["test"] for one in known])
    held = reduce(np.intersect1d, [np.concatenate([one["validation"], one["test"]]) for one in known])
    if not len(held):
        raise InputError(f"{data} has no row that neither run was trained on: give other DATA.")
    if len(test) >= FEWEST or len(test) == len(held):
        return test, f"{len(test)} test rows"
    return held, f"{len(held)} rows that were not trained on, validation rows among them"


def _weights(sides: tuple[Side, Side], source: Any) -> Any:
    """The weights of all rows, where both runs have them in the same column, which is in the table."""
    from shoal.tables import match_columns

    ours, theirs = (None if side.record is None else side.record.data.weights_column for side in sides)
    if ours is None or ours != theirs or ours not in source.names:
        return None
    return match_columns(source, [ours]).values[:, 0]


def _is_streamed(side: Side) -> bool:
    return side.record is not None and side.record.data.stream is not None


def _by_cells(side: Side, source: Any) -> Parts | None:
    """The rows of each part of a run whose table was read in pieces."""
    import numpy as np

    from shoal.selection import raw_rows
    from shoal.tables import Table, hashed_parts, match_columns

    settings, schema, context = side.settings, side.schema, side.folder.context_columns or ()
    if settings is None:
        return None
    names = side.columns or ()
    try:
        if schema is None or schema.is_plain:
            table = match_columns(source, names, context)
        else:
            encoded = schema.encode(source)
            beside = match_columns(source, context).values if context else None
            numbers = tuple(c.name for c in schema.continuous)
            table = Table(numbers, encoded.values, context, beside, schema=schema, codes=encoded.codes)
        raw, _ = raw_rows(table, np.arange(table.rows), settings.dtype)
    except InputError:  # no row of it can have been trained on
        return None
    part = hashed_parts(raw, settings.seed, settings.parts)
    return {name: np.flatnonzero(part == i) for i, name in enumerate(("train", "validation", "test"))}


def _parts(side: Side, data: Path) -> Parts | None:
    """The rows of each part of the run's split of a table; None unless it is the one that the run was fitted on."""
    import numpy as np

    from shoal.selection import prepare
    from shoal.tables import read_table

    settings, record = side.settings, side.record
    if settings is None or record is None:
        return None
    kinds = None if settings.dequantize == "off" else settings.kinds
    named = {name: getattr(settings, name) for name in ("columns", "drop", "context", "weights")}
    try:
        table = read_table(data, **named, kinds=kinds)
        made = prepare(
            table,
            seed=settings.seed,
            dequantize_columns=settings.dequantize == "auto",
            dtype=settings.dtype,
            parts=settings.parts,
        )
    except InputError:  # the run could not have been fitted on it
        return None
    was = record.data
    found = {name: len(part.rows) for name, part in made.parts.items()}
    if found != was.parts or list(table.names) != was.columns or len(made.mean) != len(was.means):
        return None
    same = np.abs(made.mean - was.means) <= 1e-9 * (np.abs(made.mean) + made.scale)
    same &= np.isclose(made.scale, was.scales, rtol=1e-9, atol=0.0)
    return {name: part.rows for name, part in made.parts.items()} if same.all() else None


def _print(sides: tuple[Side, Side], means: list[float], data: str, words: str) -> None:
    heads = ("", "run", "flow", "layers", "log p", "validation", "test", "κ 99 %", "seconds")
    title = f"Robust means of log p of {words} of {data}, nats per row, beside each run's own figures"
    made = empty_table(title, *heads, left=("", "run", "flow"))
    for side, mean in zip(sides, means, strict=True):
        run = Run(name="") if side.record is None else run_of(side.record, "")
        flow, *own = run.shown
        layers = "" if run.layers is None else str(run.layers)
        seconds = figure(run.seconds, ".0f")
        made.add_row(side.name, side.folder.label, flow, layers, figure(mean), *own, seconds)
    sized(None).print(made)
