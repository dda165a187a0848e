"""Exit codes: 0 done, 2 bad input, 3 numerical failure, 130 Ctrl-C.

Each but the first comes with one sentence on stderr; 3 and 130 say what was kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from .._errors import InputError, NumericalFailure

BAD_INPUT = 2
NUMERICAL_FAILURE = 3
INTERRUPTED = 130


def stop(sentence: str, code: int) -> typer.Exit:
    """Writes `sentence` to stderr; raise what is returned."""
    typer.echo(sentence, err=True)
    return typer.Exit(code)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turns the errors of a command into its exit code and one sentence on stderr."""
    try:
        yield
    except InputError as error:
        raise stop(f"Error: {' '.join(str(error).split())}", BAD_INPUT) from error
    except NumericalFailure as error:
        raise stop(f"Numerical failure: {error}", NUMERICAL_FAILURE) from error
    except KeyboardInterrupt as error:
        raise stop("Interrupted: nothing was kept.", INTERRUPTED) from error
