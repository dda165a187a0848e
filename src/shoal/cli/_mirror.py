"""A run whose folder is a URL: it grows in a folder of this machine, and what changes in it is copied there.

While it grows, a thread that looks every second keeps `URL.unfinished` like the folder here, so that another machine can go
on from the last checkpoint where this one ends. A finished run is copied to `URL` with its record last, by which it is known
to be whole; then `URL.unfinished` is deleted. There is no lock on a URL: two machines that fit into one are not told apart.
"""

import shutil
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import typer

from shoal import _remote
from shoal._errors import InputError
from shoal._executors import WORK
from shoal._following import Follower
from shoal.cli._session import INTERRUPTED, NUMERICAL_FAILURE, stop
from shoal.records import MODEL, RECORD

LOG = "log.jsonl"  # which alone is no reason to copy
CONFIG, UNFINISHED = "config.json", ".unfinished"
LAST = (CONFIG, MODEL, RECORD)  # of a finished run, in this order
MARKS = (RECORD, CONFIG, MODEL)  # a folder with one of these holds a run
PARTS = (
    *(*MARKS, "weights.safetensors", "certificate.json"),
    *("schema.json", "metrics.parquet", "rows.parquet", "log.jsonl", "report.html", "checkpoints"),
)


class Mirror:
    """The copies of one run: `url`, `unfinished` (a URL, too), and `place`, which holds the run on this machine."""

    url: str
    unfinished: str
    place: Path

    def __init__(self, url: str):
        self.url, self.unfinished = url, f"{url}{UNFINISHED}"
        self.place = Path(tempfile.gettempdir()) / f"shoal-{uuid.uuid4().hex[:12]}"
        self._follower = Follower(self.unfinished, lambda name: name.parts[0] in PARTS)

    def check(self, *, overwrite: bool, resume: bool, go_on: str) -> None:
        """Checks that the run can be made at the URL, as `check_places` does for folders. **Raises:** `InputError`."""
        if _remote.is_file(self.url):
            raise InputError(f"--out {self.url} is a file; name a folder that does not exist yet.")
        found, begun = _remote.names_in(self.url), _remote.names_in(self.unfinished) - {WORK}
        if begun and begun.isdisjoint(PARTS):
            raise InputError(
                f"--out {self.url} needs the name {self.unfinished}, which is taken by something other than a run; move "
                "that away, or name another folder."
            )
        if RECORD in found & begun and self._is_whole():  # killed before its last step
            _remote.remove(self.unfinished)
            begun = set[str]()
        # killed while it was copied
        half = bool(begun) and RECORD not in found and not found.isdisjoint(PARTS)
        if found and not overwrite and not (half and resume):
            raise InputError(
                f"--out {self.url} exists already; name another folder, or replace it by --overwrite."
            )
        if found and not half and found.isdisjoint(MARKS):
            raise InputError(
                f"--out {self.url} holds something other than a run and is not overwritten; name another folder."
            )
        if begun and not (resume or overwrite):
            raise InputError(
                f"An unfinished run lies in {self.unfinished}; {go_on}, or start again by --overwrite."
            )

    @contextmanager
    def begun(self, folder: Path, *, resume: bool) -> Generator[None, None, None]:
        """Makes the place on this machine, to resume with what lies in `URL.unfinished`, and ends the copying."""
        try:
            if resume:
                ours = lambda name: name.partition("/")[0] != WORK
                self._follower.known = _remote.fetch_folder(self.unfinished, folder, ours)
            else:
                _remote.remove(self.unfinished)
            try:
                self.place.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"--out {self.url}: {self.place} can not be made ({error.strerror or error}); set TMPDIR to a folder "
                    "with room for the run."
                ) from error
            yield
        finally:
            self._end(folder)

    def follow(self, folder: Path) -> None:
        """Copies what is in `folder`, and from now on what changes. **Raises:** `InputError` if that fails at once."""
        told = lambda error: typer.echo(f"{error} The run goes on in {folder}.", err=True)
        self._follower.push(folder)
        self._follower.begin(partial(self._follower.push, folder, minor=LOG), told)

    def publish(self, run: Path) -> None:
        """Copies the finished run to `URL.unfinished`, where it is then whole, and to the URL; deletes the former."""
        try:
            self._follower.end()
            self._follower.push(run)
            old, names = set(_remote.files_in(self.url)), set(self._follower.stamps(run))
            _remote.remove(self.url, old & {RECORD})
            _remote.push_files(run, sorted(names - {*LAST}), self.url)
            _remote.push_files(run, LAST, self.url)
            _remote.remove(self.url, old - names)
            _remote.remove(self.unfinished)
        except (InputError, KeyboardInterrupt) as error:
            raise _kept(error, f"The finished run is kept in {run}; copy it to {self.url}.") from error
        shutil.rmtree(self.place, ignore_errors=True)

    def discard(self) -> None:
        """Deletes `URL.unfinished`."""
        self._follower.end()
        with suppress(InputError):
            _remote.remove(self.unfinished)

    def _end(self, folder: Path) -> None:
        """Copies the last state of `folder`, if it is there, and deletes the place; it stays where that fails."""
        if self._follower.begun and folder.is_dir():
            try:
                self._follower.end()
                self._follower.push(folder)
            except (InputError, KeyboardInterrupt) as error:
                go_on = f"go on with the same command, --out {folder.with_suffix('')} and --resume"
                raise _kept(error, f"What was done is kept in {folder}; {go_on}.") from error
        if not folder.with_suffix("").exists():  # a finished run that could not be copied
            shutil.rmtree(self.place, ignore_errors=True)

    def _is_whole(self) -> bool:
        ours, begun = (_remote.content(f"{url}/{RECORD}") for url in (self.url, self.unfinished))
        return ours == begun


def _kept(error: InputError | KeyboardInterrupt, sentence: str) -> typer.Exit:
    """The end of a run that could not be copied: what is wrong, and where it is."""
    if isinstance(error, KeyboardInterrupt):
        return stop(f"Interrupted. {sentence}", INTERRUPTED)
    return stop(f"{error} {sentence}", NUMERICAL_FAILURE)
