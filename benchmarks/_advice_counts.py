"""The ladder's choice as an entry of the adviser's record, and the counts of ranges that hold the choices."""

import math
from typing import Any


def choice(made: Any) -> dict[str, Any]:
    """The ladder's choice and what each rung reached."""
    chosen = made.choice.chosen
    depth = None if chosen is None else made.rungs[chosen].depth
    rungs = []
    for rung, verdict in zip(made.rungs, made.choice.verdicts, strict=True):
        candidate = rung.candidate()
        rungs.append(
            {
                "depth": rung.depth,
                "validation": None if candidate is None else float(candidate.log_likelihoods.mean()),
                "condition_q99": None if candidate is None else float(candidate.condition_q99),
                "as_good": None if verdict is None else bool(verdict.as_good),
            }
        )
    delivered = depth
    if delivered is None:
        good = [r for r in rungs if r["as_good"]]
        delivered = min(good, key=lambda r: r["condition_q99"])["depth"] if good else None
    return {"chosen": depth, "depth": delivered, "rungs": rungs}


def within(depth: int, bounds: Any) -> bool:
    """Whether the range holds the depth."""
    return bounds[0] <= depth <= bounds[1]


def around(depth: int) -> tuple[int, int]:
    """The range of two doublings with the depth in its middle, moved where the ladder's depths, 1 to 32, end."""
    low = min(max(depth // 2, 1), 8)
    return low, 4 * low


def agreement(entries: dict[str, dict[str, Any]], again: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How a second ladder of the same tables agrees with the first, and what ranges hold its choices.

    `around`: the range around the first ladder's own choice. `constant`: the one that holds most of the first's choices.
    """
    both = [(entries[name], e) for name, e in again.items() if name in entries and e["depth"] is not None]
    held = constants([one for one, _ in both])
    best = max(held, key=lambda bounds: held[bounds])
    steps = [abs(math.log2(two["depth"] / one["depth"])) for one, two in both]
    return {
        "tables": len(both),
        "same": sum(step == 0 for step in steps),
        "neighbours": sum(step <= 1 for step in steps),
        "around": sum(within(two["depth"], around(one["depth"])) for one, two in both),
        "advised": sum(within(two["depth"], one["range"]) for one, two in both),
        "constant": f"{best[0]} to {best[1]}",
        "constant_holds": sum(within(two["depth"], best) for _, two in both),
    }


def constants(entries: list[dict[str, Any]]) -> dict[tuple[int, int], int]:
    """How many choices each constant range of two doublings holds."""
    return {(a, 4 * a): sum(within(e["depth"], (a, 4 * a)) for e in entries) for a in (1, 2, 4, 8)}


def counts(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """How many choices the advised ranges hold, and the best constant range of their median width, two doublings.

    `wider`: constant ranges of three and four doublings, as some advised ranges are wider than the median.
    """
    if not entries:
        return {}
    constant = {f"{a} to {b}": number for (a, b), number in constants(entries).items()}
    best = max(constant, key=lambda k: constant[k])
    doublings = sorted(math.log2(e["range"][1] / e["range"][0]) for e in entries)
    return {
        "tables": len(entries),
        "advised": sum(e["inside"] for e in entries),
        "constant": constant,
        "best_constant": best,
        "best_constant_holds": constant[best],
        "wider": {f"{a} to 32": sum(within(e["depth"], (a, 32)) for e in entries) for a in (4, 2)},
        "median_doublings": doublings[len(doublings) // 2],
        "mean_doublings": sum(doublings) / len(doublings),
    }
