"""What goes on where it stopped: the file of a benchmark, with a head and what was found.

`write_record` replaces a file in one step, so a run that is killed leaves all that it had found before.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal._errors import InputError
from shoal.records import held, read_record, to_plain, write_record

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


class Record:
    """What is at `path` where it was found under the same circumstances, or a new record.

    **Arguments:** `head`: what, command, seed, versions, config and so on. `found`: the entries that grow, with what they
    are at first, such as `{"rows": []}`. `same`: the entries of the head that must be equal for an earlier run's findings
    to be kept. `fresh`: forget them.
    """

    def __init__(
        self,
        path: str | Path,
        head: Mapping[str, Any],
        found: Mapping[str, Any],
        *,
        same: tuple[str, ...] = ("config",),
        fresh: bool = False,
    ):
        self.path = Path(path)
        self.entries: dict[str, Any] = to_plain({**head, **found})
        if self.path.exists() and not fresh:
            before = read_record(self.path)
            if all(to_plain(before.get(name)) == self.entries.get(name) for name in same):
                self.entries |= {name: before.get(name, first) for name, first in found.items()}

    def __getitem__(self, name: str) -> Any:
        return self.entries[name]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The entry "rows", for records that have such a list."""
        return self.entries["rows"]

    def has(self, **key: Any) -> bool:
        """Whether there is a row with these values."""
        return any(all(row[name] == value for name, value in key.items()) for row in self.rows)

    def add(self, *rows: Mapping[str, Any], **more: Any) -> None:
        """Rows, and further entries such as a summary; the file is written."""
        self.rows.extend(to_plain(dict(row)) for row in rows)
        self.save(**more)

    def save(self, **more: Any) -> None:
        """Writes the file, with further entries."""
        self.entries |= to_plain(more)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_record(self.entries, self.path)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """The file at `path` is this process's within the context.

    **Raises:** `InputError` where another run is at work on it, or its folder can not be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} can not be written: {error.strerror or error}; name another folder."
        ) from error
    with held(path.with_name(f".{path.name}.lock"), f"Another run is at work on {path}; wait for it."):
        yield
