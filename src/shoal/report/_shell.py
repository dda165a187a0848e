"""What every page shares: head and foot, the macro that places a chart, the payload, styles, scripts and licences.

The templates escape every text by themselves (Jinja2 autoescape); chart data goes through `script_json`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import jinja2

from ._embed import licences, page_file, script_json, specification, vendored_scripts, vendored_versions
from ._theme import CONFIG


def rendered(
    program: str,
    bodies: Sequence[str],
    *,
    charts: Mapping[str, alt.TopLevelMixin | None],
    styles: Sequence[str],
    scripts: Sequence[str] = ("report.js",),
    texts_of_records: bool = False,
    datasets: Mapping[str, Any] | None = None,
    scatter: Any = None,
    more: Mapping[str, Any] | None = None,
    empty: str = "The record has no figures for this chart.",
    **parts: Any,
) -> str:
    """Returns the whole page as text.

    **Arguments:** `program`: the command that made it; `bodies`: template files, between the head and the foot; `charts`:
    those that are None are left out, and `empty` stands in their place; `styles`, `scripts`: files; `texts_of_records`:
    charts show texts, which may be anything and which Vega-Lite writes unescaped into expressions for screen readers, so
    these are switched off; `datasets`, `scatter`, `more`: of the payload; `parts`: what the bodies need.
    """
    specs = {name: specification(chart) for name, chart in charts.items() if chart is not None}
    config = CONFIG | {"aria": False} if texts_of_records else CONFIG
    payload = {
        "config": config,
        "charts": specs,
        "datasets": datasets or {},
        "scatter": scatter,
        **(more or {}),
    }
    text = "".join(map(page_file, ("head.html", *bodies, "foot.html")))
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)
    return template.render(
        program=program,
        charts=set(specs),
        empty=empty,
        style="".join(map(page_file, styles)),
        script="".join(map(page_file, scripts)),
        payload=script_json(payload),
        libraries=vendored_scripts(),
        library_versions=", ".join(
            f"{name} {entry['version']}" for name, entry in vendored_versions().items()
        ),
        licences=licences().replace("</", "<\\/"),
        **parts,
    )


def last_part(place: str) -> str:
    """The last part of a path of either kind; the text itself where there is none."""
    return place.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or place
