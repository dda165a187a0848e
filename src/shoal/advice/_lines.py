"""Sentences of advice: on columns, on shape, on settings, each with what it rests on.

The one proven sentence is a bound for the rows examined and for every flow of a stated Lipschitz constant; nothing is
taken from bounds that hold for a share of a packing, or a drawn instance (`shoal.hardness.minimum_depth`): they say nothing
about one table.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from shoal.advice._measure import Measured
from shoal.advice._shape import VARIATION
from shoal.tables import Dependence, Examined, Table

FAR = 4.0  # a gap of so many widths of the narrowest group makes the groups far
MULTIMODAL = 4  # modes from which splines are tried beside affine couplings
ROUND_TRIP = 1e-3  # the ladder's own bound on a float32 round trip, in deviations
REPEATED = 0.05  # a smaller share of repeated rows is not worth a sentence
LISTED = 6
Status: TypeAlias = Literal["proven", "measured", "heuristic"]


@dataclass(frozen=True)
class Line:
    """One sentence of advice.

    `status`: "proven" (a theorem's bound, for the data and the flows that the sentence names), "measured" (a figure of
    this table, which says what it is) or "heuristic" (a rule of thumb). `about`: the subject, such as "columns",
    "modes" or "depth". `figures`: the numbers in the sentence, by name; each name ends in its kind, `_exact`,
    `_lower_bound` or `_estimate`, where it is no plain count or share.
    """

    text: str
    status: Status
    about: str
    figures: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"[{self.status}] {self.text}"


def row_lines(found: Measured, table: Table) -> list[Line]:
    """Which rows and columns were measured, where columns are more than numbers."""
    if table.present is None or table.schema is None:
        return []
    others = [name for name in table.schema.names if name not in table.names]
    text = (
        f"All figures are of the {found.rows} of {table.rows} rows that hold a number in each of the columns "
        f"{', '.join(table.names)}" + (f", whatever they hold in {', '.join(others)}." if others else ".")
    )
    return [Line(text, "measured", "rows", {"rows": found.rows, "of": table.rows})]


def column_lines(found: Measured) -> list[Line]:
    """Constant, repeated, dependent and lattice columns, repeated rows, and tails."""
    columns, lines = found.columns, []
    for name in columns.constant:
        text = f"Column {name!r} is constant, so it has no density: leave it out (--drop {name})."
        lines.append(Line(text, "measured", "constant columns", {"column": name}))
    for first, second in columns.duplicates:
        text = (
            f"Column {second!r} repeats column {first!r}, up to scale and shift, so the two have no joint density: "
            f"leave it out (--drop {second}) and compute it from {first!r} afterwards."
        )
        lines.append(Line(text, "measured", "duplicated columns", {"column": second, "repeats": first}))
    for name, said in found.follows:
        text = (
            f"{said[0].upper()}{said[1:]}, so that there is no joint density: leave it out (--drop {name})."
        )
        lines.append(Line(text, "measured", "dependent columns", {"column": name}))
    lines += [_dependence(d, columns) for d in columns.dependences]
    return lines + _lattices(columns) + _rows(columns) + _tails(found)


def _dependence(found: Dependence, columns: Examined) -> Line:
    terms = [f"{w:+.2g} {n}" for n, w in zip(found.columns, found.weights, strict=True)]
    sum_ = " ".join(terms[:LISTED]) + (" ..." if len(terms) > LISTED else "")
    figures = {
        "columns": list(found.columns),
        "weights": list(found.weights),
        "deviation_exact": found.deviation,
    }
    name = found.columns[0]
    if name in columns.dropped:
        text = (
            f"The standardised columns satisfy {sum_} = constant, to rounding, so they have no joint density: "
            f"leave out {name!r} (--drop {name}) and compute it from the others afterwards."
        )
    else:
        text = (
            f"The standardised columns nearly satisfy {sum_} = constant (it varies {found.deviation:.1e} times as much as "
            f"the widest combination): leave one of them out, or whiten the columns before the flow (remedy `Whitening`)."
        )
    return Line(text, "measured", "dependent columns", figures)


def _lattices(columns: Examined) -> list[Line]:
    if not columns.lattices:
        return []
    each = [f"{s.column!r} (step {s.step:.4g})" for s in columns.lattices]
    shown = ", ".join(each[:LISTED]) + (f" and {len(each) - LISTED} more" if len(each) > LISTED else "")
    one = len(each) == 1
    text = (
        f"Column{'' if one else 's'} {shown} hold{'s' if one else ''} multiples of one step, on which a density has no "
        "bound: let the ladder add uniform noise of one step (--dequantize auto, the default)."
    )
    figures = {s.column: {"step": s.step, "ties": s.ties} for s in columns.lattices}
    return [Line(text, "measured", "lattice columns", figures)]


def _rows(columns: Examined) -> list[Line]:
    share = columns.repeated_rows
    if share < REPEATED:
        return []
    cure = (
        "the noise on the lattice columns sets them apart"
        if columns.lattices
        else "remove the repeats, or give them once with a weight (--weights)"
    )
    text = f"{100 * share:.0f} % of the rows repeat an earlier row, where a density can grow without bound: {cure}."
    return [Line(text, "measured", "duplicated rows", {"share": share})]


def _tails(found: Measured) -> list[Line]:
    lines = []
    for name, far, positive in found.tails[:LISTED]:
        cure = "model its logarithm" if positive else "model its inverse hyperbolic sine"
        text = f"Column {name!r} reaches {far:.0f} deviations from its mean: {cure}, or expect large κ in its tail."
        figures = {"column": name, "deviations": far, "positive": positive}
        lines.append(Line(text, "measured", "tails", figures))
    return lines


def shape_lines(found: Measured) -> list[Line]:
    """Effective dimension, local conditioning, modes and their separation."""
    local, modes, width = found.local, found.modes, len(found.names)
    word = "as many as there are columns" if local.dimension == width else f"fewer than the {width} columns"
    text = (
        f"Near a typical row the rows vary in {local.dimension} direction{'s' * (local.dimension != 1)}, {word} "
        f"({local.neighbours} neighbours; local deviations differ by a factor of {local.condition:.3g} in the median, "
        f"{local.condition_q90:.3g} at 90 %)."
    )
    figures: dict[str, Any] = {
        "dimension_estimate": local.dimension,
        "columns": width,
        "local_condition_estimate": local.condition,
        "local_condition_q90_estimate": local.condition_q90,
        "neighbours": local.neighbours,
    }
    lines = [Line(text, "measured", "dimension", figures)]
    if math.isfinite(local.negentropy):
        text = (
            f"A Gaussian with the same covariance (κ {local.global_condition:.3g}) misses the rows by about "
            f"{local.negentropy:.2f} nats a row."
        )
        figures = {
            "global_condition_exact": local.global_condition,
            "negentropy_estimate": local.negentropy,
        }
        lines.append(Line(text, "measured", "shape", figures))
    shares = ", ".join(f"{100 * s:.0f} %" for s in modes.shares[:6]) + (", ..." if modes.count > 6 else "")
    figures = {
        "modes_estimate": modes.count,
        "shares_estimate": list(modes.shares),
        "groups": modes.groups,
        "distance_exact": modes.distance,
        "width_estimate": modes.width,
    }
    if modes.groups > 1 and modes.distance > max(FAR * modes.width, 0.5):
        text = (
            f"The rows form {modes.groups} far clusters, {modes.distance:.3g} deviations apart and {modes.width:.2g} wide "
            "where they are narrowest: fit a flow to each, or give the cluster as context (--context), so that none has to "
            "bridge the gap."
        )
    elif modes.count > 1:
        text = f"The rows have {modes.count} modes ({shares} of the rows), none far from all others: no remedy is needed."
    else:
        text = "The rows have one mode."
    return [*lines, Line(text, "measured", "modes", figures), *_proven(found)]


def _proven(found: Measured) -> list[Line]:
    modes = found.modes
    if modes.groups < 2 or not modes.lipschitz > 1.0:
        return []
    text = (
        f"A flow N(0, I) -> standardised columns whose Lipschitz constant is below {_down(modes.lipschitz):.3g} is off by "
        f"more than {VARIATION} in total variation from every law that gives each of {modes.groups} regions at least "
        f"{_up(modes.mass):.3g} of its mass: the points within {_down(modes.distance / 4):.3g} of a group's rows, the "
        f"groups being {_down(modes.distance):.3g} or more apart (Gaussian isoperimetry)."
    )
    figures = {
        "lipschitz_lower_bound": modes.lipschitz,
        "groups": modes.groups,
        "mass": modes.mass,
        "distance_exact": modes.distance,
        "variation": VARIATION,
    }
    return [Line(text, "proven", "lipschitz", figures)]


def _down(value: float) -> float:
    """Three digits, rounded down, so that a bound in a sentence still holds."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.floor(value / unit * (1 - 1e-12)) * unit


