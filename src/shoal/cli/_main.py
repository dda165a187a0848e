"""The application: its commands, `--version`, and the one place where the process exits."""

import sys
from typing import Annotated

import typer

from shoal import __version__
from shoal.cli._advise import advise
from shoal.cli._audit import audit
from shoal.cli._bound import bound
from shoal.cli._compare import compare
from shoal.cli._construct import construct
from shoal.cli._export import export
from shoal.cli._factor import factor
from shoal.cli._fit import fit
from shoal.cli._runs import runs
from shoal.cli._sample import sample
from shoal.cli._score import score
from shoal.cli._session import BAD_INPUT

app = typer.Typer(
    name="shoal",
    help="Shallow, well-conditioned normalizing flows: a table in, a density out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for each in (fit, sample, score, runs, compare, export, factor, audit, construct, bound, advise):
    app.command()(each)


def _version(value: bool) -> bool:
    if value:
        typer.echo(f"shoal {__version__}")
        raise typer.Exit
    return value


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # its callback has shown it and ended the program


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    try:
        code = app(prog_name="shoal", standalone_mode=False)
    except Exception as error:
        sentence = getattr(error, "format_message", None)  # an unknown option or a missing argument
        if sentence is None:
            raise
        typer.echo(f"Error: {sentence()}", err=True)
        typer.echo("Type `shoal --help`, or `shoal COMMAND --help`, to see what there is.", err=True)
        code = BAD_INPUT
    sys.exit(code)
