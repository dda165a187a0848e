"""What every page shares: the template, the payload of chart specifications, vendored JavaScript, licences.

The templates escape every text by themselves (Jinja2 autoescape). JSON inside a script element escapes <, > and &, so that
no text of a record can end the element. A specification carries no address: nothing is looked up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import altair as alt
import jinja2

from ._layers import TABLE, WITH_TEXT, layer_label, shown_quantities
from ._numbers import duration, finite, fixed, setting, short, whole
from ._theme import CONFIG

_PAGE = Path(__file__).parent / "page"
_VENDOR = Path(__file__).parent / "vendor"
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_PAGE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_NUMBERS = (duration, finite, fixed, setting, short, whole)
_ENVIRONMENT.globals.update({f.__name__: f for f in (*_NUMBERS, layer_label, shown_quantities)})
_ENVIRONMENT.globals.update(table_limit=TABLE, with_text=WITH_TEXT)


@dataclass(frozen=True)
class Tile:
    """A headline figure; `of` names the flow that has it, `kind` says what kind of figure it is."""

    title: str
    value: str
    note: str
    of: str = ""
    kind: str = ""


def rendered(
    program: str,
    template: str,
    *,
    charts: Mapping[str, alt.TopLevelMixin | None],
    datasets: Mapping[str, object] | None = None,
    scatter: Mapping[str, object] | None = None,
    empty: str = "The record has no figures for this chart.",
    mood: str = "",
    remark: str = "",
    **parts: object,
) -> str:
    """The whole page as text.

    **Arguments:** `program`: the command that made it; `template`: a file that extends page.html; `charts`: those that are
    None are left out, and `empty` stands in their place; `datasets`, `scatter`: of the payload; `mood`: "warning" or
    "healthy" colours the box with the sentence, which `remark` ends; `parts`: what the templates need.
    """
    specs = {name: specification(chart) for name, chart in charts.items() if chart is not None}
    # Vega-Lite writes texts unescaped into expressions for screen readers, which a canvas has no use for
    config = CONFIG | {"aria": False}
    payload = {"config": config, "charts": specs, "datasets": datasets or {}, "scatter": scatter}
    versions = _versions()
    return _ENVIRONMENT.get_template(template).render(
        program=program,
        charts=set(specs),
        empty=empty,
        mood=mood,
        remark=remark,
        style=_text(_PAGE / "report.css"),
        script=_text(_PAGE / "report.js"),
        payload=script_json(payload),
        libraries=[_text(_VENDOR / entry["file"]) for entry in versions.values()],
        library_versions=", ".join(f"{name} {entry['version']}" for name, entry in versions.items()),
        licences=_licences().replace("</", "<\\/"),
        **parts,
    )


def specification(chart: alt.TopLevelMixin) -> dict[str, object]:
    """The Vega-Lite specification of a chart, without its schema address and view settings."""
    spec: dict[str, object] = chart.to_dict(validate=False)  # half of a page's time; a test validates
    for key in ("$schema", "config", "usermeta"):
        spec.pop(key, None)
    return spec


def script_json(value: object) -> str:
    """Strict JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def last_part(place: str) -> str:
    """The last part of a path of either kind; the text itself where there is none."""
    return place.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or place


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _versions() -> dict[str, dict[str, str]]:
    """Version, file, checksum and licence file of Vega, Vega-Lite and Vega-Embed, in the order they must be loaded."""
    found = json.loads(_text(_VENDOR / "versions.json"))
    return {name: found[name] for name in ("vega", "vega-lite", "vega-embed")}


def _licences() -> str:
    own = [f"{name} {e['version']}\n\n{_text(_VENDOR / e['licence'])}" for name, e in _versions().items()]
    return "\n\n".join([*own, _text(_VENDOR / "LICENSE.third-party.txt")])
