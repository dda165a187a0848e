"""From trained rungs to the flow that is delivered: what is measured, which gate it passes, and what would do better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray
from shoal.selection._prepare import Prepared
from shoal.selection._rule import Choice, choose
from shoal.selection._rung import Rung, measure_rung


@dataclass(frozen=True)
class Gates:
    """What a rung must pass: the margin in nats, the largest 99 % κ and 99.9 % float32 round trip."""

    margin: float
    max_condition: float
    max_round_trip: float

    @property
    def limits(self) -> str:
        """The two limits in words."""
        return f"99 % κ at most {self.max_condition:.6g} and 99.9 % of float32 round trips within {self.max_round_trip:.3g}"


@dataclass(frozen=True)
class Delivery:
    """The delivered rung and seed; `gate`: the strongest gate that it passes; `why`, `advice`: a clause and a sentence."""

    rung: int
    seed: int
    gate: str
    why: str
    advice: str


def decide(
    rungs: Sequence[Rung],
    prepared: Prepared,
    gates: Gates,
    more: Callable[[], bool],
    *,
    limited: bool = False,
) -> tuple[Choice, Delivery | None]:
    """Measure rungs and apply the rule: those as good as the best from the shallowest on, until one passes; then the best.

    `more()` says whether there is time for further rungs, which are measured for the charts only, the likeliest first.
    `limited`: round trips in float64 are measured only of a flow that is to be used in float64.
    """
    choice = _choice(rungs, prepared, gates)
    order = sorted(choice.good(), key=lambda i: rungs[i].depth)
    for i in order:
        if not rungs[i].figures:
            measure_rung(rungs[i], prepared, whole=not limited)
            choice = _choice(rungs, prepared, gates)
        if choice.chosen is not None:
            break
    verdicts = [(v.mean, i) for i, v in enumerate(choice.verdicts) if v is not None]
    for _, i in sorted(verdicts, reverse=True):
        if (choice.chosen is None or more()) and not rungs[i].figures:
            measure_rung(rungs[i], prepared, whole=not limited)
            choice = _choice(rungs, prepared, gates)
    delivery = _delivery(rungs, choice, prepared, gates)
    if limited and delivery is not None and delivery.gate == "none":
        measure_rung(rungs[delivery.rung], prepared, whole=True)
    return choice, delivery


def _choice(rungs: Sequence[Rung], prepared: Prepared, gates: Gates) -> Choice:
    return choose(
        [r.candidate() for r in rungs],
        margin=gates.margin,
        max_condition=gates.max_condition,
        max_round_trip=gates.max_round_trip,
        weights=prepared.parts["validation"].weights,
    )


def _delivery(rungs: Sequence[Rung], choice: Choice, prepared: Prepared, gates: Gates) -> Delivery | None:
    if choice.best is None:
        return None
    weights: FloatArray | None = prepared.parts["validation"].weights
    if choice.chosen is not None:
        return Delivery(choice.chosen, rungs[choice.chosen].best_seed(weights), "both gates", "", "")
    ranked = sorted(
        (i for i, v in enumerate(choice.verdicts) if v is not None and rungs[i].figures),
        key=lambda i: -_value(choice, i),
    )
    wide = (
        f"--max-condition {_next_power(max((_condition(rungs[i]) for i in choice.good()), default=np.inf))}"
    )
    single = [i for i in ranked if (v := choice.verdicts[i]) is not None and v.invertible]
    if single:
        why = "the likeliest whose float32 round trips pass, whatever its κ"
        return Delivery(single[0], rungs[single[0]].best_seed(weights), "round trip", why, f"Try {wide}.")
    kept = choice.best
    why = "the likeliest, to be used in float64"
    return Delivery(kept, rungs[kept].best_seed(weights), "none", why, "Try --dtype float64.")


def _value(choice: Choice, index: int) -> float:
    verdict = choice.verdicts[index]
    return -np.inf if verdict is None else verdict.mean


def _condition(rung: Rung) -> float:
    candidate = rung.candidate()
    return np.inf if candidate is None or candidate.condition_q99 is None else candidate.condition_q99


def _next_power(value: float) -> str:
    return f"1e{int(np.ceil(np.log10(value)))}" if np.isfinite(value) and value > 0 else "1e9"
