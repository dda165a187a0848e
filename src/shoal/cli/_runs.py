"""`shoal runs`: the runs in a folder, one line each, from their records."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.table import Table

from shoal._errors import InputError
from shoal._remote import fetch_folder, is_url, local_place, names_in
from shoal.cli._mirror import CONFIG, UNFINISHED
from shoal.cli._session import argument, command, option, say, sized
from shoal.cli._session import table as empty_table
from shoal.cli._settings import FitSettings
from shoal.records import RECORD, FitRecord, read_record, read_run, to_plain


class Run(Struct, frozen=True, kw_only=True):
    """What is said of a run. Log-likelihoods in nats a row; `condition`: 99 % κ; `chosen`: by the rule, not just kept."""

    name: str
    unfinished: bool = False
    data: str = ""
    rows: int | None = None
    columns: int | None = None
    flow: str = ""
    family: str = ""
    front: str = ""
    layers: int | None = None
    chosen: bool = False
    validation: float | None = None
    test: float | None = None
    condition: float | None = None
    created: str = ""
    seconds: float | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """The delivered flow and its figures, as a table has them."""
        flow = self.flow + ("" if self.chosen or not self.flow else " (not chosen)")
        return (flow, *(figure(n) for n in (self.validation, self.test)), figure(self.condition, ".3g"))


@command
def runs(
    folder: Annotated[str, argument("A folder with runs in it, or its URL.", metavar="FOLDER")] = ".",
    as_json: Annotated[bool, option("Print one JSON list instead.", "--json")] = False,
) -> None:
    """List the runs in FOLDER: data, the flow that was delivered, log-likelihoods, condition number, when.

    FOLDER itself and the folders in it are looked at. Exit codes: 0 done, 2 bad input.
    """
    found, damaged = find_runs(folder)
    for sentence in damaged:
        typer.echo(sentence, err=True)
    if as_json:
        typer.echo(json.dumps(to_plain(found), ensure_ascii=False))
        return
    console = sized(None)
    if found:
        console.print(runs_table(found))
    else:
        say(console, f"No run lies in {folder}.")


def find_runs(folder: str) -> tuple[list[Run], list[str]]:
    """The runs in a folder, by name, and a sentence about each that can not be read.

    **Raises:** `InputError` if there is no such folder.
    """
    here = local_place(folder) if is_url(folder) else Path(folder)
    if here is not None:
        if not here.is_dir():
            raise InputError(f"{folder} is no folder; name one with runs in it.")
        return _runs_in(here, folder)
    copy = Path(tempfile.mkdtemp(prefix="shoal-"))
    try:
        _fetch_records(folder.rstrip("/"), copy)
        found, damaged = _runs_in(copy, folder)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return found, [sentence.replace(str(copy), folder.rstrip("/")) for sentence in damaged]


def _fetch_records(url: str, copy: Path) -> None:
    def wanted(name: str) -> bool:
        *folders, file = name.split("/")
        last = folders[-1] if folders else url
        return len(folders) < 2 and (file == RECORD or (file == CONFIG and last.endswith(UNFINISHED)))

    fetch_folder(url, copy, wanted)
    if not any(copy.iterdir()) and not names_in(url):
        raise InputError(f"{url} is no folder; name one with runs in it.")


def _runs_in(folder: Path, label: str) -> tuple[list[Run], list[str]]:
    found, damaged = list[Run](), list[str]()
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        name = label if place == folder else place.name
        try:
            one = _run_of(place, name)
        except (InputError, OSError) as error:
            damaged.append(f"{name} is left out: {error}")
        else:
            found += [] if one is None else [one]
    return found, damaged


def _run_of(folder: Path, name: str) -> Run | None:
    """What lies in a folder; None where it is no run."""
    unfinished = name.rstrip("/").endswith(UNFINISHED)
    record = read_run(folder)
    if record is not None:
        return run_of(record, name, unfinished=unfinished)
    if unfinished and (folder / CONFIG).is_file():
        return Run(name=name, unfinished=True, data=read_record(folder / CONFIG, FitSettings).data)
    return None


def run_of(record: FitRecord, name: str, *, unfinished: bool = False) -> Run:
    """The line of a record."""
    data, rung, test = record.data, record.delivered, record.test
    run = Run(
        name=name,
        unfinished=unfinished,
        data=data.source,
        rows=data.rows,
        columns=len(data.columns),
        test=None if test is None else test.log_likelihood,
        created=record.created,
        seconds=record.seconds,
    )
    if rung is None:
        return run
    return replace(
        run,
        flow=rung.name,
        family=rung.family,
        front=rung.front,
        layers=rung.depth,
        chosen=record.decision.chosen == record.decision.kept,
        validation=rung.validation_log_likelihood,
        condition=None if rung.condition is None else rung.condition.q99,
    )


def runs_table(found: list[Run]) -> Table:
    """One row a run."""
    heads = ("run", "data", "rows", "columns", "flow", "validation", "test", "κ 99 %", "when", "seconds")
    made = empty_table("Runs: log-likelihoods in nats per row", *heads, left=("run", "data", "flow", "when"))
    for run in found:
        flow, *figures = run.shown
        when, _, clock = run.created.partition("T")
        made.add_row(
            run.name,
            run.data,
            "" if run.rows is None else f"{run.rows:,d}",
            "" if run.columns is None else str(run.columns),
            flow if flow or not run.unfinished else "unfinished",
            *figures,
            f"{when} {clock[:5]}",
            figure(run.seconds, ".0f"),
        )
    return made


def figure(value: float | None, form: str = ".3f") -> str:
    """A number in words; none where it was not measured."""
    return "" if value is None else format(value, form)
