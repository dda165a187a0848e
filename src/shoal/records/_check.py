"""The shape of a record: which keys it must have, and what they must hold.

Only what every reader relies on is checked: figures that were not computed may be null or absent.
"""

from collections.abc import Mapping
from typing import Any

from .._errors import InputError

FORMAT = 1
_REQUIRED: dict[str, tuple[str, ...]] = {"fit": ("data", "rungs", "decision")}
_STATUS = (
    *("finished", "stopped early", "unfinished", "diverged", "ill-conditioned"),
    *("interrupted", "not started", "closed form"),
)


def check_record(record: Any) -> None:
    """Checks that `record` is one that this version of Shoal can read.

    **Arguments:** `record`: what `shoal fit` made or `read_record` returned.

    **Raises:** `InputError`, one sentence, if it is not a dictionary, has another format number or kind, or lacks
    a key that every reader needs.
    """
    if not isinstance(record, Mapping):
        raise InputError(f"A record is a dictionary, got a {type(record).__name__}.")
    number = record.get("format")
    if number != FORMAT or isinstance(number, bool):
        raise InputError(
            f"The record has format {number!r}, this version of Shoal reads {FORMAT}; fit again with it."
        )
    kind = record.get("kind")
    if kind not in _REQUIRED:
        raise InputError(f"The record is of kind {kind!r}, known kinds are {', '.join(_REQUIRED)}.")
    for key in _REQUIRED[kind]:
        if key not in record:
            raise InputError(
                f"The record has no key {key!r}; it is damaged or was not written by `shoal fit`."
            )
    _check_data(record["data"])
    _check_rungs(record["rungs"])
    _check_decision(record["decision"], len(record["rungs"]))


def _check_data(data: Any) -> None:
    columns = data.get("columns") if isinstance(data, Mapping) else None
    if not isinstance(columns, (list, tuple)) or not all(isinstance(name, str) for name in columns):
        raise InputError("The record's data.columns must be a list of column names.")


def _check_rungs(rungs: Any) -> None:
    if not isinstance(rungs, (list, tuple)):
        raise InputError(f"The record's rungs must be a list, got a {type(rungs).__name__}.")
    for index, rung in enumerate(rungs):
        if not isinstance(rung, Mapping):
            raise InputError(
                f"The record's rungs[{index}] must be a dictionary, got a {type(rung).__name__}."
            )
        for key in ("name", "family", "depth", "status"):
            if key not in rung:
                raise InputError(f"The record's rungs[{index}] has no key {key!r}.")
        depth = rung["depth"]
        if not isinstance(depth, int) or isinstance(depth, bool) or depth < 0:
            raise InputError(
                f"The record's rungs[{index}].depth must be a whole number of at least 0, got {depth!r}."
            )
        if rung["status"] not in _STATUS:
            raise InputError(
                f"The record's rungs[{index}].status is {rung['status']!r}, known are {', '.join(_STATUS)}."
            )


def _check_decision(decision: Any, rungs: int) -> None:
    if not isinstance(decision, Mapping):
        raise InputError(f"The record's decision must be a dictionary, got a {type(decision).__name__}.")
    for key in ("chosen", "best", "kept"):
        index = decision.get(key)
        if index is None:
            continue
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < rungs:
            raise InputError(
                f"The record's decision.{key} is {index!r}, but there are {rungs} rungs (counted from 0)."
            )
