"""Files and folders at URLs, by fsspec: `s3://bucket/t.parquet`, `gs://`, `https://`, `memory://`, `file://`, chained ones.

A file is fetched to a temporary one, after which everything is as for a file of this machine. What a missing package, a
server or the network says is one sentence. fsspec is loaded where there is a URL only.
"""

import atexit
import errno
import functools
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from shoal._errors import InputError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[^/]*)?://")
_PATTERN = re.compile(r"[*?\[]")
WORDS = 200  # characters of what a server says

FileSystem: TypeAlias = Any  # of fsspec, which takes a tenth of a second to load
Stamps: TypeAlias = dict[str, tuple[int, int]]  # of files, by name in their folder: size, time of change


def is_url(place: object) -> bool:
    """Whether a text names something by a URL; a `Path` never does."""
    return isinstance(place, str) and _URL.match(place) is not None


def local_place(url: str) -> Path | None:
    """The path on this machine of a `file://` URL; None for others."""
    system, path = _opened(url)
    return Path(path) if _is_local(system) else None


@contextmanager
def fetched(url: str) -> Generator[Path, None, None]:
    """A copy of the file at `url` under its own name, which is gone after the context; a local file is not copied.

    **Raises:** `InputError`, one sentence, if there is no such file or it can not be fetched.
    """
    system, path = _opened(url)
    if _is_local(system):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="shoal-") as folder:
        with _told(url, "read"):
            copy = Path(folder) / file_name(url)
            try:
                system.get_file(path, str(copy))
                found = copy.is_file()
            except FileNotFoundError:
                found = False
            if not found:
                isfolder = system.isdir(path)
                raise InputError(
                    f"{url} is a folder: name one file in it." if isfolder else f"{url} does not exist."
                )
        yield copy


def file_name(url: str) -> str:
    """The name of the file at `url`, whose suffix says its format."""
    first = url.split("::")
    named = next((part for part in first if re.search(r"://.*[^/]", part)), url)
    return re.split(r"[?#]", named, maxsplit=1)[0].rstrip("/").rpartition("/")[2] or "file"


def remote_files(url: str) -> list[str]:
    """The URLs of the files that a pattern such as `s3://bucket/part-*.parquet` matches, or that lie in a folder, by name.

    **Raises:** `InputError` if there is none, or the place can not be reached.
    """
    system, path = _opened(url)
    with _told(url, "read"):
        system.invalidate_cache()
        if _PATTERN.search(path):
            found = system.glob(path, detail=True).values()
        elif system.isdir(path):
            found = system.ls(path, detail=True)
        else:
            found = [system.info(path)]
        files = sorted(str(one["name"]) for one in found if one["type"] == "file")
    if not files:
        raise InputError(f"{url} names no file: nothing is there by that name.")
    return [system.unstrip_protocol(name) for name in files]


def total_size(url: str) -> int:
    """Bytes of the files that `remote_files` finds."""
    system, _ = _opened(url)
    with _told(url, "read"):
        return sum(int(system.size(file) or 0) for file in remote_files(url))


@functools.cache
def kept_copy(url: str) -> Path:
    """A copy, for the length of this process, of the file at `url`, or of those that `remote_files` finds: their folder, or
    a pattern where `url` is one.

    What lies on this machine is not copied. **Raises:** `InputError` where it can not be read.
    """
    local = local_place(url)
    if local is not None:
        return local
    files = remote_files(url)
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in files:
        with fetched(file) as path:
            shutil.move(path, folder / path.name)
    if is_file(url):
        return folder / file_name(files[0])
    return folder / "*" if _PATTERN.search(_opened(url)[1]) else folder


def names_in(url: str) -> set[str]:
    """The names of the files and folders in the folder at `url`; none where nothing is there."""
    system, path = _opened(url)
    with _told(url, "read"):
        system.invalidate_cache()
        try:
            found = system.ls(path, detail=True)
        except FileNotFoundError:
            return set()
    root = path.rstrip("/")
    return {str(one["name"]).rstrip("/")[len(root) :].strip("/") for one in found} - {""}


