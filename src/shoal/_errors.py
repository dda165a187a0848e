"""The two errors that Shoal raises on purpose.

Bad input is an `InputError`: one sentence that names what was found, where, and what to do (exit code 2).
Numerical failure is data; it is raised only where a caller asked for that (exit code 3).
"""


class InputError(ValueError):
    """Bad input. The message is one sentence."""


class NumericalFailure(RuntimeError):
    """A computation that did not stay finite, or did not converge, and was asked to say so."""
