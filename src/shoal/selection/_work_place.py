"""Where the workers of an executor find rows and leave checkpoints: a folder that all see, or a URL that all reach.

Submitter and workers make the same value from the same text. Each seed has a name in it, "RUNG/run-00". In a folder, a lock
keeps a worker that was given up for dead from a second one. A URL has none: both write the same bits. There a worker trains
in a temporary folder, which begins with what lies at the URL and which a thread copies there while it changes.
"""

import functools
import hashlib
import json
import platform
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from shoal import _remote
from shoal._errors import InputError
from shoal._executors import check_seen
from shoal._following import Follower
from shoal.records import held, to_plain

LOOK = 0.25  # seconds between looks at a stop file
PAUSES = 1.0, 4.0  # seconds before a worker tries again what a store refused
NEWS = "news.jsonl"

T = TypeVar("T")
Tell: TypeAlias = Callable[[dict[str, Any]], object]


class StopFile:
    """A stop signal that other processes see: set once the file is there."""

    def __init__(self, path: Path):
        self.path, self.seen, self.looked = path, False, -np.inf

    def is_set(self) -> bool:
        """Whether the file was there at the last look, at most `LOOK` seconds ago."""
        if not self.seen and time.monotonic() - self.looked > LOOK:
            self.looked, self.seen = time.monotonic(), self.path.exists()
        return self.seen


@dataclass(frozen=True)
class Desk:
    """What a training is given: the folder of its checkpoints, what stops it, and who hears of it."""

    checkpoints: Path
    stop: StopFile | threading.Event
    tell: Tell | None


@dataclass(frozen=True)
class SharedFolder:
    """A folder beside the checkpoints, on a disk that submitter and workers share."""

    folder: Path
    every: float = 0.0  # seconds between two looks at the news

    def begin(self, mark: str, checkpoints: Path, *, resume: bool) -> None:
        """Opens the place to the work of one submitter, which `mark` tells from others."""

    def put(self, path: Path) -> str:
        """Where workers find a file."""
        return str(path.resolve())

    def ready(self, seed: str, checkpoints: Path) -> None:
        """Prepares the place for a seed, which has these checkpoints where it is submitted."""
        self._file(seed, ".jsonl").unlink(missing_ok=True)

    def news(self, seed: str, start: int) -> bytes:
        """What a seed has told, from this byte on."""
        with suppress(FileNotFoundError), open(self._file(seed, ".jsonl"), "rb") as file:
            file.seek(start)
            return file.read()
        return b""

    def stop(self, mark: str) -> None:
        """Ends the work at its next chunk."""
        (self.folder / f"stop-{mark}").touch()

    def bring(self, seed: str, checkpoints: Path) -> None:
        """Puts the checkpoints of a seed where those of a ladder without workers lie."""

    def remove(self) -> None:
        """Deletes the place."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def desk(self, seed: str, mark: str, *, told: bool) -> Generator[Desk | None, None, None]:
        """What a worker trains a seed with, once nobody else does; None where it was stopped before."""
        stop = StopFile(self.folder / f"stop-{mark}")
        with ExitStack() as stack:
            while not stop.is_set():
                try:
                    stack.enter_context(held(self._file(seed, ".lock"), "another worker is at it"))
                except InputError:
                    time.sleep(LOOK)
                    continue
                tell = stack.enter_context(_teller(self._file(seed, ".jsonl") if told else None))
                yield Desk(self.folder.parent / seed, stop, tell)
                return
            yield None

    def _file(self, seed: str, suffix: str) -> Path:
        return self.folder / f"{seed.replace('/', '-')}{suffix}"


@dataclass(frozen=True)
class FarFolder:
    """A folder at a URL. The file `go-MARK` says that somebody waits for the work; where it is gone, nothing is written."""

    url: str
    every: float = 2.0

    def begin(self, mark: str, checkpoints: Path, *, resume: bool) -> None:
        """Opens the place, after what an earlier submitter left there was fetched.

        **Raises:** `InputError` where it can not be written, or holds the work of another run.
        """
        names = _remote.files_in(self.url)
        if names and not resume:
            raise InputError(
                f"{self.url} holds the work of an earlier run; pass `resume=True`, or name another URL."
            )
        for seed in {name.partition("/checkpoint-")[0] for name in names if "/checkpoint-" in name}:
            self.bring(seed, checkpoints / seed)
        _remote.remove(self.url, [name for name in names if name.startswith(("go-", "stop-"))])
        _remote.push(mark.encode(), f"{self.url}/go-{mark}")

    def put(self, path: Path) -> str:
        """Where workers find a file: under its digest, so that it is copied once, and once for all who need the same."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        url = f"{self.url}/{digest}{path.suffix}"
        if not _remote.is_file(url) or _remote.total_size(url) != path.stat().st_size:
            _remote.push(path, url)
        return url

    def ready(self, seed: str, checkpoints: Path) -> None:
        """Copies the checkpoints there, unless newer ones are; what was told is forgotten."""
        url = f"{self.url}/{seed}"
        there, here = _remote.names_in(url), _names(checkpoints)
        if _newest(here) > _newest(there):
            _remote.remove(url)
            Follower(url).push(checkpoints)
        elif there:
            _remote.remove(url, [NEWS])

    def news(self, seed: str, start: int) -> bytes:
        """What a seed has told, as far as the store can be reached."""
        with suppress(InputError):
            return _remote.content(f"{self.url}/{seed}/{NEWS}", start)
        return b""

    def stop(self, mark: str) -> None:
        """Ends the work within a second and a chunk. **Raises:** `InputError`."""
        _remote.push(mark.encode(), f"{self.url}/stop-{mark}")

    def bring(self, seed: str, checkpoints: Path) -> None:
        """Fetches the checkpoints of a seed, unless those here are newer. **Raises:** `InputError`."""
        url = f"{self.url}/{seed}"
        names, here = _remote.names_in(url), _names(checkpoints)
        if not _newest(names) or _newest(names) < _newest(here):
            return
        _remote.fetch_folder(url, checkpoints, lambda name: name != NEWS)
        for name in here - names:  # older ones
            shutil.rmtree(checkpoints / name, ignore_errors=True)

    def remove(self) -> None:
        """Deletes what is there. **Raises:** `InputError`."""
        _remote.remove(self.url)

    @contextmanager
    def desk(self, seed: str, mark: str, *, told: bool) -> Generator[Desk | None, None, None]:
        """What a worker trains a seed with. Errors of the store end nothing once the training has begun."""
        url, stop = f"{self.url}/{seed}", threading.Event()
        with tempfile.TemporaryDirectory(prefix="shoal-", ignore_cleanup_errors=True) as folder:
            here, follower = Path(folder), Follower(url)

            def look() -> None:
                names = _remote.names_in(self.url)
                if f"go-{mark}" not in names or f"stop-{mark}" in names:
                    stop.set()
                if f"go-{mark}" in names:
                    follower.push(here)

            follower.known = _tried(lambda: _remote.fetch_folder(url, here))
            _tried(look)
            if stop.is_set():
                yield None
                return
            follower.begin(look)
            try:
                with _teller(here / NEWS if told else None) as tell:
                    yield Desk(here, stop, tell)
            finally:
                follower.end()
                with suppress(InputError, OSError):
                    _tried(look)


