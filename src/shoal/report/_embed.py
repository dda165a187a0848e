"""What goes between the tags: chart specifications as JSON, and the vendored JavaScript.

JSON inside a script element escapes <, > and &, so that no text of a record can end the element. A specification
carries no address: the page states the language, and nothing is looked up.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt

_HERE = Path(__file__).parent
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Returns the Vega-Lite specification of a chart, without its schema address and view settings."""
    spec: dict[str, Any] = chart.to_dict()
    for key in ("$schema", "config", "usermeta"):
        spec.pop(key, None)
    return spec


def script_json(value: Any) -> str:
    """Returns strict JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


@cache
def vendored_versions() -> dict[str, dict[str, str]]:
    """Returns version, file, checksum and licence file of each vendored package."""
    return json.loads((_HERE / "vendor" / "versions.json").read_text(encoding="utf-8"))


@cache
def vendored_scripts() -> tuple[str, ...]:
    """Returns the JavaScript of Vega, Vega-Lite and Vega-Embed, in the order they must be loaded."""
    names = [vendored_versions()[name]["file"] for name in ("vega", "vega-lite", "vega-embed")]
    return tuple((_HERE / "vendor" / name).read_text(encoding="utf-8") for name in names)


@cache
def licences() -> str:
    """Returns the licence texts of everything that is inlined."""
    vendor = _HERE / "vendor"
    parts = [
        f"{name} {entry['version']}\n\n{(vendor / entry['licence']).read_text(encoding='utf-8')}"
        for name, entry in vendored_versions().items()
    ]
    parts.append((vendor / "LICENSE.third-party.txt").read_text(encoding="utf-8"))
    return "\n\n".join(parts)


@cache
def page_file(name: str) -> str:
    """Returns a file of the page's own template, style or script."""
    return (_HERE / "page" / name).read_text(encoding="utf-8")
