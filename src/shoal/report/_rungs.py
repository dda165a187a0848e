"""The rungs of a record as flat rows, with missing figures as `None`.

A rung is one family at one depth. Rows keep the record's order; `index` is the place in it, which
`decision.chosen` and `decision.best` refer to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._numbers import finite_values, number

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder; log-likelihoods in nats per row, condition numbers of latent -> standardised data."""

    index: int
    family: str
    depth: int
    status: str
    parameters: float | None
    validation: float | None
    difference: float | None
    standard_error: float | None
    as_good: bool | None
    condition: Mapping[str, Any]
    condition_user_units: Mapping[str, Any]
    round_trip: Mapping[str, Any]
    well_conditioned: bool | None
    invertible: bool | None
    seconds: float | None
    seeds: tuple[Mapping[str, Any], ...]
    chosen: bool
    best: bool

    @property
    def name(self) -> str:
        """For example "realnvp, depth 4"."""
        return f"{self.family}, depth {self.depth}"

    @property
    def complete(self) -> bool:
        """True if the rung was trained to its end."""
        return self.status in ("finished", "stopped early")


def rungs_of(record: Mapping[str, Any]) -> list[Rung]:
    """Returns the rungs of a checked record, in its order."""
    decision = mapping(record.get("decision"))
    return [_rung(index, rung, decision) for index, rung in enumerate(record["rungs"])]


def chosen_of(rungs: list[Rung]) -> Rung | None:
    """Returns the chosen rung, if there is one."""
    return next((rung for rung in rungs if rung.chosen), None)


def best_of(rungs: list[Rung]) -> Rung | None:
    """Returns the rung of the highest validation log-likelihood, if one was named."""
    return next((rung for rung in rungs if rung.best), None)


def families_of(rungs: list[Rung]) -> list[str]:
    """Returns the families in order of appearance."""
    return list(dict.fromkeys(rung.family for rung in rungs))


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns `value` if it is a dictionary, else an empty one."""
    return value if isinstance(value, Mapping) else _NOTHING


def sequence(value: Any) -> list[Any]:
    """Returns `value` as a list if it is a list or tuple, else an empty one."""
    return list(value) if isinstance(value, (list, tuple)) else []


def _rung(index: int, rung: Mapping[str, Any], decision: Mapping[str, Any]) -> Rung:
    seeds = tuple(mapping(seed) for seed in sequence(rung.get("seeds")))
    spent = finite_values(seed.get("seconds") for seed in seeds)
    seconds = number(rung.get("seconds"))
    return Rung(
        index=index,
        family=str(rung["family"]),
        depth=int(rung["depth"]),
        status=str(rung["status"]),
        parameters=number(rung.get("parameters")),
        validation=number(rung.get("validation_log_likelihood")),
        difference=number(rung.get("difference")),
        standard_error=number(rung.get("standard_error")),
        as_good=_flag(rung.get("as_good")),
        condition=mapping(rung.get("condition")),
        condition_user_units=_user_units(rung, seeds, decision, index),
        round_trip=mapping(rung.get("round_trip")),
        well_conditioned=_flag(rung.get("well_conditioned")),
        invertible=_flag(rung.get("invertible")),
        seconds=seconds if seconds is not None else (sum(spent) if spent else None),
        seeds=seeds,
        chosen=decision.get("chosen") == index,
        best=decision.get("best") == index,
    )


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _user_units(
    rung: Mapping[str, Any], seeds: tuple[Mapping[str, Any], ...], decision: Mapping[str, Any], index: int
) -> Mapping[str, Any]:
    """The rung's own figure if it has one, else that of the kept seed of the chosen rung, else of the first seed."""
    if isinstance(rung.get("condition_user_units"), Mapping):
        return rung["condition_user_units"]
    if decision.get("chosen") == index:
        for seed in seeds:
            if seed.get("seed") == decision.get("seed") and isinstance(
                seed.get("condition_user_units"), Mapping
            ):
                return seed["condition_user_units"]
    return mapping(seeds[0].get("condition_user_units")) if seeds else _NOTHING
