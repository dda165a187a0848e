"""The sentence of the decision, as the report and the terminal show it."""

from collections.abc import Sequence

from shoal.selection._rule import Choice
from shoal.selection._rung import Rung


def sentence(rungs: Sequence[Rung], choice: Choice, *, max_condition: float, max_round_trip: float) -> str:
    """Why this rung, or why none, in words and figures."""
    if choice.best is None:
        if not any(r.figures for r in rungs):
            return "No rung had the time for one epoch. Give a longer time limit, or fewer depths."
        return "No rung ended with a finite validation log-likelihood; nothing can be chosen."
    best, top = rungs[choice.best], choice.verdicts[choice.best]
    limits = f"99 % κ at most {max_condition:.6g} and a float32 round trip within {max_round_trip:.3g}"
    if choice.chosen is None or top is None:
        good = [i for i, v in enumerate(choice.verdicts) if v is not None and v.as_good]
        listed = "; ".join(f"{name(rungs[i])}: {_conditions(rungs[i])}" for i in good)
        return f"None of the rungs that are as good as the best has {limits} ({listed}). The trade-off is shown below."
    chosen, verdict = rungs[choice.chosen], choice.verdicts[choice.chosen]
    if choice.chosen == choice.best or verdict is None:
        why = _best_of(sum(v is not None for v in choice.verdicts), len(rungs))
        if not _shallower_as_good(rungs, choice) and why.startswith("the best"):
            why += ", and no shallower rung comes within one standard error"
    else:
        why = (
            f"within one standard error of the best ({name(best)}): "
            f"behind by {verdict.difference:.4g} ± {verdict.standard_error:.2g} nats a row"
        )
    passed = _shallower_as_good(rungs, choice)
    skipped = f" Shallower and as good, but ill-conditioned: {', '.join(passed)}." if passed else ""
    return f"Chosen: {name(chosen)}; {why}; {_conditions(chosen)} (wanted: {limits}).{skipped}"


def _best_of(measured: int, rungs: int) -> str:
    if measured == 1 < rungs:
        return f"the only one of {rungs} rungs that was measured"
    return "the best validation log-likelihood of " + (
        "all rungs" if measured == rungs else f"the {measured} rungs that were measured, of {rungs}"
    )


def name(rung: Rung) -> str:
    """The rung in words."""
    return f"{rung.family} with {rung.depth} layer{'s' if rung.depth > 1 else ''}"


def _conditions(rung: Rung) -> str:
    candidate = rung.candidate()
    if candidate is None:
        return "not measured"
    return f"99 % κ {candidate.condition_q99:.3g}, float32 round trip {candidate.round_trip:.2g}"


def _shallower_as_good(rungs: Sequence[Rung], choice: Choice) -> list[str]:
    if choice.chosen is None:
        return []
    depth = rungs[choice.chosen].depth
    return [
        name(rungs[i])
        for i, v in enumerate(choice.verdicts)
        if v is not None and v.as_good and not v.eligible and rungs[i].depth < depth
    ]
