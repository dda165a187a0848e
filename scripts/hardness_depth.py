"""The depth study's figures for docs/hardness.md: depths at which the gap closes, how they grow with k, and the picture."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from studies.grid import Study
from studies.records import Records
from studies.summary import summarize

Group = tuple[str, int]  # family, d
Setting = tuple[str, int, int]  # family, k, d
LIMITS = {
    "kl": 1.0,
    "gap_lower": 0.0,
}  # a gap closes where its lower bound is 0: nothing is certified any more
COLOURS = {4: "#2b6c99", 16: "#d1622b", 64: "#3c8d5a", 256: "#7d5ba6"}


def closing_depths(study: Study, records: Records, figure: str) -> dict[Setting, list[float]]:
    """(family, k, d) -> for each seed the least depth whose figure is at most its limit, infinite where there is none."""
    found: dict[Setting, dict[int, dict[int, Any]]] = {}
    for cell in study.cells:
        figures, c = records.figures(cell), cell.config
        if figures is not None:
            by_seed = found.setdefault((str(c["family"]), int(c["k"]), int(c["d"])), {})
            by_seed.setdefault(int(c["seed"]), {})[int(c["depth"])] = figures[figure]
    limit = LIMITS[figure]
    return {
        setting: [
            min((d for d, v in depths.items() if v is not None and v <= limit), default=math.inf)
            for depths in by_seed.values()
        ]
        for setting, by_seed in found.items()
    }


def reach(study: Study, records: Records) -> dict[Setting, tuple[int, int]]:
    """(family, k, d) -> the smallest and the largest depth that have figures."""
    found: dict[Setting, list[int]] = {}
    for cell in study.cells:
        if records.figures(cell) is not None:
            c = cell.config
            found.setdefault((str(c["family"]), int(c["k"]), int(c["d"])), []).append(int(c["depth"]))
    return {setting: (min(depths), max(depths)) for setting, depths in found.items()}


def middle(values: Sequence[float]) -> float:
    """The median, the upper one of two."""
    return sorted(values)[len(values) // 2]


def depth_words(values: Sequence[float] | None, least: int, most: int) -> str:
    """Median with range over seeds; `least`, `most`: the smallest and largest depth that were run."""
    if not values:
        return "not run"

    def word(v: float) -> str:
        return f"more than {most}" if math.isinf(v) else f"at most {v:g}" if v == least > 1 else f"{v:g}"

    low, mid, high = map(word, (min(values), middle(values), max(values)))
    return mid if low == high else f"{mid} ({low} to {high})"


def growth(small: Sequence[float], large: Sequence[float], most: int) -> tuple[float, float, float] | None:
    """Lowest, median and highest factor between the depths for a small and a large k; None where the small never closes.

    A depth that is not reached counts as twice the deepest one for the lowest factor, and as infinite for the others.
    """
    if math.isinf(max(small)):
        return None
    low = min(min(large), 2.0 * most) / max(small)
    return low, middle(large) / middle(small), max(large) / min(small)


def growth_words(found: tuple[float, float, float] | None) -> str:
    """The factor as the table has it."""
    if found is None:
        return "unknown"
    low, mid, high = ("beyond the grid" if math.isinf(v) else f"{v:g}" for v in found)
    return mid if low == high else f"{mid} ({low} to {high})"


def layer_sizes(study: Study, records: Records) -> dict[Group, int]:
    """Parameters of a layer."""
    return {
        (str(c.config["family"]), int(c.config["d"])): round(f["parameters_a_layer"])
        for c in study.cells
        if (f := records.figures(c)) is not None
    }


def depth_table(study: Study, records: Records, figure: str) -> str:
    """Closing depths by k, and the factor between the smallest and the largest k."""
    found, limits = closing_depths(study, records, figure), reach(study, records)
    modes, sizes = sorted({k for _, k, _ in found}), layer_sizes(study, records)
    lines = [
        "| family | d | p | " + " | ".join(f"k = {k}" for k in modes) + " | factor |",
        "|---|---:|---:|" + "---|" * (len(modes) + 1),
    ]
    for (family, d), p in sorted(sizes.items(), key=lambda item: (item[0][1], item[0][0])):
        at = {k: found[family, k, d] for k in modes if (family, k, d) in found}
        both = None
        if {modes[0], modes[-1]} <= set(at):
            both = growth(at[modes[0]], at[modes[-1]], limits[family, modes[-1], d][1])
        words = [depth_words(at.get(k), *limits.get((family, k, d), (1, 1))) for k in modes]
        lines.append(f"| {family} | {d} | {p} | {' | '.join(words)} | {growth_words(both)} |")
    return "\n".join(lines)


def verdict(study: Study, records: Records) -> str:
    """Whether the depths grow like k / p, from the factors of the table of KL."""
    found, limits = closing_depths(study, records, "kl"), reach(study, records)
    modes = sorted({k for _, k, _ in found})
    wanted, known, holds, below = modes[-1] / modes[0], 0, 0, 0
    sizes = layer_sizes(study, records)
    for family, d in sizes:
        small, large = (found.get((family, k, d)) for k in (modes[0], modes[-1]))
        most = limits.get((family, modes[-1], d), (1, 1))[1]
        factor = growth(small, large, most) if small and large else None
        if factor is not None:
            known += 1
            holds += factor[0] <= wanted <= factor[2]
            below += factor[2] < wanted
    shares = [_by_parameters(found, sizes, modes[-1], d, limits) for d in (2, 8)]
    return (
        f"By KL, depth in proportion to k would be a factor of {wanted:g} from k = {modes[0]} to k = {modes[-1]}: it lies "
        f"within the range over seeds in {holds} of {known} rows, and above the range in {below}. Depth in proportion to "
        f"1 / p is not seen: {'; '.join(s for s in shares if s)}."
    )


def _by_parameters(
    found: Mapping[Setting, list[float]],
    sizes: Mapping[Group, int],
    k: int,
    d: int,
    limits: Mapping[Setting, tuple[int, int]],
) -> str:
    """Planar against RealNVP for one k and d: their depths, and the ratio of their parameters."""
    if any((name, k, d) not in found for name in ("planar", "realnvp")):
        return ""
    planar, realnvp = (
        depth_words([middle(found[name, k, d])], *limits[name, k, d]) for name in ("planar", "realnvp")
    )
    ratio = sizes["realnvp", d] / sizes["planar", d]
    return f"at d = {d} and k = {k} planar needs {planar} layers, RealNVP with {ratio:.0f} times the parameters {realnvp}"


def smaller(study: Study, records: Records, more: Study, more_records: Records) -> tuple[int, int]:
    """In how many settings of both studies the median depth by KL is smaller in the second one, and how many there are."""
    one, two = closing_depths(study, records, "kl"), closing_depths(more, more_records, "kl")
    both = [(middle(one[s]), middle(two[s])) for s in one if s in two]
    return sum(b < a for a, b in both), len(both)


def picture_data(study: Study, records: Records) -> list[dict[str, Any]]:
    """Median and range over seeds of KL and certified gap, one entry a setting in which every seed has a number."""
    return [
        {
            **{name: row.config[name] for name in ("family", "d", "k", "depth")},
            "figure": figure,
            "low": spread.low,
            "median": spread.median,
            "high": spread.high,
        }
        for row in summarize(study, records)
        for figure in ("gap_lower", "kl")
        if not (spread := row.figures[figure]).missing
    ]


def picture(data: Sequence[Mapping[str, Any]], title: str) -> Any:
    """One panel a family and figure: the certified gap above, KL below; a colour a k."""
    import altair as alt

    from shoal.report import CONFIG

    shown = sorted({row["k"] for row in data})
    colour = alt.Color(
        "k:N",
        sort=shown,
        scale=alt.Scale(domain=shown, range=[COLOURS[k] for k in shown]),
        legend=alt.Legend(symbolOpacity=1),
    )
    rows = []
    for name, axis in (("gap_lower", "certified W1 gap"), ("kl", "held-out KL, nats")):
        panels = []
        for family in ("planar", "realnvp", "layerwise"):
            part = [r for r in data if r["family"] == family and r["figure"] == name]
            x = alt.X("depth:Q", scale=alt.Scale(type="log", base=2), title="depth")
            base = alt.Chart(alt.Data(values=part))
            band = base.mark_area(opacity=0.18).encode(
                x, alt.Y("low:Q", title=axis), alt.Y2("high:Q"), colour
            )
            line = base.mark_line(strokeWidth=1.6, point=True).encode(x, alt.Y("median:Q"), colour)
            panels.append((band + line).properties(width=210, height=150, title=family))
        rows.append(alt.hconcat(*panels).resolve_scale(y="shared"))
    return alt.vconcat(*rows, title=title).configure(**CONFIG)
