"""Checkpoints of one run: numbered folders with `arrays.safetensors` and `state.json`.

A checkpoint is written under a temporary name, its files and folder are flushed to the disk, and it is renamed: a
kill at any moment leaves whole checkpoints only. The last two whole ones are kept. The JSON file holds a checksum of
both files' contents, so a damaged newest checkpoint is seen, and the one before it is used.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shoal import records
from shoal._errors import InputError

FORMAT = 1
KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{8})")

Stored: TypeAlias = tuple[dict[str, np.ndarray], dict[str, Any]]  # arrays by name, and plain values


class Checkpoints:
    """The checkpoints in `folder`, oldest first; those found damaged are not counted."""

    folder: Path
    whole: list[Path]

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"`folder` is {self.folder}, which is a file; name a folder for the checkpoints."
            )
        self.whole = self._all()

    def load(self) -> Stored | None:
        """The arrays and the content of the newest whole checkpoint, or None where there is none."""
        while self.whole:
            found = _read(self.whole[-1])
            if found is not None:
                return found
            self.whole.pop()
        return None

    def save(self, arrays: Mapping[str, np.ndarray], content: Mapping[str, object]) -> Path:
        """Write a checkpoint, then remove all but the last two whole ones.

        **Arguments:** `arrays`, by name; `content`, plain values (numbers, texts, lists, dictionaries).

        **Returns:** the folder of the new checkpoint.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.name.rpartition("-")[2]) for p in self._all()), default=0)
        final = self.folder / f"checkpoint-{number:08d}"
        temporary = self.folder / f".unfinished-{final.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
        records.write_bytes(data, temporary / "arrays.safetensors")
        text = {"format": FORMAT, "content": dict(content), "sha256": _checksum(data, content)}
        records.write_record(text, temporary / "state.json")
        temporary.rename(final)
        records.sync_folder(self.folder)
        self.whole = [*self.whole, final][-KEPT:]
        for path in (*self._all(), *self.folder.glob(".unfinished-*")):
            if path not in self.whole:
                shutil.rmtree(path, ignore_errors=True)
        return final

    def _all(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("checkpoint-*") if _NAME.fullmatch(p.name))


def _read(path: Path) -> Stored | None:
    try:
        text = records.read_record(path / "state.json")
        data = (path / "arrays.safetensors").read_bytes()
        if text["format"] != FORMAT or text["sha256"] != _checksum(data, text["content"]):
            return None
        return load(data), text["content"]
    except (InputError, OSError, KeyError, SafetensorError):
        return None


def _checksum(data: bytes, content: Mapping[str, object]) -> str:
    plain = json.dumps(content, sort_keys=True)
    return hashlib.sha256(hashlib.sha256(data).digest() + plain.encode()).hexdigest()
