"""Where the commands print: tables of one width where the output is no terminal, and a spinner where it is one."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

WIDTH = 140  # where the output is no terminal


def sized(console: Console | None) -> Console:
    """The console, by default standard output."""
    console = console or Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


@contextmanager
def spinner(words: str, *, line: bool = False, console: Console | None = None) -> Iterator[None]:
    """A spinner on a terminal, on stderr; elsewhere one `line`, or nothing."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with console.status(words):
            yield
        return
    if line:
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    yield
