"""`Request`: which columns a caller asked for, and the words of the command that would have worked.

An error about a table ends with something to type: a `shoal` command for a file, an expression for data in memory.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

LISTED = 12  # longer lists of columns are named by what to leave out


@dataclass(frozen=True)
class Request:
    """What was asked of the source called `label`. `command` is the command line up to the column options."""

    label: str
    kind: Literal["file", "frame", "array"]
    command: str = ""
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    weights: str | None = None

    def options(self) -> list[str]:
        """The column options of the command line, each with its value."""
        lists = {
            "--columns": self.columns or (),
            "--drop": self.drop,
            "--context": self.context,
            "--weights": () if self.weights is None else (self.weights,),
        }
        return [word for name, value in lists.items() if value for word in (name, join_names(value))]

    def line(self) -> str:
        """The whole command, quoted for a shell."""
        return f"`{' '.join([self.command, shlex.join(self.options())]).strip()}`"

    def renamed(self, old: str, new: str) -> str:
        """The command with the column name `old` replaced by `new`."""
        columns, drop, context = (
            tuple(dict.fromkeys(new if name == old else name for name in names))
            for names in (self.columns or (), self.drop, self.context)
        )
        weights = new if self.weights == old else self.weights
        return replace(self, columns=columns or None, drop=drop, context=context, weights=weights).line()

    def without(self, bad: Sequence[str], good: Sequence[str], *, listed: bool) -> str:
        """The command or expression that keeps the columns `good` and leaves out `bad`.

        **Arguments:** `listed`: name the columns to keep (`--columns`) where the list is short, rather than those to
        leave out (`--drop`).
        """
        if self.kind == "frame":
            return f"`data[{list(good)!r}]`" if len(good) <= LISTED else f"`data.drop(columns={list(bad)!r})`"
        if self.kind == "array":
            return "the array without that column"
        context = tuple(name for name in self.context if name not in bad)
        weights = None if self.weights in bad else self.weights
        kept = replace(self, context=context, weights=weights)
        outside = [name for name in bad if name not in self.context and name != self.weights]
        if not outside:
            return kept.line()
        if (listed or self.columns is not None) and len(good) <= LISTED:
            return replace(kept, columns=tuple(good), drop=()).line()
        if self.columns is not None:
            return replace(kept, columns=tuple(good)).line()
        return replace(kept, drop=(*self.drop, *outside)).line()


def join_names(names: Sequence[str]) -> str:
    """Joins column names by commas; a name that holds a comma or a quote is quoted as in a CSV file."""
    return ",".join(
        f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set(',"') else name for name in names
    )


def shown(value: object) -> str:
    """A found value as it is quoted in a sentence: text in quotes, control characters escaped, shortened."""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    if isinstance(value, pl.Series):  # a cell of a column of lists
        value = value.to_list()
    text = repr(value) if isinstance(value, (str, bytes)) else str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"
