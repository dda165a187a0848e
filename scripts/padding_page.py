"""Writes docs/padding.md from scripts/padding.md and results/padding.json; with --picture also its picture.

    python scripts/padding_page.py [--check] [--picture]

`--check` writes nothing and exits with 1 where the page is not what it would write. `--picture` needs vl-convert-python.
"""

import math
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check
from studies.records import Records, read_records
from studies.registry import find
from studies.summary import Row, Spread, summarize

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "padding.md"
PICTURE = ROOT / "docs" / "images" / "padding-conditions.svg"
STUDY = find("padding")
MAIN = ("none", "zero", "gaussian")
IMAGES = ("digits", "mnist-14")
LEAST = 10  # effective draws of 64, below which the marginal is not quoted
COLOURS = {"none": "#5b6876", "zero": "#b3261e", "gaussian": "#2b6c99"}


def number(x: float | None) -> str:
    """Three digits, plain up to a million."""
    if x is None:
        return "unresolved"
    return f"{x:,.0f}" if 1000 <= abs(x) < 1e6 else f"{x:.3g}"


def fixed(x: float | None) -> str:
    """Three places."""
    return "none" if x is None else f"{x:.3f}"


def spread(s: Spread | None, form: Any = number) -> str:
    """Median, with the range."""
    if s is None:
        return ""
    return form(s.median) + (f" ({form(s.low)} to {form(s.high)})" if s.low != s.high else "")


def marginal(row: Row) -> Spread | None:
    """The estimate of the marginal where enough draws count."""
    effective = row.figures.get("marginal_estimate_effective")
    enough = effective is not None and effective.median is not None and effective.median >= LEAST
    return row.figures["marginal_estimate"] if enough else None


def likelihood(row: Row) -> str:
    """Every figure of likelihood with its kind; never a joint as a likelihood."""
    names = (("log_likelihood", ""), ("bound", "≥ "), ("estimate", "~ "), ("bound_weighted", "≥ "))
    words = [mark + spread(row.figures[name], fixed) for name, mark in names if name in row.figures]
    if "joint" in row.figures:
        found = marginal(row)
        words.append("~ " + spread(found, fixed) if found else "not resolved")
    return ", ".join(words)


def best(row: Row) -> Spread | None:
    """The likelihood that is compared: exact, or the estimate."""
    for name in ("log_likelihood", "estimate"):
        if name in row.figures:
            return row.figures[name]
    return marginal(row)


def line(row: Row) -> list[str]:
    """One line of a table."""
    f, config = row.figures, row.config
    return [
        str(config["target"]),
        str(config["padding"]),
        likelihood(row),
        spread(f.get("joint"), fixed),
        f"{spread(f['w1'], fixed)}",
        fixed(f["w1_data"].median),
        spread(f["w2"], fixed),
        fixed(f["w2_data"].median),
        spread(f["kappa_median"]),
        spread(f["kappa_mean"]),
        number(f["kappa_mean_16"].median),
    ]


HEAD = [
    *("target", "padding", "log-likelihood", "joint (no likelihood)", "W1", "of data", "W2", "of data"),
    *("κ median", "κ mean", "κ mean of 16"),
]


def claims(rows: list[Row]) -> str:
    """The paper's claims against the figures, one by one, over the targets that have all three paddings."""
    targets = {t: {r.config["padding"]: r for r in rows if r.config["target"] == t} for t in targets_of(rows)}
    targets = {t: by for t, by in targets.items() if set(MAIN) <= set(by)}
    if not targets:
        return "No target has all three paddings yet."
    parts = [
        _conditions(targets, "zero", "none", "**Zero padding is worse conditioned than none**"),
        _conditions(
            targets, "gaussian", "zero", "**Gaussian padding is better conditioned than zero padding**"
        ),
        _conditions(targets, "gaussian", "none", "**Gaussian padding is better conditioned than none**"),
        _conditions(
            targets,
            "gaussian",
            "none",
            "The same by the paper's figure",
            "kappa_mean_16",
            "mean κ of 16 points",
        ),
        _likelihoods(targets, "zero", "**Zero padding costs likelihood**"),
        _likelihoods(targets, "gaussian", "**Gaussian padding and likelihood**"),
        _transports(targets),
        _growth(targets),
    ]
    return "\n".join(f"- {part}" for part in parts)


