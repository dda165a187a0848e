"""`FitSettings`: what `shoal fit` was asked to do, checked, and as `config.json` holds it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from .._names import FAMILY_NAMES, FRONT_NAMES
from ..records import Record, read_record
from ._parse import (
    check_above,
    check_at_least,
    check_count,
    parse_choice,
    parse_choices,
    parse_counts,
    parse_names,
    parse_seconds,
    parse_shares,
    single_name,
)

TRAINING = ("batch_size", "max_epochs", "patience", "learning_rate", "weight_decay")  # None: by the rows
FREE = (
    "data",
    "time_limit",
)  # may differ when a run is resumed: neither changes what is computed in an epoch


class FitSettings(Record, frozen=True, kw_only=True, tag="fit settings"):
    """The settings of one run; each field is named as its option."""

    data: str
    columns: tuple[str, ...] | None
    drop: tuple[str, ...]
    context: tuple[str, ...]
    weights: str | None
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
    hidden: tuple[int, ...] | None
    batch_size: int | None
    max_epochs: int | None
    patience: int | None
    learning_rate: float | None
    weight_decay: float | None
    dtype: Literal["float32", "float64"]

    def differences(self, config: Path) -> list[str]:
        """The options in which `config`, the file of an earlier run, differs."""
        earlier = read_record(config, FitSettings)
        names = [name for name in self.__struct_fields__ if name not in FREE]
        return [
            f"--{name.replace('_', '-')}" for name in names if getattr(self, name) != getattr(earlier, name)
        ]


def _optional(check: Callable[..., Any], value: Any, *words: Any) -> Any:
    return None if value is None else check(value, *words)


def parse_settings(data: Path, given: dict[str, Any]) -> FitSettings:
    """Checks the options of `shoal fit`, given under their names, as text where the command line has text.

    **Raises:** `InputError` naming the option, the value seen and what it may be.
    """
    weight = single_name(parse_names(given["weights"], "--weights"), "--weights")
    return FitSettings(
        data=str(data),
        columns=parse_names(given["columns"], "--columns") or None,
        drop=parse_names(given["drop"], "--drop"),
        context=parse_names(given["context"], "--context"),
        weights=weight,
        fronts=parse_choices(given["fronts"], "--fronts", FRONT_NAMES) if given["fronts"] else None,
        families=parse_choices(given["families"], "--families", FAMILY_NAMES),
        depths=tuple(sorted(set(parse_counts(given["depths"], "--depths")))),
        start=parse_choice(given["start"], "--start", ("grow", "scratch")),
        seeds=check_count(given["seeds"], "--seeds"),
        seed=check_count(given["seed"], "--seed", 0),
        time_limit=parse_seconds(given["time_limit"], "--time-limit"),
        margin=_optional(check_above, given["margin"], "--margin", 0.0),
        max_condition=check_above(given["max_condition"], "--max-condition", 1.0),
        max_round_trip=check_above(given["max_round_trip"], "--max-round-trip", 0.0),
        dequantize=parse_choice(given["dequantize"], "--dequantize", ("auto", "off")),
        parts=parse_shares(given["parts"], "--parts"),
        hidden=parse_counts(given["hidden"], "--hidden") if given["hidden"] else None,
        batch_size=_optional(check_count, given["batch_size"], "--batch-size"),
        max_epochs=_optional(check_count, given["max_epochs"], "--max-epochs"),
        patience=_optional(check_count, given["patience"], "--patience"),
        learning_rate=_optional(check_above, given["learning_rate"], "--learning-rate", 0.0),
        weight_decay=_optional(check_at_least, given["weight_decay"], "--weight-decay", 0.0),
        dtype=parse_choice(given["dtype"], "--dtype", ("float32", "float64")),
    )
