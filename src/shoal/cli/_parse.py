"""From the words of the command line to values; what can not be read is an `InputError` that says what could."""

import csv
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shoal._errors import InputError

Choice = TypeVar("Choice", bound=str)
TABLES = (".csv", ".parquet")  # that rows are written to
COLUMN_OPTIONS = ("columns", "drop", "context", "weights")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def parse_names(text: str | None, option: str) -> tuple[str, ...]:
    """Column names separated by commas; a name that holds a comma stands in double quotes."""
    if text is None:
        return ()
    row = next(csv.reader([text], skipinitialspace=True), [])
    names = tuple(name.strip() for name in row)
    if not names or not all(names):
        raise InputError(
            f"{option} {text!r} has an empty name; give names separated by commas, such as {option} a,b."
        )
    return names


def parse_columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that choose columns, as arguments of `shoal.tables.read_table`."""
    columns, drop, context, weights = (parse_names(given.get(name), f"--{name}") for name in COLUMN_OPTIONS)
    if len(weights) > 1:
        raise InputError(f"--weights names {len(weights)} columns; name one.")
    return {
        "columns": columns or None,
        "drop": drop,
        "context": context,
        "weights": weights[0] if weights else None,
    }


def parse_kinds(text: str | None, option: str) -> dict[str, str]:
    """Kinds of columns, such as a=category,b=date, by the columns' names."""
    kinds = {}
    for word in parse_names(text, option):
        name, sign, kind = word.rpartition("=")
        if not sign or not name or not kind:
            raise InputError(
                f"{option} {word!r} is no kind of a column; give it as {option} column=category."
            )
        kinds[name] = kind
    return kinds


def parse_choices(text: str, option: str, known: Sequence[str]) -> tuple[str, ...]:
    """Distinct words out of `known`, separated by commas."""
    words = parse_names(text, option)
    for word in words:
        if word not in known:
            raise InputError(f"{option} names {word!r}, which is none of {', '.join(known)}.")
    return tuple(dict.fromkeys(words))


def parse_choice(text: str, option: str, known: Sequence[Choice]) -> Choice:
    """One word out of `known`."""
    for word in known:
        if word == text:
            return word
    raise InputError(f"{option} is {text!r}; it must be one of {', '.join(known)}.")


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, separated by commas."""
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,8}", word) for word in words):
        raise InputError(
            f"{option} {text!r} must be whole numbers of at least 1, separated by commas, such as 1,2,4."
        )
    return tuple(int(word) for word in words)


def parse_shares(text: str, option: str) -> tuple[float, float, float]:
    """Three shares, such as 80,10,10, scaled to sum to 1; the last may be 0."""
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or not all(0 <= s < math.inf for s in shares) or min(shares[:2]) <= 0:
        raise InputError(
            f"{option} {text!r} must be the shares of training, validation and test rows, such as 80,10,10 or 90,10,0."
        )
    train, validation, test = (s / sum(shares) for s in shares)
    return train, validation, test


def parse_seconds(text: str, option: str) -> float:
    """A time such as 90s, 5m, 1h or 1h30m, in seconds."""
    number = r"(\d+(?:\.\d*)?)"
    match = re.fullmatch(f"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip().lower())
    parts = match.groups() if match else (None, None, None)
    seconds = sum(float(part) * unit for part, unit in zip(parts, _UNITS.values(), strict=True) if part)
    if seconds <= 0:
        raise InputError(
            f"{option} {text!r} is not a time; give a number with its unit, such as 90s, 5m or 1h30m."
        )
    return seconds


def check_count(value: int, option: str, least: int = 1) -> int:
    """Returns `value` if it is at least `least`."""
    if not least <= value < 2**63:
        raise InputError(f"{option} must be a whole number of at least {least}; got {value}.")
    return value


def check_at_least(value: float, option: str, bound: float) -> float:
    """Returns `value` if it is finite and at least `bound`."""
    if not (math.isfinite(value) and value >= bound):
        raise InputError(f"{option} must be a finite number of at least {bound:g}; got {value:g}.")
    return value


def check_above(value: float, option: str, bound: float = 0.0) -> float:
    """Returns `value` if it is finite and above `bound`."""
    if not (math.isfinite(value) and value > bound):
        raise InputError(f"{option} must be a finite number above {bound:g}; got {value:g}.")
    return value


def check_output(path: Path, option: str, suffixes: Sequence[str] | None, data: str | None) -> None:
    """**Raises:** `InputError` unless `path` has one of `suffixes`, its folder takes files, and it is not the input.

    No `suffixes`: it is a folder that is to be made, and that there is not yet.
    """
    if suffixes is None:
        if path.exists():
            raise InputError(f"{option} {path} is there already; name a new folder, or move it away.")
    elif path.suffix.lower() not in suffixes:
        found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise InputError(f"{option} {path} has {found}; name a file that ends in {' or '.join(suffixes)}.")
    elif path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file to write.")
    if not path.parent.is_dir():
        raise InputError(
            f"{option} {path} can not be written: there is no folder {path.parent}; make it first."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path} can not be written: the folder {path.parent} is not writable.")
    if data is not None and path.exists() and Path(data).exists() and path.samefile(data):
        raise InputError(f"{option} {path} is the input itself; name another file.")
