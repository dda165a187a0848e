"""Folders of runs: where one grows and how it takes its place, and what can be known of its model without loading it.

A run is made in the sibling folder `RUN.unfinished`, which survives a kill so that `--resume` can go on with it, and is
renamed to `RUN` when it is complete. With `--overwrite` the new run is complete on the disk first; then the old one is
renamed to `RUN.replaced`, the new one to `RUN`, and the old one deleted: at every moment a complete run is there. Where RUN
is a URL, all this is in a folder of this machine, and `_mirror` copies it.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from shoal._errors import InputError
from shoal._remote import fetch_folder, is_file, is_url, local_place, names_in
from shoal.cli._mirror import MARKS, PARTS, Mirror
from shoal.cli._settings import FitSettings
from shoal.records import MODEL, held, read_document, sync_folder, write_record

LOCK = ".lock"


@dataclass(frozen=True)
class Places:
    """The folder of a run, its unfinished form, and where an old run waits while the new one takes its place; and, where the
    run has a URL, what copies them there.
    """

    label: str
    run: Path
    unfinished: Path
    replaced: Path
    mirror: Mirror | None = None


def find_places(out: str) -> Places:
    """The three folders that belong to `--out`."""
    label, mirror, name = out.rstrip("/") or out, None, out.rpartition("://")[2].strip("/ ")
    unnamed = InputError(f"--out {out!r} is no name for a folder; name a new one, such as --out runs/first.")
    if is_url(out) and (not name or "::" in out):
        raise unnamed
    here = local_place(out) if is_url(out) else Path(out)
    if here is None:
        mirror = Mirror(label)
        here = mirror.place / name.rpartition("/")[2]
    run = here.resolve()
    if not name or not run.name:
        raise unnamed
    unfinished, replaced = (run.with_name(f"{run.name}.{word}") for word in ("unfinished", "replaced"))
    return Places(label, run, unfinished, replaced, mirror)


def check_places(places: Places, *, overwrite: bool, resume: bool, resumable: bool = True) -> None:
    """Checks that the run can be made; makes nothing, but completes a replacement that was killed half-way.

    **Arguments:** `resumable`: whether the command that makes the run knows `--resume`.

    **Raises:** `InputError` if the run exists and is not to be overwritten, is no run, or can not be written.
    """
    label, parent = places.label, places.run.parent
    go_on = "go on with it by --resume" if resumable else "move it away"
    if places.mirror is not None:
        places.mirror.check(overwrite=overwrite, resume=resume, go_on=go_on)
        return
    if parent.exists() and not parent.is_dir():
        raise InputError(f"--out {label} can not be made: {parent} is a file, not a folder.")
    if not parent.is_dir():
        raise InputError(
            f"--out {label} can not be made: there is no folder {parent}; make it with `mkdir -p {parent}`."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"--out {label} can not be made: the folder {parent} is not writable.")
    _check_foreign(places)
    if places.unfinished.is_dir():
        with _locked(places):
            _recover(places)
    else:
        _recover(places)
    if places.run.exists():
        _check_existing(places, overwrite)
    if places.unfinished.exists() and not (resume or overwrite):
        raise InputError(
            f"An unfinished run lies in {label}.unfinished; {go_on}, or start again by --overwrite."
        )


@contextmanager
def claimed(
    places: Places, config: FitSettings | dict[str, object], *, resume: bool = False
) -> Generator[bool, None, None]:
    """Holds the unfinished folder for this process: a new one with `config`, or the one to resume, if it has the same.

    **Yields:** whether the folder is new.
    """
    mirror = places.mirror
    with nullcontext() if mirror is None else mirror.begun(places.unfinished, resume=resume):
        new = not (resume and places.unfinished.exists())
        if not new and isinstance(config, FitSettings):
            _check_config(places, config)
        elif places.unfinished.exists():
            with _locked(places):
                shutil.rmtree(places.unfinished)
        try:
            places.unfinished.mkdir(exist_ok=not new)
        except OSError as error:
            raise InputError(f"--out {places.label} can not be made: {error.strerror or error}.") from error
        with _locked(places):
            if new:
                write_record(config, places.unfinished / "config.json")
            if mirror is not None:
                mirror.follow(places.unfinished)
            yield new


def publish(places: Places) -> None:
    """Gives the complete run in `RUN.unfinished` its name."""
    _sync(places.unfinished)
    between("complete")
    if places.run.exists():
        os.rename(places.run, places.replaced)
        between("old aside")
    os.rename(places.unfinished, places.run)
    between("new in place")
    (places.run / LOCK).unlink(missing_ok=True)
    sync_folder(places.run.parent)
    if places.replaced.exists():
        shutil.rmtree(places.replaced)
    if places.mirror is not None:
        places.mirror.publish(places.run)


def between(step: str) -> None:
    """Called after each step of `publish`; tests end the process here."""


def discard(places: Places) -> None:
    """Deletes the unfinished folder."""
    shutil.rmtree(places.unfinished, ignore_errors=True)
    if places.mirror is not None:
        places.mirror.discard()


def _check_existing(places: Places, overwrite: bool) -> None:
    label = places.label
    if not places.run.is_dir():
        raise InputError(f"--out {label} is a file; name a folder that does not exist yet.")
    if not overwrite:
        raise InputError(f"--out {label} exists already; name another folder, or replace it by --overwrite.")
    if not _holds_a_run(places.run):
        raise InputError(
            f"--out {label} holds something other than a run and is not overwritten; name another folder."
        )


def _check_foreign(places: Places) -> None:
    """Refuses names beside the run that are taken by something else, which would be deleted or moved."""
    for path in (places.unfinished, places.replaced):
        if (path.exists() or path.is_symlink()) and not (path.is_dir() and _holds_a_run(path, PARTS)):
            raise InputError(
                f"--out {places.label} needs the name {path.name} beside it, which is taken by something other than a "
                "run; move that away, or name another folder."
            )


def _holds_a_run(folder: Path, marks: tuple[str, ...] = MARKS) -> bool:
    """True also for an empty folder, and for one that was killed before it held more than its lock.

    With `PARTS` as marks, what a deletion that was killed left of a run is one, too.
    """
    found = {path.name for path in folder.iterdir()} - {LOCK}
    return not found or not found.isdisjoint(marks)


def _check_config(places: Places, config: FitSettings) -> None:
    path = places.unfinished / "config.json"
    try:
        different = config.differences(path)
    except InputError as error:
        raise InputError(f"{path} can not be read; start again by --overwrite.") from error
    if different:
        raise InputError(
            f"The run in {places.label}.unfinished was started with other {', '.join(different)}; resume with the same "
            "options, or start again by --overwrite."
        )


def _recover(places: Places) -> None:
    """Ends a replacement that was killed between its steps."""
    if not places.replaced.is_dir():
        return
    if places.run.exists():
        shutil.rmtree(places.replaced)
    else:
        os.rename(places.replaced, places.run)


def _locked(places: Places) -> AbstractContextManager[None]:
    refusal = (
        f"Another `shoal fit` is at work in {places.label}.unfinished; wait for it, or name another --out."
    )
    return held(places.unfinished / LOCK, refusal)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model, as it was named, and what can be known of it without loading it."""

    label: str
    path: Path
    columns: tuple[str, ...] | None  # None where the folder does not say
    context_columns: tuple[str, ...] | None
    float64: bool


