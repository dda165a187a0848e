"""What every command stands in: exit codes, its own command line, the console, JAX's 64-bit switch.

Exit codes: 0 done, 2 bad input, 3 numerical failure, 130 Ctrl-C. Each but the first comes with one sentence on stderr; 3
and 130 say what was kept.
"""

import functools
import inspect
import shlex
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from shoal._errors import InputError, NumericalFailure, WorkersLost

BAD_INPUT = 2
NUMERICAL_FAILURE = 3
INTERRUPTED = 130
WIDTH = 140  # of tables, where the output is no terminal


@dataclass(frozen=True)
class Call:
    """One call of a command; `given`: its options under their names, as the command line has them."""

    function: Callable[..., None]
    given: Mapping[str, Any]

    def line(self, *without: str) -> str:
        """The command line, with the options that are not at their default, but those named in `without`."""
        arguments, options = list[str](), list[str]()
        for name, parameter in _parameters(self.function).items():
            value, info = self.given[name], parameter.annotation.__metadata__[0]
            if name in without or value is None or value == parameter.default:
                continue
            text = f"{value:g}" if isinstance(value, float) else str(value)
            if isinstance(info, typer.models.ArgumentInfo):
                arguments.append(text)
            else:
                written = (word for word in info.param_decls or () if word.startswith("--"))
                option = next(written, f"--{name.replace('_', '-')}")
                options += [option] if value is True else [option, text]
        return shlex.join(["shoal", self.function.__name__, *arguments, *options])


def command(function: Callable[..., None]) -> Callable[..., None]:
    """The function as a command: its errors become an exit code and one sentence on stderr.

    A first parameter `call` is not an option: it gets the `Call`.
    """

    @functools.wraps(function)
    def run(**given: object) -> None:
        first = [Call(function, given)] if "call" in inspect.signature(function).parameters else []
        try:
            function(*first, **given)
        except InputError as error:
            raise stop(f"Error: {' '.join(str(error).split())}", BAD_INPUT) from error
        except NumericalFailure as error:
            raise stop(f"Numerical failure: {error}", NUMERICAL_FAILURE) from error
        except WorkersLost as error:
            raise stop(f"Workers lost: {error}; nothing was kept.", NUMERICAL_FAILURE) from error
        except KeyboardInterrupt as error:
            raise stop("Interrupted: nothing was kept.", INTERRUPTED) from error

    options = list(_parameters(function).values())
    run.__signature__ = inspect.Signature(options)  # pyright: ignore[reportAttributeAccessIssue]  (what typer reads)
    return run


def _parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """The options of a command."""
    return {name: p for name, p in inspect.signature(function).parameters.items() if name != "call"}


def option(
    text: str, *names: str, metavar: str | None = None, panel: str | None = None
) -> typer.models.OptionInfo:
    """What `Annotated` says of an option; `names` where they are not the parameter's."""
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel)


def argument(text: str, *, metavar: str) -> typer.models.ArgumentInfo:
    """The same of an argument."""
    return typer.Argument(help=text, metavar=metavar, show_default=False)


def stop(sentence: str, code: int) -> typer.Exit:
    """Writes `sentence` to stderr; raise what is returned."""
    typer.echo(sentence, err=True)
    return typer.Exit(code)


def sized(console: Console | None) -> Console:
    """The console, by default standard output."""
    console = console or Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


def say(console: Console, *lines: str) -> None:
    """Prints lines as they are."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(title: str, *heads: str, left: tuple[str, ...] = ("",), **style: Any) -> Table:
    """An empty table; the columns named in `left` are set flush left, the others, figures, flush right."""
    made = Table(title=title, title_justify="left", **style)
    for head in heads:
        made.add_column(head, justify="left" if head in left else "right", overflow="fold")
    return made


@contextmanager
def spinner(words: str, *, line: bool = False, console: Console | None = None) -> Generator[None, None, None]:
    """A spinner on a terminal, on stderr; elsewhere one `line`, or nothing."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with console.status(words):
            yield
        return
    if line:
        say(console, words)
    yield


@contextmanager
def float64(on: bool) -> Generator[None, None, None]:
    """Switches float64 on, in every thread, for the length of the scope; does nothing unless `on`.

    A program may set JAX's switch for itself, as a library may not.
    """
    if not on:
        yield
        return
    import jax  # here and not above: `shoal --help` must not wait for it

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