def is_file(url: str) -> bool:
    """Whether a file, no folder, is at `url`."""
    system, path = _opened(url)
    with _told(url, "read"):
        return system.isfile(path)


def content(url: str, start: int | None = None) -> bytes:
    """The bytes of a small file; `start`: of the first one that is wanted."""
    system, path = _opened(url)
    with _told(url, "read"):
        return system.cat_file(path, start=start)


def files_in(url: str) -> list[str]:
    """The relative names of all files below `url`, but those with `..` in them; none where nothing is there."""
    system, path = _opened(url)
    with _told(url, "read"):
        system.invalidate_cache()
        root = len(path.rstrip("/"))
        names = {str(found)[root:].strip("/") for found in system.find(path)} - {""}
    return sorted(name for name in names if ".." not in name.split("/"))


def fetch_folder(url: str, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> Stamps:
    """Copies the files below `url` whose relative names are `wanted` into `folder`, and returns their stamps here."""
    system, path = _opened(url)
    stamps: Stamps = {}
    for name in filter(wanted, files_in(url)):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with _told(f"{url}/{name}", "read"):
            system.get_file(f"{path.rstrip('/')}/{name}", str(copy))
        stamps[name] = stamp(copy)
    return stamps


def push(source: Path | bytes, url: str) -> None:
    """Writes a file of this machine, or a few bytes, to `url`."""
    system, path = _opened(url)
    with _told(url, "written"):
        if isinstance(source, bytes):
            system.pipe_file(path, source)
        else:
            system.put_file(str(source), path)


def push_files(folder: Path, names: Iterable[str], url: str) -> None:
    """Copies files of `folder` to `url`, in this order; one that is gone meanwhile is left out."""
    system, path = _opened(url)
    for name in names:
        with _told(url, "written"):
            try:
                system.put_file(str(folder / name), f"{path.rstrip('/')}/{name}")
            except FileNotFoundError:
                if (folder / name).is_file():  # it is the store that lacks something
                    raise


def remove(url: str, names: Iterable[str] | None = None) -> None:
    """Deletes the folder at `url`, or the files `names` in it; what is not there is no error."""
    system, path = _opened(url)
    with _told(url, "written"):
        system.invalidate_cache()
        places = [path] if names is None else [f"{path.rstrip('/')}/{name}" for name in names]
        for place in places:
            if system.exists(place):
                system.rm(place, recursive=names is None)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _opened(url: str) -> tuple[FileSystem, str]:
    from fsspec.core import url_to_fs

    with _told(url, "read"):
        system, path = url_to_fs(url)
        return system, path


def _is_local(system: FileSystem) -> bool:
    kinds = system.protocol
    return "file" in ((kinds,) if isinstance(kinds, str) else kinds)


@contextmanager
def _told(url: str, done: str) -> Generator[None, None, None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise InputError(f"{url} {_why(url, error, done)}") from error


def _why(url: str, error: Exception, done: str) -> str:
    """What is wrong, as the rest of a sentence."""
    said = " ".join(str(error).split()) or type(error).__name__
    said = f"{said[:WORDS].rstrip('.')}{'...' * (len(said) > WORDS)}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"can not be {done}: there is no room left in {tempfile.gettempdir()}; set TMPDIR to another folder."
    if isinstance(error, ImportError):
        return f'needs a package that is not here ({said}); `pip install "shoal[cloud]"` brings those of s3://, gs:// and https://.'
    if isinstance(error, ValueError) and "rotocol" in said:
        return f"can not be {done}: fsspec knows no such kind of address ({said}); use s3://, gs://, https:// or file://."
    if isinstance(error, FileNotFoundError) and done == "read":
        return "does not exist."
    if isinstance(error, PermissionError):
        return f"can not be {done}: it is not open to you ({said}); check name and credentials."
    return f"can not be {done} ({said}); check the address, the network and the credentials."
