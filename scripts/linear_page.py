"""Writes the figures of docs/linear.md from results/linear-lower-bounds.json, and with --picture its chart.

    python scripts/linear_page.py [--check | --picture]

The page's own text stands around the two marks; only what lies between them is written.
"""

import json
from pathlib import Path
from typing import Any

from _pages import between_marks, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "linear.md", ROOT / "docs" / "images" / "frontier.svg"
RECORD = ROOT / "results" / "linear-lower-bounds.json"
SERIES = {  # name -> colour, and the key of a row
    "found": ("#0b66a8", "condition"),
    "lower bound": ("#d1622b", "bound"),
    "lower bound by singular values alone": ("#8a8a8a", "bound_by_singular_values"),
}


def figures(found: dict[str, Any]) -> str:
    """The table of frontiers and the counts of the other parts."""
    rows = found["frontiers"]["rows"]
    counts = sorted({row["layers"] for row in rows})
    lines = []
    for name in dict.fromkeys(row["matrix"] for row in rows):
        cells = [[r for r in rows if r["matrix"] == name and r["layers"] == m] for m in counts]
        lines.append([name, *(_cell(cell) for cell in cells)])
    four, near = found["four"], found["identity"]
    kept = four["excluded_of_200"]
    larger = ", ".join(f"{row['four']} of {row['matrices']} at n = {row['n']}" for row in four["larger"])
    noise = found["config"]["noise"]
    smallest = {
        s: min(r["X: least singular value"] for r in near["rows"] if r["sign"] == s) for s in (1.0, -1.0)
    }
    return "\n\n".join(
        [
            "![Best worst condition number by the number of layers, and lower bounds](images/frontier.svg)",
            table(["found, at least", *(f"{m} layers" for m in counts)], lines),
            f"n = 8; of rotations and Gaussian matrices the median of three. None of the {found['frontiers']['found']} "
            "frontiers' values is below its bound.",
            f"Of {four['matrices']} Gaussian matrices of size 4, {four['four_proved']} have four layers (median worst κ "
            f"{four['condition_of_four_median']:.3g}, largest {four['condition_of_four_largest']:.3g}; largest residual "
            f"{four['residual_largest']:.1g}) and {four['five_proved']} need five, by certificate. Four were found for "
            f"{larger}. For n = 4 the certificate decides as the equation of traces does, "
            f"{four['decided_as_by_traces_of_600']} times of 600. It excludes four layers for {min(kept.values())} of 200 "
            f"matrices within 0.02 of diag(I, W), for each of {', '.join(f'W = {name}' for name in kept)}.",
            f"At ±I with noise of {noise:g}, n = 2 ... 32, an exact factorization is proved near Theorem E1's layers for "
            f"{near['proved']['X']} of {near['of']} matrices (at n = 32 σmin(J) is {smallest[1.0]:.2g} near I and "
            f"{smallest[-1.0]:.2g} near −I), near Theorem B's with A = I for {near['proved']['A = I']}, those with n = 2.",
        ]
    )


def _cell(rows: list[dict[str, Any]]) -> str:
    middle = lambda values: sorted(values)[len(values) // 2]
    bound = middle([row["bound"] for row in rows])
    conditions = [row["condition"] for row in rows if row["condition"] is not None]
    return f"{middle(conditions):.3g}, {bound:.3g}" if conditions else f"none, {bound:.3g}"


def picture(found: dict[str, Any]) -> str:
    """One panel a kind of matrix, one line a matrix and series."""
    import altair as alt
    import vl_convert

    from shoal.report import CONFIG

    panels = []
    rows = found["frontiers"]["rows"]
    for name in dict.fromkeys(row["matrix"] for row in rows):
        values = [
            {"layers": row["layers"], "draw": row["draw"], "series": series, "condition": row[key]}
            for row in rows
            if row["matrix"] == name
            for series, (_, key) in SERIES.items()
            if row[key] is not None
        ]
        colour = alt.Color(
            "series:N",
            title=None,
            scale=alt.Scale(domain=list(SERIES), range=[c for c, _ in SERIES.values()]),
        )
        scale = alt.Scale(type="log", domain=[0.97, 7])
        y = alt.Y("condition:Q", title="worst condition number", scale=scale)
        lines = alt.Chart(alt.Data(values=values)).mark_line(strokeWidth=1.6, point={"size": 18})
        lines = lines.encode(
            alt.X("layers:O", axis=alt.Axis(labelAngle=0)),
            y,
            colour,
            detail="draw:N",
            strokeDash=alt.StrokeDash(
                "series:N", title=None, scale=alt.Scale(domain=list(SERIES), range=[[1, 0], [5, 2], [2, 2]])
            ),
        )
        panels.append(lines.properties(width=150, height=170, title=name))
    chart = alt.hconcat(*panels).resolve_scale(y="shared").configure(**CONFIG)
    return vl_convert.vegalite_to_svg(chart.to_json())


if __name__ == "__main__":
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    if write_or_check(__doc__, lambda: {PAGE: between_marks(PAGE, figures(record))}, ("--picture",)).picture:
        PICTURE.write_text(picture(record), encoding="utf-8")
