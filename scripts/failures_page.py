"""Writes docs/failures.md from its text in scripts/ and the figures in results/failures.json and results/truth.json.

    python scripts/failures_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "failures.md", ROOT / "results" / "failures.json"
TRUTH = ROOT / "results" / "truth.json"


def number(x: Any) -> str:
    """Three digits; what JSON has no number for, as its text."""
    return x if isinstance(x, str) else f"{x:.3g}"


def difference(a: Any, b: Any) -> str:
    """a - b, where both are numbers."""
    return "not finite" if isinstance(a, str) or isinstance(b, str) else f"{a - b:.3g}"


def lost(trip: dict[str, Any]) -> str:
    """One failure in words."""
    extra = f", {trip['nonfinite']} of {trip['rows']} not finite" if trip["nonfinite"] else ""
    return f"loses {number(trip['round_trip'])}{extra}"


def best(check: dict[str, Any]) -> int:
    """The layer whose float64 helps most."""
    size = lambda t: float(t["round_trip"]) if t["round_trip"] == t["round_trip"] else float("inf")
    return min(
        range(len(check["alone"])), key=lambda i: (check["alone"][i]["nonfinite"], size(check["alone"][i]))
    )


def checked(row: dict[str, Any]) -> str:
    """The independent check."""
    check = row.get("check")
    if check is None:
        return "There was no failure to check."
    way = "x -> z -> x" if check["way"] == "data" else "z -> x -> z"
    i, named = best(check), row["audit"]["worst_layer"]
    parts = [f"At step {check['step']} {way} {lost(check['float32'])} in float32."]
    if named is not None:
        name = row["audit"]["names"][named]
        parts.append(f"With layer {named} ({name}) alone in float64 it {lost(check['alone'][named])}.")
    parts.append(f"The single layer that helps most is {i}: it {lost(check['alone'][i])}.")
    parts.append(f"With all layers in float64 it {lost(check['all'])}.")
    return " ".join(parts)


def section(name: str, row: dict[str, Any]) -> str:
    """One failure."""
    first, audit = row["runs"][0], row["audit"]
    missed = "" if first["first_named"] is not None else " **The audit did not see this failure coming.**"
    threads = ", ".join(f"<{t}>" for t in row["threads"])
    steps = "\n".join(f"step {s}: {said}" for s, said in row["steps_shown"].items())
    stopped = f"\ntraining stopped at step {first['stopped']}: {first['message']}" if first["stopped"] else ""
    named = "no checkpoint before" if first["first_named"] is None else f"step {first['first_named']}"
    proposed = ", ".join(p["remedy"] for p in audit["proposed"]) or "nothing"
    costs = "; ".join(
        f"seed {r['seed']}: failed at step {r['failed']}, named from step {r['first_named']}, cost "
        f"{difference(r['log_likelihood_before'], r['remedied']['log_likelihood_before'])} "
        f"({number(r['log_likelihood_before'])} without, {number(r['remedied']['log_likelihood_before'])} with)"
        for r in row["runs"]
    )
    return "\n\n".join(
        [
            f"## {row['library']}: {row['what']}",
            f"What users see ({threads}): {row['says']}.",
            f"```\n{steps}{stopped}\n```",
            f"**Audit** (step {audit['step']}; first named at {named}): {audit['sentence']} "
            f"Cause: *{audit['cause']}*.{missed}",
            f"**Independent check.** {checked(row)}",
            f"**Remedy.** Proposed, in order: {proposed}. Applied: {row['remedy']}, by the library's own means "
            f"({row['applied']}). At the end of its run: {first['remedied']['end']}.",
            f"**Cost.** {costs}.",
        ]
    )


def truth(record: dict[str, Any]) -> dict[str, str]:
    """Counts, what was wrong, and the held-out table."""
    fine = lambda r: r["healthy"] if r["expected"] == "none" else r["right"]
    counted = [
        (
            name,
            f"{c['false_alarms']} of {c['healthy']}",
            f"{c['missed']} of {c['sick']}",
            f"{c['right_cause']} of {c['sick']}",
        )
        for name, c in record["counts"].items()
    ]
    wrong = [
        f"{r['name']} ({r['table']}): {r['cause']}, not {r['expected']}"
        for r in record["rows"]
        if not fine(r)
    ]
    rows = sorted(
        (r for r in record["rows"] if r["table"] == "held out"), key=lambda r: r["expected"] != "none"
    )
    return {
        "counts": table(("maps", "healthy called sick", "sick called healthy", "cause right"), counted),
        "wrong": "; ".join(wrong) + "." if wrong else "nothing.",
        "truth": table(
            ("map", "right", "verdict"), [(r["what"], r["expected"], r["sentence"]) for r in rows]
        ),
    }


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    failures = "\n\n".join(section(n, r) for n, r in record["failures"].items())
    head = "| library | flow | layers | verdict |\n|---|---|---|---|\n"
    lines = [f"| {n} | {r['what']} | {r['layers']} | {r['sentence']} |" for n, r in record["healthy"].items()]
    seeds = {len(r["runs"]) for r in record["failures"].values()}
    said = (
        "One seed each."
        if seeds == {1}
        else f"{min(seeds)} to {max(seeds)} seeds, as said with each failure."
    )
    text = (ROOT / "scripts" / "failures.md").read_text(encoding="utf-8")
    judged = truth(json.loads(TRUTH.read_text(encoding="utf-8")))
    return filled(text, {"seeds": said, "failures": failures, "healthy": head + "\n".join(lines), **judged})


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
