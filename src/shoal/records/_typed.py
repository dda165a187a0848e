"""From plain values to the struct of a kind of record, with one sentence about what does not fit.

A record is written as `to_plain` says: non-finite floats are the texts "nan", "inf", "-inf", which fields of numbers read
back as floats; fields of text keep such a text.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from .._errors import InputError


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What stands in a file: its kind, `format` (the version of its fields), and the figures."""

    FORMAT: ClassVar[int] = 1

    format: int = 1


T = TypeVar("T", bound=Record)


def check_lengths(columns: msgspec.Struct) -> None:
    """**Raises:** ValueError where two lists among the fields, empty ones aside, differ in length."""
    fields = msgspec.structs.asdict(columns)
    lengths = {name: len(values) for name, values in fields.items() if isinstance(values, list) and values}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its lists differ in length: {lengths}")


def as_record(value: Any, kind: type[T], where: str = "The record") -> T:
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
