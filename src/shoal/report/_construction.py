"""A construction record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from collections.abc import Mapping
from typing import Any

from .._errors import InputError
from ._charts_construction import DOTTED, parts_chart, point_charts, staircase_chart
from ._numbers import MISSING, duration, finite, setting, short, whole
from ._rungs import mapping, sequence
from ._shell import last_part, rendered

FORMAT = 1
POINTS = 2_000  # a picture
KINDS = {"lower_bound": "lower bound", "upper_bound": "upper bound"}
COLUMNS = ("cells", "least", "median", "largest", "mass", "at99")


def check_construction(record: Mapping[str, Any]) -> None:
    """**Raises:** InputError unless this is a construction record that this version draws."""
    if (
        not isinstance(record, Mapping)
        or record.get("kind") != "construction"
        or record.get("format") != FORMAT
    ):
        raise InputError(
            f"This is not a construction record of format {FORMAT}; make one by `universal.construction_record`."
        )
    for key in ("certificate", "pictures"):
        if not isinstance(record.get(key), Mapping):
            raise InputError(f"The construction record's {key} must be a dictionary.")
    _check_pictures(record["pictures"])
    conditions = record["certificate"].get("conditions")
    if not isinstance(conditions, Mapping) or not all(
        isinstance(row, Mapping) for row in conditions.values()
    ):
        raise InputError("The construction record's certificate must have conditions, a dictionary a map.")


def _check_pictures(pictures: Mapping[str, Any]) -> None:
    for key, numbers in (("target", 3), ("latent", 2), ("first", 2), ("second", 2)):
        points = pictures.get(key, [])
        if not isinstance(points, (list, tuple)) or len(points) > POINTS:
            raise InputError(f"The construction record's {key} must be a list of at most {POINTS} points.")
        if not all(isinstance(point, (list, tuple)) and len(point) == numbers for point in points):
            raise InputError(f"The construction record's {key} must hold points of {numbers} numbers.")
        if numbers == 2 and len(sequence(pictures.get("driver"))) < len(points):
            raise InputError(f"The construction record's driver must have a number for each point of {key}.")


def render_construction(record: Mapping[str, Any]) -> str:
    """Returns the whole page of a checked record as text."""
    pictures, certificate = record["pictures"], record["certificate"]
    t2, t3 = mapping(pictures.get("t2")), mapping(pictures.get("t3"))
    plane = record.get("size") == 2
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
        title=_title(record),
        facts=_facts(record),
        command=str(record.get("command") or ""),
        certificate=certificate,
        tiles=_tiles(record),
        sentence=_sentence(record),
        padding=_padding(record),
        plane=plane,
        names=[str(name) for name in sequence(pictures.get("names"))] or ["", ""],
        strides=[whole(steps.get("stride")) if steps.get("stride", 1) != 1 else "" for steps in (t2, t3)],
        dotted=len(sequence(t2.get("knots"))) < DOTTED,
        terms=_terms(mapping(certificate.get("terms"))),
        conditions=_conditions(certificate["conditions"]),
        delta=short(record.get("delta")),
        plateau=short(record.get("plateau")),
        atoms=whole(certificate.get("atoms")),
        shown=whole(len(sequence(pictures.get("second")))),
    )


def _title(record: Mapping[str, Any]) -> str:
    source = str(record.get("source") or "sample")
    return last_part(source)


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = record["certificate"]
    facts = [
        ("rows", whole(found.get("points"))),
        ("columns", whole(record.get("size"))),
        ("atoms", whole(found.get("atoms"))),
        ("precision", str(found.get("dtype") or MISSING)),
    ]
    return facts + (
        [("time", duration(record["seconds"]))] if finite(record.get("seconds")) is not None else []
    )


def _figure(entry: Any, title: str, note: str) -> dict[str, str]:
    found = mapping(entry)
    kind = str(found.get("kind") or "")
    interval = ""
    if finite(found.get("low")) is not None and finite(found.get("high")) is not None:
        interval = f"99 % interval {short(found['low'], 4)} … {short(found['high'], 4)}; "
    return {
        "title": title, "value": short(found.get("value"), 4), "kind": KINDS.get(kind, kind), "note": interval + note
    }  # fmt: skip


def _tiles(record: Mapping[str, Any]) -> list[dict[str, str]]:
    found = record["certificate"]
    layers = [mapping(row.get("cells")) for row in found["conditions"].values()]
    worst = max(
        (row for row in layers if finite(row.get("value")) is not None), key=lambda r: r["value"], default={}
    )
    return [
        _figure(found.get("w2_bound"), "W₂ to the sample, bound", f"ε was {setting(found.get('epsilon'))}"),
        _figure(
            found.get("w2_measured"), "W₂ to the sample, measured", "by an explicit coupling, from above"
        ),
        _figure(
            found.get("statistical"), "Sample against population", "not part of the bound: more rows lower it"
        ),
        _figure(worst, "κ of a layer on cells", "1 / δ; on the ramps it is far larger"),
    ]


def _sentence(record: Mapping[str, Any]) -> str:
    found = record["certificate"]
    return (
        f"Two affine couplings, written down and not trained, are within W₂ "
        f"{short(mapping(found.get('w2_bound')).get('value'), 4)} of this sample of {whole(found.get('points'))} rows."
    )


def _padding(record: Mapping[str, Any]) -> str:
    if record.get("padded") is not True:
        return ""
    return (
        f"{record.get('size')} columns are odd: the flow has one more coordinate, Gaussian padding of deviation "
        f"{short(record.get('delta'))} that is independent of the columns. Samples leave it out."
    )


def _terms(terms: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    words = {
        "quantization": "the sample to its atoms: every row to the centre of its cluster",
        "push": "the atoms moved apart along v, and rounded to the dtype",
        "scales": "√n δ: the noise that both layers keep",
        "ramps": "points between two cells, whose atom is neither",
        "tails": "points whose x′ leaves its plateau, so that t₃ is not that of their atom",
        "borders": "cells whose probability is not exactly that of their atom",
        "total": "quantization + push + scales + √(ramps² + tails²) + borders",
    }
    return [(name, short(terms.get(name), 4), text) for name, text in words.items()]


def _conditions(conditions: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [
        (str(name), [short(mapping(row.get(key)).get("value")) for key in COLUMNS])
        for name, row in conditions.items()
    ]