def local_run(run: str) -> Path:
    """The folder of a run; of one at a URL a copy, without its checkpoints, that is deleted when the process ends."""
    if not is_url(run):
        return Path(run)
    here = local_place(run)
    if here is not None:
        return here
    copy = Path(tempfile.mkdtemp(prefix="shoal-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    folder = copy / run.rstrip("/").rpartition("/")[2]
    fetch_folder(run, folder, lambda name: name.partition("/")[0] != "checkpoints")
    return folder


def is_folder(place: str) -> bool:
    """Whether a folder, or a run at a URL, has this name."""
    if is_url(place):  # https:// has no folders
        return any(is_file(f"{place.rstrip('/')}/{mark}") for mark in MARKS)
    return Path(place).is_dir()


def find_model(run: str | Path) -> ModelFolder:
    """Checks that `run`, a folder or its URL, holds a model whose files are whole.

    **Raises:** `InputError` if it does not.
    """
    label, run = str(run).rstrip("/") or "/", local_run(str(run))
    hint = "name a folder that `shoal fit` made"
    if not run.exists():
        beside = f"{label}.unfinished"
        lies = names_in(beside) if is_url(beside) else Path(beside).is_dir()
        hint = f"an unfinished run lies in {beside}" if lies else hint
        raise InputError(f"RUN {label} does not exist; {hint}.")
    if not run.is_dir():
        raise InputError(f"RUN {label} is a file; name the folder that `shoal fit` made.")
    if not (run / MODEL).is_file():
        raise InputError(f"RUN {label} holds no model: there is no {MODEL} in it; {hint}.")
    model, _ = read_document(run)
    fields = model.tree.get("fields")
    flow = fields if isinstance(fields, dict) else {}
    columns, context = (_names(flow.get(key)) for key in ("columns", "context_columns"))
    if context is None and flow.get("context_shape", ()) is None:
        context = ()
    return ModelFolder(label, run, columns, context, model.dtype == "float64")


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else None
