"""Sentences on columns: what is wrong with them, and the remedy, in one sentence each."""

from shoal.advice._columns import Columns, Dependence
from shoal.advice._line import Line
from shoal.advice._measure import Measured

REPEATED = 0.05  # a smaller share of repeated rows is not worth a sentence
LISTED = 6


def column_lines(found: Measured) -> list[Line]:
    """Constant, repeated, dependent and lattice columns, repeated rows, and tails."""
    columns = found.columns
    lines = [
        Line(
            f"Column {name!r} is constant, so it has no density: leave it out (--drop {name}).",
            "measured",
            "constant columns",
            {"column": name},
        )
        for name in columns.constant
    ]
    lines += [
        Line(
            f"Column {second!r} repeats column {first!r}, up to scale and shift, so the two have no joint density: "
            f"leave it out (--drop {second}) and compute it from {first!r} afterwards.",
            "measured",
            "duplicated columns",
            {"column": second, "repeats": first},
        )
        for first, second in columns.duplicates
    ]
    lines += [_dependence(d, columns) for d in columns.dependences]
    lines += _lattices(columns) + _rows(columns) + _tails(found)
    return lines


def _dependence(found: Dependence, columns: Columns) -> Line:
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


def _lattices(columns: Columns) -> list[Line]:
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


def _rows(columns: Columns) -> list[Line]:
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
        lines.append(
            Line(text, "measured", "tails", {"column": name, "deviations": far, "positive": positive})
        )
    return lines
