"""The records of a study: `<name>.jsonl`, one JSON line a run of a cell, only ever appended to.

A line is written and flushed to the disk in one piece. One that was torn by a kill is passed over by the reader and
closed by the next writer. Of several lines about one configuration the last one counts.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from shoal._errors import InputError
from shoal.records import held, to_plain
from shoal.studies._base import Cell, Study

Status: TypeAlias = Literal["done", "failed", "interrupted"]
FORMAT = 1
_NEEDED = {"hash": str, "cell": str, "status": str, "config": dict, "figures": dict}


@dataclass(frozen=True)
class Records:
    """What a file of records holds: `latest`, the last record of each configuration by its hash; `lines`, the number of
    records; `damaged`, the number of unparsable lines.
    """

    latest: Mapping[str, Mapping[str, Any]]
    lines: int
    damaged: int

    def status(self, cell: Cell) -> Status | None:
        """How the last run of the cell ended; None where there was none."""
        found = self.latest.get(cell.hash)
        return None if found is None else found["status"]

    def figures(self, cell: Cell) -> Mapping[str, Any] | None:
        """The figures of the cell; None unless it is done."""
        return self.latest[cell.hash]["figures"] if self.status(cell) == "done" else None


def place(study: Study, folder: str | os.PathLike[str]) -> Path:
    """Where the records of the study lie."""
    return Path(folder) / f"{study.name}.jsonl"


def read_records(study: Study, folder: str | os.PathLike[str]) -> Records:
    """The records of the study in `folder`; none where there is no file.

    **Raises:** `InputError` for a file that can not be read, or a record of a later version of Shoal.
    """
    path = place(study, folder)
    try:
        raw = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror or error}.") from error
    latest, lines, damaged = {}, 0, 0
    for line in raw.split(b"\n"):
        if not line.strip():
            continue
        record = _parsed(line)
        if record is None:
            damaged += 1
            continue
        if record.get("format") != FORMAT:
            raise InputError(
                f"{path} has a record of format {record.get('format')!r}, this version of Shoal reads {FORMAT}; "
                "name another folder by --results, or upgrade."
            )
        if record.get("study") != study.name:
            damaged += 1
            continue
        lines += 1
        latest[record["hash"]] = record
    return Records(latest, lines, damaged)


@contextmanager
def appending(study: Study, folder: str | os.PathLike[str]) -> Iterator[Any]:
    """Yields a function that appends one record; the file is this process's alone for as long.

    **Raises:** `InputError` where the folder can not be made or written, or another run of the study holds the file.
    """
    path = place(study, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed below, whatever happens)
    except OSError as error:
        raise InputError(
            f"{path} can not be written: {error.strerror or error}; name another folder by --results."
        ) from error
    refusal = (
        f"Another `shoal study run` is at work on {path}; wait for it, or name another folder by --results."
    )
    with file, held(path, refusal):
        if not _ends_with_a_line(path):
            _write(file, b"\n")

        def append(record: Mapping[str, Any]) -> None:
            text = json.dumps(to_plain({"format": FORMAT, "study": study.name, **record}), allow_nan=False)
            _write(file, text.encode("utf-8") + b"\n")

        yield append


def record_of(
    cell: Cell,
    status: Status,
    *,
    figures: Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    reason: str | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """One record: the cell, its hash and seed, how it ended, and its figures with their kinds.

    **Raises:** ValueError for a status that is not on the list.
    """
    if status not in get_args(Status):
        raise ValueError(f"`status` must be one of {', '.join(get_args(Status))}; got {status!r}.")
    figures = {} if figures is None else dict(figures)
    kinds = {} if kinds is None else kinds
    return {
        "cell": cell.name,
        "config": dict(cell.config),
        "hash": cell.hash,
        "seed": list(cell.words()),
        "status": status,
        "reason": reason,
        **facts,
        "figures": figures,
        "kinds": {name: kinds.get(name, "exact") for name in figures},
    }


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The record in the line, or None: a torn line is no JSON, or lacks what every record has."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(value, dict) and all(isinstance(value.get(k), kind) for k, kind in _NEEDED.items())
    return value if whole and value["status"] in get_args(Status) else None


def _ends_with_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _write(file: Any, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
    os.fsync(file.fileno())
