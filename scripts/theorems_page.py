"""Writes docs/theorems.md, the index of every statement that Shoal builds on, from scripts/theorems.toml.

python scripts/theorems_page.py [--check]
"""

import tomllib
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
INDEX, TEXT, PAGE = (
    ROOT / "scripts" / "theorems.toml",
    ROOT / "scripts" / "theorems.md",
    ROOT / "docs" / "theorems.md",
)
HEAD = ["statement", "explained", "function", "certificate", "tests", "record", "against the source"]


def index() -> list[dict[str, Any]]:
    """The parts of the index, each with its title, text and statements."""
    return tomllib.loads(INDEX.read_text(encoding="utf-8"))["part"]


def cell(statement: dict[str, Any], column: str) -> str:
    """What stands in a column; an empty one has its reason instead."""
    entries = [written(column, entry) for entry in statement[column]]
    return "<br>".join(entries) or f"*{statement['without'][column]}*"


def written(column: str, entry: str) -> str:
    """One entry of a column, as Markdown."""
    match column:
        case "page":
            name, _, anchor = entry.partition("#")
            return f"[{Path(name).stem}{': ' + anchor.replace('-', ' ') if anchor else ''}]({entry})"
        case "test":
            path, _, name = entry.partition("::")
            return f"`{Path(path).stem}`: {name.removeprefix('test_').replace('_', ' ')}"
        case "function" | "record":
            return f"`{entry}`"
        case _:
            return entry


def line(statement: dict[str, Any]) -> list[str]:
    """The row of a statement."""
    cells = [cell(statement, column) for column in ("page", "function", "certificate", "test", "record")]
    return [
        f"**{statement['name']}.** {statement['says']}",
        *cells,
        f"**{statement['standing']}.** {statement['why']}",
    ]


def page() -> str:
    """The whole page."""
    parts = [
        f"## {part['title']}\n\n{part['text']}\n\n{table(HEAD, [line(s) for s in part['statement']])}"
        for part in index()
    ]
    return filled(TEXT.read_text(encoding="utf-8"), {"parts": "\n\n".join(parts)})


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