WorkPlace: TypeAlias = SharedFolder | FarFolder


def work_place(text: str) -> WorkPlace:
    """The place of this path or URL."""
    return FarFolder(text) if _remote.is_url(text) else SharedFolder(Path(text))


@contextmanager
def found(place: str, *, kept: bool = False) -> Generator[Path, None, None]:
    """The file that `put` put there; of one at a URL a copy, which is `kept` for the next tasks of this process.

    **Raises:** `InputError` where this worker does not see it, or sees another one.
    """
    if not _remote.is_url(place):
        check_seen(place)
        yield Path(place)
        return
    copy = _tried(lambda: (_kept if kept else _Copy)(place))
    yield copy.path


class _Copy:
    """A file in a temporary folder, which is gone when nobody holds this any more."""

    def __init__(self, url: str):
        folder = Path(tempfile.mkdtemp(prefix="shoal-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with _remote.fetched(url) as path:
            self.path = Path(shutil.move(path, folder / path.name))
        with open(self.path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.path.stem:
                raise InputError(f"{url} holds other rows than were written.")


_kept = functools.lru_cache(maxsize=2)(_Copy)


def _tried(do: Callable[[], T]) -> T:
    """What `do` gives a worker, tried three times: stores have their moments."""
    for pause in PAUSES:
        try:
            return do()
        except (InputError, OSError):
            time.sleep(pause)
    try:
        return do()
    except InputError as error:
        raise InputError(f"The worker on {platform.node()} says: {error}") from error


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


def _newest(names: set[str]) -> str:
    return max((name for name in names if name.startswith("checkpoint-")), default="")


@contextmanager
def _teller(path: Path | None) -> Generator[Tell | None, None, None]:
    """What writes the events of a training to a file, a line each, where the submitter reads them; None: nobody does."""
    if path is None:
        yield None
        return
    with open(path, "a", encoding="utf-8", buffering=1) as file:
        yield lambda event: file.write(json.dumps(to_plain(event)) + "\n")
