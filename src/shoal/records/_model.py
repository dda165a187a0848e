"""A model folder as bytes: `model.json` and the weights file that it names. No JAX.

A folder holds a whole model at every moment, also while a new model is saved over an old one: the new weights are
written beside the old ones, `model.json` is replaced in one step, then the old weights are removed. `model.json`
carries the checksum of the weights and one of itself, so that a change of either is seen. Never pickle.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec

from shoal._errors import InputError
from shoal.records._files import replace_file

FORMAT = 1
MODEL = "model.json"
WEIGHTS = "weights.safetensors"
MAX_DEPTH = 100  # levels of the tree
_TRIES = 20  # of a reader whose folder is saved into again and again


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """What `model.json` holds."""

    format: Annotated[int, msgspec.Meta(ge=1)]
    shoal: str
    dtype: str | None
    weights: Annotated[str, msgspec.Meta(pattern=r"^weights(-[0-9a-f]{12})?\.safetensors\Z")]
    weights_sha256: str
    tree: dict[str, object]
    sha256: str


def write_document(folder: Path, content: Mapping[str, object], weights: bytes) -> None:
    """Writes a model: `content` has the keys `shoal`, `dtype` and `tree`, `weights` is a safetensors file.

    **Raises:** `InputError` where the folder can not be made or written.
    """
    checksum = hashlib.sha256(weights).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = _weights_of(folder)
        name = WEIGHTS if old != WEIGHTS else f"weights-{checksum[:12]}.safetensors"
        document = {"format": FORMAT, **content, "weights": name, "weights_sha256": checksum}
        document["sha256"] = seal(document)
        replace_file(folder / name, weights)
        replace_file(folder / MODEL, (json.dumps(document, allow_nan=False, indent=1) + "\n").encode())
        if old is not None and old != name:
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"The model can not be written to {folder}: {error.strerror or error}; choose a folder that is writable."
        ) from error


def read_document(folder: Path) -> tuple[Document, bytes]:
    """The content of `model.json` and the bytes of the weights file, both whole and unchanged since they were saved.

    **Raises:** `InputError` where the folder holds no model, another format, or a damaged or changed one.
    """
    text = _read(folder / MODEL, folder)
    for _ in range(_TRIES):
        try:
            return _whole(folder, text)
        except InputError:
            before, text = text, _read(folder / MODEL, folder)
            if text == before:  # nobody saved into the folder in between: it is the model that is at fault
                raise
    return _whole(folder, text)


def seal(document: Mapping[str, object]) -> str:
    """The checksum of everything in `model.json` but the checksum itself, whatever the layout of the text."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, allow_nan=False, sort_keys=True).encode()).hexdigest()


def damaged(file: Path, found: str) -> InputError:
    """The error for a file that is not as it was saved; `found` is a phrase."""
    return InputError(
        f"{file} is damaged or was changed: {found}; restore the folder, or fit or save the model again."
    )


def _whole(folder: Path, text: bytes) -> tuple[Document, bytes]:
    document = _checked(folder / MODEL, text)
    file = folder / document.weights
    weights = _read(file, folder)
    if hashlib.sha256(weights).hexdigest() != document.weights_sha256:
        raise damaged(file, f"its checksum is not the one in {MODEL}")
    return document, weights


def _checked(file: Path, text: bytes) -> Document:
    try:
        plain = json.loads(text.decode(), parse_constant=_refuse_constant, object_pairs_hook=_no_repeats)
        _refuse_later(file, plain)
        document = msgspec.convert(plain, Document)
        checksum = seal(plain)
    except InputError:
        raise
    except RecursionError as error:
        raise damaged(file, f"it is nested deeper than {MAX_DEPTH} levels") from error
    except msgspec.ValidationError as error:
        raise damaged(file, str(error).replace("$.", "")) from error
    except ValueError as error:  # not UTF-8, not JSON, a repeated key, a number without end
        raise damaged(file, f"it is not JSON ({' '.join(str(error).split())})") from error
    if document.sha256 != checksum:
        raise damaged(file, "its content does not match its own checksum")
    return document


def _refuse_later(file: Path, document: object) -> None:
    number = document.get("format") if isinstance(document, dict) else None
    if type(number) is int and number > FORMAT:
        raise InputError(
            f"{file} has format {number}, this version of Shoal reads {FORMAT}; "
            "upgrade with `pip install --upgrade shoal`."
        )


def _weights_of(folder: Path) -> str | None:
    """The weights file of the model that lies in the folder, or None where there is none that can be read."""
    try:
        return _checked(folder / MODEL, (folder / MODEL).read_bytes()).weights
    except (FileNotFoundError, InputError):
        return None


def _read(file: Path, folder: Path) -> bytes:
    try:
        if not folder.is_dir():
            found = "is not a folder" if folder.exists() else "does not exist"
            raise InputError(f"{folder} {found}; name a folder that `shoal fit` or `shoal.save` wrote.")
        if not file.is_file():
            raise InputError(
                f"{folder} has no {file.name}; name a folder that `shoal fit` or `shoal.save` wrote."
            )
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} can not be read: {error.strerror or error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the constant {name}")


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key that is there twice")
    return content
