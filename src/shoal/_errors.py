"""The errors that Shoal raises on purpose, and an error in one line.

Bad input is an `InputError`: one sentence that names what was found, where, and what to do (exit code 2).
Numerical failure is data; it is raised only where a caller asked for that (exit code 3). So is the loss of an executor.
"""


class InputError(ValueError):
    """Bad input. The message is one sentence."""


class NumericalFailure(RuntimeError):
    """A computation that did not stay finite, or did not converge, and was asked to say so."""


class WorkersLost(RuntimeError):
    """An executor that was lost with work in it. The message goes into a sentence; what was done by then is kept."""


def one_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop, as part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")[:300]