def _conditions(
    targets: dict[str, dict[str, Row]],
    one: str,
    other: str,
    claim: str,
    figure: str = "kappa_median",
    words: str = "median κ",
) -> str:
    """Clear: the ranges over seeds do not overlap."""
    better = one == "gaussian"
    verdicts: dict[str, list[str]] = {"holds": [], "does not": [], "overlap": []}
    ratios = []
    for target, by in targets.items():
        a, b = by[one].figures[figure], by[other].figures[figure]
        low, high = (a, b) if better else (b, a)
        if high.median is not None and low.median is not None:
            ratios.append(high.median / low.median)
        if _below(low.high, high.low):
            verdicts["holds"].append(target)
        elif _below(high.high, low.low):
            verdicts["does not"].append(target)
        else:
            verdicts["overlap"].append(target)
    return f"{claim} ({words}, ranges over seeds apart): {_verdict(verdicts)} {_ratios(ratios)}"


def _below(a: float | None, b: float | None) -> bool:
    return a is not None and (b is None or a < b)


def _verdict(verdicts: dict[str, list[str]]) -> str:
    total = sum(map(len, verdicts.values()))
    names = f" ({', '.join(verdicts['holds'])})" if 0 < len(verdicts["holds"]) < total else ""
    words = [f"holds on {len(verdicts['holds'])} of {total} targets{names}"]
    if verdicts["does not"]:
        words.append(f"the reverse holds on {', '.join(verdicts['does not'])}")
    if verdicts["overlap"]:
        words.append(f"the ranges overlap on {', '.join(verdicts['overlap'])}")
    return "; ".join(words) + "."


def _ratios(ratios: list[float]) -> str:
    return f"The ratio of the medians is {number(min(ratios))} to {number(max(ratios))}." if ratios else ""


def _likelihoods(targets: dict[str, dict[str, Row]], padding: str, claim: str) -> str:
    """Against no padding; the exact figure or the estimate of each."""
    verdicts: dict[str, list[str]] = {
        "lower, ranges apart": [],
        "ranges overlap": [],
        "higher, ranges apart": [],
        "not resolved": [],
    }
    for target, by in targets.items():
        a, b = best(by[padding]), best(by["none"])
        if a is None or b is None or a.median is None or b.median is None:
            verdicts["not resolved"].append(target)
            continue
        word = "ranges overlap"
        if _below(a.high, b.low):
            word = "lower, ranges apart"
        elif _below(b.high, a.low):
            word = "higher, ranges apart"
        verdicts[word].append(f"{target} ({a.median - b.median:+.3f})")
    found = "; ".join(f"{word}: {', '.join(names)}" for word, names in verdicts.items() if names)
    return f"{claim} (against none, difference of the medians in nats a dimension). {found}."


def _transports(targets: dict[str, dict[str, Row]]) -> str:
    """W1 of each padding by the distance between two samples of the data."""
    parts = []
    for padding in MAIN:
        over = [
            by[padding].figures["w1"].median / (by[padding].figures["w1_data"].median or math.nan)
            for by in targets.values()
            if by[padding].figures["w1"].median is not None
        ]
        parts.append(f"{padding} {min(over):.2f} to {max(over):.2f}")
    return f"**Samples**: W1 to held-out data, in units of that between two samples of the data: {', '.join(parts)}."


def _growth(targets: dict[str, dict[str, Row]]) -> str:
    """How κ of zero padding goes on with training."""
    records = read_records(STUDY, ROOT / "results")
    grown, total = [], 0
    for cell in STUDY.cells:
        found = records.figures(cell)
        if cell.config["padding"] != "zero" or cell.config["target"] not in targets or found is None:
            continue
        curve, epochs = found["kappa_median_by_epoch"], found["kappa_epochs"]
        half = next(i for i, e in enumerate(epochs) if 2 * e >= epochs[-1])
        total += 1
        if curve[half] is not None and (curve[-1] is None or curve[-1] > curve[half]):
            grown.append(math.inf if curve[-1] is None else curve[-1] / curve[half])
    factors = f" by factors of {number(min(grown))} to {number(max(grown))}" if grown else ""
    return (
        f"**With zeros κ goes on growing**: over the second half of training the median grew in {len(grown)} of {total} "
        f"runs{factors}. No run ends at a κ of its own: the number of epochs decides."
    )


