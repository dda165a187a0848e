"""`FitSettings`: what `shoal fit` was asked to do, checked, and as `config.json` holds it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import asdict

from shoal._errors import InputError
from shoal._names import FAMILY_NAMES, FRONT_NAMES
from shoal.cli import _parse
from shoal.records import Record, read_record

# None: by the rows
TRAINING = ("batch_size", "max_epochs", "patience", "learning_rate", "weight_decay", "devices")
# may differ when a run is resumed: none changes what an epoch computes
FREE = ("data", "time_limit", "devices")


class FitSettings(Record, frozen=True, kw_only=True, tag="fit settings"):
    """The settings of one run; each field is named as its option."""

    data: str
    columns: tuple[str, ...] | None
    drop: tuple[str, ...]
    context: tuple[str, ...]
    weights: str | None
    kinds: dict[str, str]
    fronts: tuple[str, ...] | None
    families: tuple[str, ...]
    depths: tuple[int, ...]
    start: Literal["grow", "scratch"]
    seeds: int
    seed: int
    time_limit: float | None
    margin: float | None
    max_condition: float
    max_round_trip: float
    dequantize: Literal["auto", "off"]
    parts: tuple[float, float, float]
    stream: Literal["auto", "off", "disk", "memory"]
    hidden: tuple[int, ...] | None
    batch_size: int | None
    max_epochs: int | None
    patience: int | None
    learning_rate: float | None
    weight_decay: float | None
    dtype: Literal["float32", "float64"]
    devices: int | None = None

    def differences(self, config: Path) -> list[str]:
        """The options in which `config`, the file of an earlier run, differs."""
        ours, earlier = asdict(self), asdict(read_record(config, FitSettings))
        return [_option(name) for name in ours if name not in FREE and ours[name] != earlier[name]]

    def for_ladder(self) -> dict[str, Any]:
        """The arguments of `shoal.ladder` beside the table; those of training are one of them."""
        options = {name: getattr(self, name) for name in PARSERS if name != "stream"}
        return options | {"settings": {name: options.pop(name) for name in TRAINING}}


PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "fronts": partial(_parse.parse_choices, known=FRONT_NAMES),
    "families": partial(_parse.parse_choices, known=FAMILY_NAMES),
    "depths": lambda text, option: tuple(sorted(set(_parse.parse_counts(text, option)))),
    "start": partial(_parse.parse_choice, known=("grow", "scratch")),
    "seeds": _parse.check_count,
    "seed": partial(_parse.check_count, least=0),
    "time_limit": _parse.parse_seconds,
    "margin": _parse.check_above,
    "max_condition": partial(_parse.check_above, bound=1.0),
    "max_round_trip": _parse.check_above,
    "dequantize": partial(_parse.parse_choice, known=("auto", "off")),
    "parts": _parse.parse_shares,
    "stream": partial(_parse.parse_choice, known=("auto", "off", "disk", "memory")),
    "hidden": _parse.parse_counts,
    "batch_size": _parse.check_count,
    "max_epochs": _parse.check_count,
    "patience": _parse.check_count,
    "learning_rate": _parse.check_above,
    "weight_decay": partial(_parse.check_at_least, bound=0.0),
    "devices": _parse.check_count,
    "dtype": partial(_parse.parse_choice, known=("float32", "float64")),
}


def parse_settings(data: str, given: Mapping[str, Any]) -> FitSettings:
    """Checks the options of `shoal fit`, given under their names, as text where the command line has text.

    **Raises:** `InputError` naming the option, the value seen and what it may be.
    """
    values: dict[str, Any] = {
        name: None if given[name] is None else parse(given[name], _option(name))
        for name, parse in PARSERS.items()
    }
    kinds = _parse.parse_kinds(given["kind"], "--kind") if given["kind"] is not None else {}
    if kinds and values["dequantize"] == "off":
        raise InputError("--dequantize off takes every column for numbers as they are; leave out --kind.")
    return FitSettings(data=data, **_parse.parse_columns(given), kinds=kinds, **values)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
