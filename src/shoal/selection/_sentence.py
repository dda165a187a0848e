"""The sentence of the decision, as the report and the terminal show it."""

from collections.abc import Sequence

from shoal.selection._choice import Delivery
from shoal.selection._rule import Choice
from shoal.selection._rung import Rung


def sentence(rungs: Sequence[Rung], choice: Choice, delivery: Delivery | None, limits: str) -> str:
    """Why this rung, or why none, in words and figures. Every figure stands beside the name of its rung."""
    if choice.best is None or delivery is None:
        if not any(r.log_likelihoods for r in rungs):
            return "No rung had the time for one epoch. Give a longer time limit, or fewer depths."
        return "No rung ended with a finite validation log-likelihood; nothing can be chosen."
    best, kept = rungs[choice.best], rungs[delivery.rung]
    if choice.chosen is None:
        return (
            f"No rung that is as good as the best ({best.name}) has {limits}. Delivered: {kept.name}, {delivery.why}; "
            f"{figures(kept)}. {delivery.advice}"
        )
    verdict = choice.verdicts[delivery.rung]
    if delivery.rung == choice.best or verdict is None:
        measured = sum(v is not None for v in choice.verdicts)
        why = f"the best validation log-likelihood of {measured} rungs"
    else:
        why = (
            f"as good as the best ({best.name}): behind by {verdict.difference:.3g} ± {verdict.standard_error:.2g} nats a "
            f"row, at most {verdict.upper:.3g} with 95 % confidence"
        )
    skipped = [rungs[i].name for i in choice.good() if _shallower_but_unsafe(rungs, choice, i)]
    more = f" Shallower and as good, but ill-conditioned: {', '.join(skipped)}." if skipped else ""
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
