"""Plain Python values to and from strict JSON.

A non-finite float is stored as the string "nan", "inf" or "-inf", never as a made-up number. Going back, such a
string becomes a float again except under a key that holds text (a column may well be called "nan" or "inf").
"""

import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from .._errors import InputError

# Everything under one of these keys is text (or a list of texts) and is never turned into a float.
TEXT_KEYS = frozenset(
    {
        "activation",
        "column",
        "columns",
        "command",
        "context",
        "context_columns",
        "created",
        "device",
        "drop",
        "dtype",
        "families",
        "family",
        "kind",
        "layer",
        "message",
        "name",
        "names",
        "partition",
        "sentence",
        "source",
        "status",
        "versions",
        "weights",
        "weights_column",
    }
)

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


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
