"""The rungs of a record as flat rows, with missing figures as `None`.

A rung is a front alone (depth 0), or a family at a depth behind a front. Rows keep the record's order; `index` is the
place in it, which `decision.chosen`, `best` and `kept` (the delivered one) refer to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._numbers import finite_values, number

NO_LAYER = "no layer"  # the series of all fronts alone
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder; log-likelihoods in nats per row, condition numbers of latent -> standardised data."""

    index: int
    name: str
    front: str
    chain: str
    depth: int
    status: str
    parameters: float | None
    validation: float | None
    validation_mean: float | None
    difference: float | None
    standard_error: float | None
    upper: float | None
    state: str
    dropped: str
    gain: Mapping[str, Any]
    condition: Mapping[str, Any]
    condition_user_units: Mapping[str, Any]
    round_trip: Mapping[str, Any]
    well_conditioned: bool | None
    invertible: bool | None
    seconds: float | None
    seeds: tuple[Mapping[str, Any], ...]
    chosen: bool
    best: bool
    delivered: bool

    @property
    def series(self) -> str:
        """What has one colour and shape in every chart: the chain, or one for all fronts alone."""
        return self.chain if self.depth else NO_LAYER

    @property
    def complete(self) -> bool:
        """True if the rung was trained to its end, or needed no training."""
        return self.status in ("finished", "stopped early", "closed form")

    @property
    def marks(self) -> list[str]:
        """The words beside its name: "chosen", or "delivered" where it is not, and "best"."""
        kept = ["chosen"] if self.chosen else ["delivered"] * self.delivered
        return kept + ["best"] * self.best


def rungs_of(record: Mapping[str, Any]) -> list[Rung]:
    """Returns the rungs of a checked record, in its order."""
    decision = mapping(record.get("decision"))
    return [_rung(index, rung, decision) for index, rung in enumerate(record["rungs"])]


def delivered_of(rungs: list[Rung]) -> Rung | None:
    """Returns the rung that is written as the model, whether it was chosen or not."""
    return next((rung for rung in rungs if rung.delivered), None)


def kept_seed(record: Mapping[str, Any], rung: Rung) -> Mapping[str, Any]:
    """Returns the seed of the delivered rung that is written as the model; nothing for a front alone."""
    kept = mapping(record.get("decision")).get("seed")
    return next((seed for seed in rung.seeds if seed.get("seed") == kept), _NOTHING)


def series_of(rungs: list[Rung]) -> list[str]:
    """Returns the chains in order of appearance, and last what all fronts alone share."""
    found = list(dict.fromkeys(rung.chain for rung in rungs if rung.depth))
    return [*found, NO_LAYER] if any(not rung.depth for rung in rungs) else found


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
        name=str(rung["name"]),
        front=str(rung.get("front") or ""),
        chain=str(rung["family"]),
        depth=int(rung["depth"]),
        status=str(rung["status"]),
        parameters=number(rung.get("parameters")),
        validation=number(rung.get("validation_log_likelihood")),
        validation_mean=number(rung.get("validation_mean")),
        difference=number(rung.get("difference")),
        standard_error=number(rung.get("standard_error")),
        upper=number(rung.get("upper")),
        state=str(rung.get("state") or ""),
        dropped=str(rung.get("dropped") or ""),
        gain=mapping(rung.get("gain")),
        condition=mapping(rung.get("condition")),
        condition_user_units=mapping(rung.get("condition_user_units")),
        round_trip=mapping(rung.get("round_trip")),
        well_conditioned=_flag(rung.get("well_conditioned")),
        invertible=_flag(rung.get("invertible")),
        seconds=seconds if seconds is not None else (sum(spent) if spent else None),
        seeds=seeds,
        chosen=decision.get("chosen") == index,
        best=decision.get("best") == index,
        delivered=decision.get("kept") == index,
    )


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
