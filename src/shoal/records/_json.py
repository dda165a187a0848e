"""A record and its file: the struct of a kind of record, plain Python values, and strict JSON.

A non-finite float is stored as the string "nan", "inf" or "-inf", never as a made-up number. Read as a kind of record, such
a string becomes a float again in a field of numbers; read as any dictionary, except under a key that holds text (a column
may well be called "nan" or "inf").
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

import msgspec

from .._errors import InputError
from ._files import write_text

# Everything under one of these keys is text (or a list of texts) and is never turned into a float.
TEXT_KEYS = {
    *("activation", "column", "columns", "command", "context", "context_columns", "created", "device"),
    *("drop", "dtype", "families", "family", "kind", "layer", "message", "name", "names", "partition"),
    *("sentence", "source", "status", "versions", "weights", "weights_column"),
}
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What stands in a file: its kind, `format` (the version of its fields), and the figures."""

    FORMAT: ClassVar[int] = 1

    format: int = 1


T = TypeVar("T", bound=Record)


class Columns(msgspec.Struct, frozen=True):
    """Fields that are lists of one length; one that was not measured may be empty."""

    def __post_init__(self) -> None:
        fields = msgspec.structs.asdict(self)
        lengths = {
            name: len(values) for name, values in fields.items() if isinstance(values, list) and values
        }
        if len(set(lengths.values())) > 1:
            raise InputError(f"its lists differ in length: {lengths}")


def as_record(value: object, kind: type[T], where: str = "The record") -> T:
    """Returns plain values as a record of `kind`, such as `FitRecord`.

    **Arguments:** `value`: a dictionary, as `json.loads` gives it; or a record, which is returned as it is. `where`: what
    the sentence about an error calls it.

    **Raises:** `InputError`, one sentence, if it is of another kind or format, lacks a field that must be there, or holds
    something that the field can not hold.
    """
    if isinstance(value, kind):
        return value
    name = str(kind.__struct_config__.tag)
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a dictionary of kind {name!r}; got a {type(value).__name__}.")
    if value.get("kind") != name:
        raise InputError(f"{where} is of kind {value.get('kind')!r}; one of kind {name!r} is needed.")
    number = value.get("format")
    if number != kind.FORMAT or isinstance(number, bool):
        raise InputError(
            f"{where} has format {number!r}, this version of Shoal reads {kind.FORMAT}; make it again with it."
        )
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} is damaged: {str(error).replace('$.', '')}.") from error


def write_record(record: Record | Mapping[str, object], path: str | os.PathLike[str]) -> None:
    """Writes `record` to `path` as strict JSON; non-finite floats become the strings "nan", "inf", "-inf".

    **Arguments:** `record`: a record, or a dictionary (NumPy and JAX scalars and arrays are converted). `path`: the
    file; it is replaced if it exists, in one step.

    **Raises:** `InputError` if the record holds something that JSON has no word for, or the folder can not be
    written.
    """
    plain = to_plain(record)
    if not isinstance(plain, dict):
        raise InputError(f"A record is a dictionary, got a {type(record).__name__}.")
    write_text(json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1) + "\n", path)


@overload
def read_record(path: str | os.PathLike[str]) -> dict[str, Any]: ...
@overload
def read_record(path: str | os.PathLike[str], kind: type[T]) -> T: ...
def read_record(path: str | os.PathLike[str], kind: type[T] | None = None) -> T | dict[str, Any]:
    """Returns the record in `path`; "nan", "inf", "-inf" come back as floats where the field is numeric.

    **Arguments:** `kind`: what it must be, such as `FitRecord`, which is then returned; None: any dictionary.

    **Raises:** `InputError` if the file is missing, is not UTF-8 JSON, does not hold a dictionary, or not one of `kind`.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} can not be read: {reason}; name a record.json that `shoal fit` wrote."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a record: byte {error.start} is not UTF-8 text.") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not a record: line {error.lineno} is not JSON ({error.msg}).") from error
    except RecursionError as error:
        raise InputError(f"{path} is not a record: it is nested too deeply.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a record: it holds a {type(value).__name__}, not a dictionary.")
    return from_plain(value) if kind is None else as_record(value, kind, f"The record {path}")


def to_plain(value: Any, where: str = "record") -> Any:
    """Returns `value` as dictionaries, lists, strings, finite numbers, booleans and `None` only.

    **Arguments:** `value`: anything built from mappings with text keys, lists, tuples, numbers, texts, paths, msgspec
    structs, and objects with `tolist()` (NumPy and JAX arrays and scalars). `where`: its place, for the error message.

    **Raises:** `InputError` if a key is not text, or a value is of another type.
    """
    if value is None or isinstance(value, (bool, str)):
        return value if isinstance(value, bool) or value is None else str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, msgspec.Struct):
        kind = value.__struct_config__
        head = {} if kind.tag_field is None else {kind.tag_field: kind.tag}
        value = head | msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(
                    f"A record needs text keys, but {where} has the key {key!r}; write it as a string."
                )
        return {str(key): to_plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
            return list(value)
        return [to_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain) is not type(value):
            return to_plain(plain, where)
    raise InputError(
        f"A record holds numbers, texts, lists and dictionaries, but {where} is a {type(value).__name__}; "
        "convert it first."
    )


def from_plain(value: Any, *, text: bool = False) -> Any:
    """Returns `value` with "nan", "inf", "-inf" as floats wherever the field is numeric (see `TEXT_KEYS`)."""
    if isinstance(value, str):
        return value if text else _NON_FINITE.get(value, value)
    if isinstance(value, list):
        if not {str, list, dict} & set(map(type, value)):
            return value
        return [from_plain(item, text=text) for item in value]
    if isinstance(value, dict):
        return {key: from_plain(item, text=text or key in TEXT_KEYS) for key, item in value.items()}
    return value