def targets_of(rows: list[Row]) -> list[str]:
    """The targets in the order of the grid."""
    return list(dict.fromkeys(str(r.config["target"]) for r in rows))


def setting(rows: list[Row]) -> str:
    """Sizes, from the configurations."""
    words = []
    for target in ("moons", *IMAGES):
        found = [r.config for r in rows if r.config["target"] == target]
        if found:
            c = found[0]
            name = "Planar targets" if target == "moons" else target
            words.append(
                f"{name}: {c['depth']} layers, hidden {c['hidden']}, {c['hidden']}, log-scales {c['scale']}, "
                f"{c['rows']:,} rows, {c['held_out']:,} held out, batches of {c['batch']}, {c['epochs']} epochs, "
                f"rate {c['rate']:g}."
            )
    return " ".join(words)


def unresolved(records: Records) -> str:
    """How many figures of how many."""
    found = [f for c in STUDY.cells if (f := records.figures(c)) is not None]
    bad = sum(sum(f["kappa_unresolved_by_epoch"]) for f in found)
    return "none was." if bad == 0 else f"{bad} were."


def images_note(records: Records) -> str:
    """How far the image cells have come."""
    cells = [c for c in STUDY.cells if c.config["target"] in IMAGES]
    done = sum(records.figures(c) is not None for c in cells)
    return f"{done} of {len(cells)} runs are done." if done < len(cells) else "Five seeds and two."


def page() -> str:
    """The whole page."""
    text = (ROOT / "scripts" / "padding.md").read_text(encoding="utf-8")
    records = read_records(STUDY, ROOT / "results")
    rows = summarize(STUDY, records)
    main = [r for r in rows if r.config["padding"] in MAIN]
    planar = [r for r in main if r.config["target"] not in IMAGES]
    images = [r for r in main if r.config["target"] in IMAGES]
    published = [r for r in rows if r.config["padding"] not in MAIN]
    parts = {
        "setting": setting(rows),
        "least": str(LEAST),
        "unresolved": unresolved(records),
        "claims": claims(main),
        "planar-seeds": str(max((r.runs for r in planar), default=0)),
        "planar": table(HEAD, [line(r) for r in planar]),
        "images-note": images_note(records),
        "images": table(HEAD, [line(r) for r in images]) if images else "Not run.",
        "published": table(HEAD, [line(r) for r in published]) if published else "Not run.",
    }
    return filled(text, parts)


def picture() -> None:
    """The chart: one panel a target."""
    import altair as alt
    import vl_convert

    from shoal.report import CONFIG

    records = read_records(STUDY, ROOT / "results")
    values: dict[tuple[str, str, int], list[float]] = {}
    for cell in STUDY.cells:
        found, padding = records.figures(cell), str(cell.config["padding"])
        if found is None or padding not in MAIN:
            continue
        for epoch, kappa in zip(found["kappa_epochs"], found["kappa_median_by_epoch"], strict=True):
            if kappa is not None:
                values.setdefault((str(cell.config["target"]), padding, epoch), []).append(kappa)
    data = [
        {
            "target": t,
            "padding": p,
            "epoch": e,
            "low": min(k),
            "median": sorted(k)[len(k) // 2],
            "high": max(k),
        }
        for (t, p, e), k in values.items()
    ]
    colour = alt.Color("padding:N", scale=alt.Scale(domain=list(MAIN), range=[COLOURS[p] for p in MAIN]))
    log = alt.Scale(type="log")
    x = alt.X("epoch:Q", title="epoch")
    panels = []
    for target in dict.fromkeys(d["target"] for d in data):
        base = alt.Chart(alt.Data(values=[d for d in data if d["target"] == target]))
        band = base.mark_area(opacity=0.2).encode(
            x, alt.Y("low:Q", scale=log, title="κ"), alt.Y2("high:Q"), colour
        )
        middle = base.mark_line(strokeWidth=1.6).encode(x, alt.Y("median:Q", scale=log), colour)
        panels.append((band + middle).properties(width=190, height=130, title=target))
    chart = alt.concat(*panels, columns=4).configure(**CONFIG)
    PICTURE.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


if __name__ == "__main__":
    if write_or_check(__doc__, lambda: {PAGE: page()}, ("--picture",)).picture:
        picture()
