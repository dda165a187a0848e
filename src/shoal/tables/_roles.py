"""Which columns are modelled, which are context, which holds weights; unknown and repeated names."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .._errors import InputError
from ._request import LISTED, Request, join_names
from ._source import Source


@dataclass(frozen=True)
class Roles:
    """Positions in `Source.names`: the modelled columns, the context columns, the column of weights."""

    values: tuple[int, ...]
    context: tuple[int, ...]
    weights: int | None

    def all(self) -> tuple[int, ...]:
        """Every column that is used, modelled ones first."""
        return (*self.values, *self.context, *(() if self.weights is None else (self.weights,)))


def choose_roles(source: Source, request: Request) -> Roles:
    """Gives each asked name its position.

    Without `columns`, every column is modelled that is not dropped, context or weights.

    **Raises:** `InputError` for a name that the source does not have, has twice, or that is asked for in two roles;
    and if no column is left.
    """
    weights = () if request.weights is None else (request.weights,)
    asked = {
        "--columns": request.columns or (),
        "--drop": request.drop,
        "--context": request.context,
        "--weights": weights,
    }
    for option, names in asked.items():
        check_names(source, names, option if source.kind == "file" else "names", request)
    _check_apart(source, asked)
    taken = {*request.drop, *request.context, *weights}
    wanted = request.columns if request.columns is not None else dict.fromkeys(source.names)
    names = tuple(name for name in wanted if name not in taken)
    if not names:
        raise InputError(
            f"{source.label}: no column is left to model out of {_listed(source.names)}; "
            f"leave fewer out than with `{' '.join(request.options())}`."
        )
    _check_repeated(source, request, names)
    where = {name: i for i, name in reversed(list(enumerate(source.names)))}
    values, context = tuple(where[name] for name in names), tuple(where[name] for name in request.context)
    return Roles(values, context, None if request.weights is None else where[request.weights])


def check_names(source: Source, names: Sequence[str], option: str, request: Request | None = None) -> None:
    """Raises `InputError` if `source` has no column of one of `names`, or two.

    **Arguments:** `option`: where the names come from. `request`: what the message repeats with the closest name.
    """
    for name in names:
        count = source.names.count(name)
        if count == 0:
            raise InputError(
                f"{source.label} has no column {name!r}, named by {option}{_close(name, source, request)}"
            )
        if count > 1 and option != "--drop":
            raise InputError(
                f"{source.label} has {count} columns {name!r}, named by {option}; rename all but one."
            )


def _check_apart(source: Source, asked: dict[str, Sequence[str]]) -> None:
    seen: dict[str, str] = {}
    for option, names in asked.items():
        for name in names:
            if name in seen and {option, seen[name]} != {"--columns", "--drop"}:
                where = f"twice by {option}" if seen[name] == option else f"by {seen[name]} and by {option}"
                raise InputError(f"{source.label}: column {name!r} is named {where}; name it once.")
            seen[name] = option


def _check_repeated(source: Source, request: Request, names: Sequence[str]) -> None:
    counts = Counter(source.names)
    bad = [name for name in names if counts[name] > 1 or not name]
    if not bad:
        return
    good = [name for name in names if name not in bad]
    cure = f", or use {request.without(bad, good, listed=True)}" if good and source.kind == "file" else ""
    if bad[0]:
        places = " and ".join(str(i + 1) for i, name in enumerate(source.names) if name == bad[0])
        raise InputError(f"{source.label}: columns {places} are both called {bad[0]!r}; rename one{cure}.")
    place = source.names.index("") + 1
    raise InputError(
        f"{source.label}: column {place} has no name, as an index saved with the table; name it{cure}."
    )


def _close(name: str, source: Source, request: Request | None) -> str:
    known = {other.strip().lower(): other for other in reversed(source.names) if other}
    matches = [known[match] for match in difflib.get_close_matches(name.strip().lower(), known, 3)]
    if not matches:
        return f"; its columns are {_listed(source.names)}."
    command = (
        f", as in {request.renamed(name, matches[0])}"
        if request is not None and source.kind == "file"
        else ""
    )
    return f"; did you mean {' or '.join(repr(match) for match in matches)}{command}?"


def _listed(names: Sequence[str]) -> str:
    return join_names(names[:LISTED]) + (f",... ({len(names)} in all)" if len(names) > LISTED else "")
