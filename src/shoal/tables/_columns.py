"""Which columns are modelled, which are context, which holds weights; and errors about them, in the words of the asker.

An error about columns is a sentence with places: the argument that names came from, and the choice of columns that would
work. Here they are worded as arguments of a Python call; the command line words them as its options.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shoal._errors import InputError
from shoal.tables._source import Source

LISTED = 12  # longer lists of columns are named by what to leave out


@dataclass(frozen=True)
class Argument:
    """The name of an argument of `read_table`."""

    name: str


@dataclass(frozen=True)
class Columns:
    """Columns that are asked for, by name; `columns` None: all that are named nowhere else."""

    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    weights: str | None = None

    def named(self) -> dict[str, tuple[str, ...]]:
        """The names by the argument that gave them, where it gave any."""
        weights = () if self.weights is None else (self.weights,)
        given = {
            "columns": self.columns or (),
            "drop": self.drop,
            "context": self.context,
            "weights": weights,
        }
        return {name: values for name, values in given.items() if values}

    def renamed(self, old: str, new: str) -> "Columns":
        """The same with the name `old` replaced by `new`."""
        swapped = lambda names: tuple(dict.fromkeys(new if name == old else name for name in names))
        columns = None if self.columns is None else swapped(self.columns)
        weights = new if self.weights == old else self.weights
        return Columns(columns, swapped(self.drop), swapped(self.context), weights)

    def without(self, bad: Sequence[str], good: Sequence[str], *, listed: bool) -> "Columns":
        """The choice that keeps the columns `good` and leaves out `bad`.

        **Arguments:** `listed`: name the columns to keep where the list is short, rather than those to leave out.
        """
        context = tuple(name for name in self.context if name not in bad)
        kept = replace(self, context=context, weights=None if self.weights in bad else self.weights)
        if self.columns is not None and not set(bad) & set(self.columns):
            return kept
        if self.columns is not None or (listed and good and len(good) <= LISTED):
            return replace(kept, columns=tuple(good), drop=())
        return replace(
            kept, drop=(*self.drop, *bad)
        )  # also those that would be modelled once they have no other role


class ColumnsError(InputError):
    """Columns that can not be used as they were asked for: a sentence in `parts`, of which some are left to be worded."""

    def __init__(self, *parts: str | Argument | Columns):
        self.parts = parts
        InputError.__init__(self, self.worded(_as_python))

    def worded(self, words: Callable[[Argument | Columns], str]) -> str:
        """The sentence, with `words` for an argument and for a choice of columns."""
        return "".join(part if isinstance(part, str) else words(part) for part in self.parts)


class UnfitColumn(InputError):
    """One column that can not be modelled: what was `found` in it, and a `cure` other than to leave it out."""

    def __init__(self, column: str, found: str, cure: str):
        self.column, self.found, self.cure = column, found, cure
        InputError.__init__(self, f"{found}; {cure}.")


def _as_python(part: Argument | Columns) -> str:
    if isinstance(part, Argument):
        return f"`{part.name}`"
    named = {
        name: repr(names[0] if name == "weights" else list(names)) for name, names in part.named().items()
    }
    words = ", ".join(f"{name}={value}" for name, value in named.items())
    return f"`{words}`" if words else "all columns"


def join_names(names: Sequence[str]) -> str:
    """Joins column names by commas; a name that holds a comma or a quote is quoted as in a CSV file."""
    return ",".join(
        f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set(',"') else name for name in names
    )


@dataclass(frozen=True)
class Roles:
    """Positions in `Source.names`: the modelled columns, the context columns, the column of weights.

    `elsewhere`: columns that are modelled, but read otherwise.
    """

    values: tuple[int, ...]
    context: tuple[int, ...]
    weights: int | None
    elsewhere: tuple[int, ...] = ()

    def all(self) -> tuple[int, ...]:
        """Every column that is used, modelled ones first."""
        return (*self.values, *self.context, *(() if self.weights is None else (self.weights,)))


def choose_roles(source: Source, asked: Columns) -> Roles:
    """Gives each asked name its position.

    Without `columns`, every column is modelled that is not dropped, context or weights.

    **Raises:** `ColumnsError` for a name that the source does not have, has twice, or that is asked for in two roles;
    and if no column is left.
    """
    named = asked.named()
    for argument, names in named.items():
        check_names(source, names, Argument(argument), asked)
    _check_apart(source, named)
    taken = {*asked.drop, *asked.context, asked.weights}
    wanted = asked.columns if asked.columns is not None else dict.fromkeys(source.names)
    names = tuple(name for name in wanted if name not in taken)
    if not names:
        listed = _listed(source.names)
        raise InputError(f"{source.label}: no column is left to model out of {listed}; leave out fewer.")
    _check_repeated(source, asked, names)
    where = {name: i for i, name in reversed(list(enumerate(source.names)))}
    values, context = tuple(where[name] for name in names), tuple(where[name] for name in asked.context)
    return Roles(values, context, None if asked.weights is None else where[asked.weights])


def check_names(
    source: Source, names: Sequence[str], by: Argument | str, asked: Columns | None = None
) -> None:
    """Raises `ColumnsError` if `source` has no column of one of `names`, or two.

    **Arguments:** `by`: where the names come from. `asked`: what the message repeats with the closest name.
    """
    for name in names:
        count = source.names.count(name)
        if count == 0:
            found = f"{source.label} has no column {name!r}, named by "
            raise ColumnsError(found, by, *_close(name, source, asked))
        if count > 1 and by != Argument("drop"):
            raise ColumnsError(
                f"{source.label} has {count} columns {name!r}, named by ", by, "; rename all but one."
            )


def _check_apart(source: Source, named: dict[str, tuple[str, ...]]) -> None:
    seen: dict[str, str] = {}
    for argument, names in named.items():
        for name in names:
            if name in seen and {argument, seen[name]} != {"columns", "drop"}:
                twice = (
                    ("twice by ",) if seen[name] == argument else ("by ", Argument(seen[name]), " and by ")
                )
                found = f"{source.label}: column {name!r} is named "
                raise ColumnsError(found, *twice, Argument(argument), "; name it once.")
            seen[name] = argument


def _check_repeated(source: Source, asked: Columns, names: Sequence[str]) -> None:
    counts = Counter(source.names)
    bad = [name for name in names if counts[name] > 1 or not name]
    if not bad:
        return
    good = [name for name in names if name not in bad]
    cure = (", or use ", asked.without(bad, good, listed=True)) if good and source.kind == "file" else ()
    if bad[0]:
        places = " and ".join(str(i + 1) for i, name in enumerate(source.names) if name == bad[0])
        found = f"columns {places} are both called {bad[0]!r}; rename one"
    else:
        place = source.names.index("") + 1
        found = f"column {place} has no name, as an index saved with the table; name it"
    raise ColumnsError(f"{source.label}: {found}", *cure, ".")


def _close(name: str, source: Source, asked: Columns | None) -> tuple[str | Columns, ...]:
    known = {other.strip().lower(): other for other in reversed(source.names) if other}
    matches = [known[match] for match in difflib.get_close_matches(name.strip().lower(), known, 3)]
    if not matches:
        return (f"; its columns are {_listed(source.names)}.",)
    meant = f"; did you mean {' or '.join(repr(match) for match in matches)}"
    if asked is None or source.kind != "file":
        return (meant, "?")
    return (f"{meant}, as in ", asked.renamed(name, matches[0]), "?")


def _listed(names: Sequence[str]) -> str:
    return join_names(names[:LISTED]) + (f",... ({len(names)} in all)" if len(names) > LISTED else "")
