"""`shoal study`: the registered studies: what there is, run, show, and check their smoke grids."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import shoal

from ._exit import INTERRUPTED, NUMERICAL_FAILURE, exit_codes, stop
from ._progress import Event, shown_events
from ._study_summary import print_differences, print_list, print_summary

study = typer.Typer(
    help="Studies: grids of trainings with stored figures.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="As `shoal study list` has it.", show_default=False)
]
Results = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder of the records NAME.jsonl; by default `results` in the current directory.",
        show_default=False,
    ),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="The small grid that takes seconds, in place of the whole one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
HERE = Path("results")


@study.command("list")
def list_studies(results: Results = HERE) -> None:
    """Name, cells done and all cells, and title of each study."""
    with exit_codes():
        found = shoal.studies.studies()
        print_list([(s, shoal.studies.read_records(s, results)) for s in found])


@study.command()
def run(
    name: Name,
    results: Results = HERE,
    smoke: Smoke = False,
    retry: Annotated[bool, typer.Option("--retry", help="Run cells again that failed.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run the cells of a study that are not done yet; each is recorded as soon as it ends.

    Exit codes: 0 all done, 2 bad input, 3 some cells failed (their reasons are recorded), 130 interrupted: what was done is
    kept, and the same command goes on.
    """
    with exit_codes():
        chosen = shoal.studies.find(name)
        cells = chosen.smoke if smoke else chosen.cells
        try:
            with _shown(quiet) as progress:
                found = shoal.studies.run(chosen, results, smoke=smoke, retry=retry, progress=progress)
        except KeyboardInterrupt as error:
            done = shoal.studies.tally(cells, shoal.studies.read_records(chosen, results)).done
            raise stop(
                f"Interrupted: {done} of {len(cells)} cells are done and kept in {results}/{name}.jsonl; go on with "
                f"`{_command(name, results, smoke=smoke, retry=retry)}`.",
                INTERRUPTED,
            ) from error
        typer.echo(f"{found.done} of {found.total} cells are done; the records lie at {results}/{name}.jsonl")
        if found.failed:
            raise stop(
                f"Numerical failure: {found.failed} of {found.total} cells failed, their reasons are recorded; run them "
                f"again with `{_command(name, results, smoke=smoke, retry=True)}`.",
                NUMERICAL_FAILURE,
            )


@study.command()
def show(name: Name, results: Results = HERE, smoke: Smoke = False) -> None:
    """Medians of the figures over seeds, with their range, from the records."""
    with exit_codes():
        chosen = shoal.studies.find(name)
        print_summary(chosen, shoal.studies.read_records(chosen, results), smoke=smoke)


@study.command()
def check(
    name: Name,
    results: Results = HERE,
    whole: Annotated[
        bool, typer.Option("--whole", help="Every cell that is done, which takes as long as it took to run.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run the smoke grid again and compare it with its stored figures; nothing is written.

    Exit codes: 0 all within their error bars, 2 bad input, 3 figures outside, which are shown, 130 interrupted.
    """
    with exit_codes():
        chosen = shoal.studies.find(name)
        with _shown(quiet) as progress:
            found = shoal.studies.check(chosen, results, whole=whole, progress=progress)
        if found:
            print_differences(found)
            raise stop(
                f"Numerical failure: {len(found)} stored figures of {name} are not reproduced within their error bars; "
                "nothing was written.",
                NUMERICAL_FAILURE,
            )
        if whole:
            records = shoal.studies.read_records(chosen, results)
            done = shoal.studies.tally(chosen.cells, records).done
            typer.echo(f"{done} cells of {name} are as stored, within their error bars.")
        else:
            typer.echo(f"{len(chosen.smoke)} smoke cells of {name} are as stored, within their error bars.")


@contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Event], None]]:
    with shown_events("cell", lambda event: str(event["words"]), _finished, quiet=quiet) as draw:
        yield draw


def _finished(event: Event) -> str:
    """One line on a finished cell."""
    reason = f" ({event['reason']})" if event.get("reason") else ""
    return f"{event['words']}: {event['status']}{reason}"


def _command(name: str, results: Path, **flags: Any) -> str:
    words = ["shoal", "study", "run", name]
    if results != HERE:
        words += ["--results", str(results)]
    return shlex.join([*words, *(f"--{flag}" for flag, on in flags.items() if on)])
