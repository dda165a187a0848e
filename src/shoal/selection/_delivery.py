"""From trained rungs to what is delivered: what is measured, which gate it passes, what would do better, in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray
from shoal.records.figures import NextLayer
from shoal.selection._prepare import Prepared
from shoal.selection._rule import Choice, Gates, choose
from shoal.selection._rung import Rung, measure_rung


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
    delivery = delivered(rungs, choice, prepared.parts["validation"].weights)
    if limited and delivery is not None and delivery.gate == "none":
        measure_rung(rungs[delivery.rung], prepared, whole=True)
    return choice, delivery


def _choice(rungs: Sequence[Rung], prepared: Prepared, gates: Gates) -> Choice:
    return choose([r.candidate() for r in rungs], gates, prepared.parts["validation"].weights)


def delivered(rungs: Sequence[Rung], choice: Choice, weights: FloatArray | None) -> Delivery | None:
    if choice.best is None:
        return None
    if choice.chosen is not None:
        return Delivery(choice.chosen, rungs[choice.chosen].best_seed(weights), "both gates", "", "")
    invertible = [
        (verdict.mean, i)
        for i, verdict in enumerate(choice.verdicts)
        if verdict is not None and verdict.invertible and rungs[i].figures
    ]
    if invertible:
        _, kept = max(invertible, key=lambda pair: pair[0])
        wide = _next_power(max((_condition(rungs[i]) for i in choice.good()), default=np.inf))
        why = "the likeliest whose float32 round trips pass, whatever its κ"
        return Delivery(kept, rungs[kept].best_seed(weights), "round trip", why, f"Try max_condition {wide}.")
    kept = choice.best
    why = "the likeliest, to be used in float64"
    return Delivery(kept, rungs[kept].best_seed(weights), "none", why, "Try dtype float64.")


def _condition(rung: Rung) -> float:
    candidate = rung.candidate()
    return np.inf if candidate is None or candidate.condition_q99 is None else candidate.condition_q99


def _next_power(value: float) -> str:
    return f"1e{int(np.ceil(np.log10(value)))}" if np.isfinite(value) and value > 0 else "1e9"


def sentence(
    rungs: Sequence[Rung],
    choice: Choice,
    delivery: Delivery | None,
    limits: str,
    foretold: NextLayer | None = None,
    *,
    value: str = "validation log-likelihood",
    unit: str = "nats a row",
) -> str:
    """Why this rung, or why none, in words and figures. Every figure stands beside the name of its rung."""
    if choice.best is None or delivery is None:
        if not any(r.log_likelihoods for r in rungs):
            return "No rung had the time for one epoch. Give a longer time limit, or fewer depths."
        return f"No rung ended with a finite {value}; nothing can be chosen."
    best, kept = rungs[choice.best], rungs[delivery.rung]
    if choice.chosen is None:
        return (
            f"No rung that is as good as the best ({best.name}) has {limits}. Delivered: {kept.name}, {delivery.why}; "
            f"{figures(kept)}. {delivery.advice}"
        )
    verdict = choice.verdicts[delivery.rung]
    if delivery.rung == choice.best or verdict is None:
        measured = sum(v is not None for v in choice.verdicts)
        why = f"the best {value} of {measured} rungs"
    else:
        why = (
            f"as good as the best ({best.name}): behind by {verdict.difference:.3g} ± {verdict.standard_error:.2g} "
            f"{unit}, at most {verdict.upper:.3g} with 95 % confidence"
        )
    skipped = [rungs[i].name for i in choice.good() if _shallower_but_unsafe(rungs, choice, i)]
    more = f" Shallower and as good, but ill-conditioned: {', '.join(skipped)}." if skipped else ""
    more += "" if foretold is None else f" No deeper rung of its chain was trained. {foretold}"
    return f"Chosen: {kept.name}; {why}; {figures(kept)} (wanted: {limits}).{more}"


def figures(rung: Rung) -> str:
    """The rung's κ and round trip in words."""
    candidate = rung.candidate()
    if candidate is None or candidate.condition_q99 is None or candidate.round_trip is None:
        return "κ not measured"
    return f"99 % κ {candidate.condition_q99:.3g}, 99.9 % float32 round trip {candidate.round_trip:.2g}"


def _shallower_but_unsafe(rungs: Sequence[Rung], choice: Choice, index: int) -> bool:
    verdict = choice.verdicts[index]
    unsafe = verdict is not None and (verdict.well_conditioned is False or verdict.invertible is False)
    return unsafe and choice.chosen is not None and rungs[index].depth < rungs[choice.chosen].depth