def _up(value: float) -> float:
    """Three digits, rounded up."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / unit * (1 - 1e-12)) * unit


def families(found: Measured) -> tuple[tuple[str, ...], Line]:
    """Which families to try, and why."""
    names, text = ("realnvp",), "Family: realnvp, the cheapest one that reaches any shape."
    if len(found.names) == 1:
        names, text = ("spline",), "Family: spline, since affine maps of one column give Gaussians only."
    elif found.modes.count >= MULTIMODAL:
        names = ("realnvp", "spline")
        text = (
            f"Families: realnvp and spline, since splines reach {found.modes.count} modes with fewer layers than affine "
            "couplings."
        )
    return names, Line(text, "heuristic", "family")


def condition_line(found: Measured, max_condition: float) -> Line:
    """The kappa that a flow needs, against the largest one that is allowed."""
    kappa = found.condition
    figures = {"condition_estimate": kappa, "max_condition": max_condition}
    text = f"A flow onto these rows needs κ of about {kappa:.2g} (latent -> standardised columns), "
    if kappa <= max_condition:
        text += f"within the {max_condition:.3g} that are allowed."
    else:
        text += f"above the {max_condition:.3g} that are allowed: "
        text += "follow the remedies above, or allow more (--max-condition)."
    return Line(text, "heuristic", "condition", figures)


def precision(found: Measured, dtype: str) -> tuple[Literal["float32", "float64"], Line]:
    """float32 if a round trip at the needed kappa loses less than the ladder's bound."""
    lost = float(np.finfo(np.float32).eps) * found.condition
    loss = f"about {lost:.1e} deviations a round trip"
    kind: Literal["float32", "float64"] = "float64"
    if dtype == "float64":
        why = "float32 would do" if lost <= ROUND_TRIP else f"float32 would lose {loss}"
        text = f"Dtype: float64, as asked for ({why})."
    elif lost <= ROUND_TRIP:
        kind, text = "float32", f"Dtype: float32, which loses {loss} at the κ that is needed."
    else:
        text = f"Dtype: float64, since float32 would lose {loss} at the κ that is needed."
    return kind, Line(text, "heuristic", "dtype", {"float32_loss_estimate": lost})
