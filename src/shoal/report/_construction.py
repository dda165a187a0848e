"""A construction record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from ..records import ConstructionRecord
from ..records.construction import StaircaseConditions, Terms
from ..records.figures import Figure, kind_words
from ._charts_construction import DOTTED, parts_chart, point_charts, staircase_chart
from ._numbers import duration, finite, setting, short, whole
from ._shell import last_part, rendered

COLUMNS = ("cells", "least", "median", "largest", "mass", "at99")


def render_construction(record: ConstructionRecord) -> str:
    """Returns the whole page of a record as text."""
    pictures, certificate = record.pictures, record.certificate
    t2, t3 = pictures.t2, pictures.t3
    plane = record.size == 2
    first = "" if plane else ", first coordinate"
    charts = {
        **point_charts(pictures),
        "t2": staircase_chart(t2, ("y₁, latent", f"t₂(y₁){first}"), coloured=True),
        "t3": staircase_chart(t3, ("u = ⟨v, x′⟩", f"t₃(u){first}"), coloured=False),
        "parts": parts_chart(certificate),
    }
    return rendered(
        "construct",
        ["construction.html"],
        charts=charts,
        styles=["report.css", "audit.css", "construction.css"],
        texts_of_records=True,
        empty="The record has no points for this picture.",
        title=last_part(record.source or "sample"),
        facts=_facts(record),
        command=record.command,
        tiles=_tiles(record),
        sentence=_sentence(record),
        padding=_padding(record),
        plane=plane,
        names=pictures.names,
        strides=[whole(steps.stride) if steps.stride != 1 else "" for steps in (t2, t3)],
        dotted=len(t2.knots) < DOTTED,
        terms=_terms(certificate.terms),
        conditions=_conditions(certificate.conditions),
        delta=short(record.delta),
        plateau=short(record.plateau),
        atoms=whole(certificate.atoms),
        shown=whole(len(pictures.second)),
    )


def _facts(record: ConstructionRecord) -> list[tuple[str, str]]:
    found = record.certificate
    return [
        ("rows", whole(found.points)),
        ("columns", whole(record.size)),
        ("atoms", whole(found.atoms)),
        ("precision", found.dtype),
        *([] if record.seconds is None else [("time", duration(record.seconds))]),
    ]


def _figure(found: Figure, title: str, note: str) -> dict[str, str]:
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f"99 % interval {short(found.low, 4)} … {short(found.high, 4)}; "
    return {
        "title": title,
        "value": short(finite(found.value), 4),
        "kind": kind_words(found.kind),
        "note": interval + note,
    }


def _tiles(record: ConstructionRecord) -> list[dict[str, str]]:
    found = record.certificate
    cells = [row.cells for row in found.conditions.values()]
    worst = max((f for f in cells if finite(f.value) is not None), key=lambda f: f.value, default=cells[0])
    return [
        _figure(found.w2_bound, "W₂ to the sample, bound", f"ε was {setting(found.epsilon)}"),
        _figure(found.w2_measured, "W₂ to the sample, measured", "by an explicit coupling, from above"),
        _figure(found.statistical, "Sample against population", "not part of the bound: more rows lower it"),
        _figure(worst, "κ of a layer on cells", "1 / δ; on the ramps it is far larger"),
    ]


def _sentence(record: ConstructionRecord) -> str:
    found = record.certificate
    return (
        f"Two affine couplings, written down and not trained, are within W₂ "
        f"{short(finite(found.w2_bound.value), 4)} of this sample of {whole(found.points)} rows."
    )


def _padding(record: ConstructionRecord) -> str:
    if not record.padded:
        return ""
    return (
        f"{record.size} columns are odd: the flow has one more coordinate, Gaussian padding of deviation "
        f"{short(record.delta)} that is independent of the columns. Samples leave it out."
    )


def _terms(terms: Terms) -> list[tuple[str, str, str]]:
    words = {
        "quantization": "the sample to its atoms: every row to the centre of its cluster",
        "push": "the atoms moved apart along v, and rounded to the dtype",
        "scales": "√n δ: the noise that both layers keep",
        "ramps": "points between two cells, whose atom is neither",
        "tails": "points whose x′ leaves its plateau, so that t₃ is not that of their atom",
        "borders": "cells whose probability is not exactly that of their atom",
        "total": "quantization + push + scales + √(ramps² + tails²) + borders",
    }
    return [(name, short(getattr(terms, name), 4), text) for name, text in words.items()]


def _conditions(conditions: dict[str, StaircaseConditions]) -> list[tuple[str, list[str]]]:
    return [
        (name, [short(finite(getattr(row, key).value)) for key in COLUMNS])
        for name, row in conditions.items()
    ]
