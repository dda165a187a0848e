"""What goes on where it stopped: the file of a benchmark, a head and what was found, and the work that is left to find.

`write_record` replaces a file in one step, so a run that is killed leaves all that it had found before. Work is done here,
job after job, or by the workers of an executor, such as `shoal.ladder` takes; what it gives is stored here.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal._errors import InputError
from shoal._executors import Executor, Future, give_up, result_of, submitted, wait_for, workers_of
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


AHEAD = 2  # jobs for each worker that wait at it


def work(
    function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], executor: Executor | None = None
) -> Iterator[tuple[int, Any]]:
    """The number of each job, from 0, and what `function(*job)` gives, as soon as it is there.

    **Arguments:** `jobs`: taken one by one, a few ahead of the workers; `executor`: what has `submit`, and workers that can
    import the function (None: here, in order).

    **Raises:** what the function raises; `WorkersLost` where the executor is gone. Jobs that have not begun by then, or when
    the loop over the results is left, are given up.
    """
    numbered = enumerate(jobs)
    if executor is None:
        for number, job in numbered:
            yield number, function(*job)
        return
    most, at_work = AHEAD * workers_of(executor), dict[int, Future]()
    try:
        while True:
            for number, job in itertools.islice(numbered, most - len(at_work)):
                at_work[number] = submitted(executor, function, *job)
            if not at_work:
                return
            wait_for(list(at_work.values()), first=True)
            for number in [n for n, future in at_work.items() if future.done()]:
                yield number, result_of(at_work.pop(number))
    finally:
        give_up(list(at_work.values()))
