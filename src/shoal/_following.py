"""`Follower`: keeps a folder at a URL like one of this machine, by a thread that looks every second."""

import threading
from collections.abc import Callable
from pathlib import Path

from shoal import _remote
from shoal._errors import InputError

EVERY, AFTER_FAILURE = 1.0, 20.0  # seconds between two looks


class Follower:
    """The copies of files at `url`; those with a hidden part in their names, and those not `wanted`, are left out."""

    def __init__(self, url: str, wanted: Callable[[Path], bool] = lambda name: True):
        self.url, self.wanted = url, wanted
        self.known: _remote.Stamps = {}  # of what is there
        self._over, self._thread = threading.Event(), None

    @property
    def begun(self) -> bool:
        """Whether the thread was started."""
        return self._thread is not None

    def stamps(self, folder: Path) -> _remote.Stamps:
        """The files of the folder that are copied, by name."""
        found: _remote.Stamps = {}
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            if self.wanted(name) and not any(part.startswith(".") for part in name.parts) and path.is_file():
                found[name.as_posix()] = _remote.stamp(path)
        return found

    def push(self, folder: Path, *, minor: str | None = None) -> None:
        """Copies what has changed, then deletes what is gone; `minor`: a file that alone is no reason to."""
        now = self.stamps(folder)
        new = [name for name in sorted(now) if self.known.get(name) != now[name]]
        gone = self.known.keys() - now.keys()
        if not gone and new in ([], [minor]):
            return
        for name in new:
            _remote.push_files(folder, [name], self.url)
            self.known[name] = now[name]
        _remote.remove(self.url, gone)
        self.known = {name: known for name, known in self.known.items() if name in now}

    def begin(
        self, look: Callable[[], None], failed: Callable[[InputError], None] = lambda error: None
    ) -> None:
        """Calls `look` every second from now on; `failed` is told the first error of the store, and all are tried again."""
        self._thread = threading.Thread(target=self._watch, args=(look, failed), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends the thread, once it is through with a look."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, look: Callable[[], None], failed: Callable[[InputError], None]) -> None:
        told, wait = False, EVERY
        while not self._over.wait(wait):
            wait = EVERY
            try:
                look()
            except OSError:  # a file was deleted while it was looked at
                continue
            except InputError as error:
                if not told:
                    failed(error)
                told, wait = True, AFTER_FAILURE
