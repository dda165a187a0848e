"""Writes the generated part of docs/dev/architecture.md and its picture from the imports of the package as it stands.

    python scripts/architecture_page.py [--check]

The page's own text stands around the two marks; only what lies between them is written. `--check` writes nothing and exits
with 1 where page or picture are not what it would write. It compares packages and arrows and leaves out the sizes, which
change with every commit. Needs grimp, which import-linter brings.
"""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from html import escape
from pathlib import Path

import grimp
from _pages import between_marks, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "shoal"
PAGE, PICTURE = ROOT / "docs" / "dev" / "architecture.md", ROOT / "docs" / "images" / "architecture.svg"
SIZES = re.compile(r"\d[\d,]* files, \d[\d,]* lines|(?<=\| )\d+(?= \|)")
ROOT_MODULES = "shoal"  # the name under which the modules beside the packages are drawn
WIDTH, BOX_HEIGHT, GAP, ROW_GAP = 760, 46, 14, 46

Arrows = Set[tuple[str, str]]


def part(name: str) -> str:
    """The package a module belongs to: `shoal.flows._files` is `flows`, and `theory.linear` keeps both names."""
    names = name.split(".")[1:]
    depth = 2 if names[:1] == ["theory"] else 1
    path = SOURCE.joinpath(*names[:depth])
    if not names or not SOURCE.joinpath(names[0]).is_dir():
        return ROOT_MODULES
    return ".".join(names[:depth]) if path.is_dir() else names[0]


def sizes() -> dict[str, tuple[int, int]]:
    """Package -> its files and lines."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        name = part(module(path))
        files[name] += 1
        lines[name] += len(path.read_text(encoding="utf-8").splitlines())
    return {name: (files[name], lines[name]) for name in files}


def imports() -> set[tuple[str, str]]:
    """(importer, imported), packages: by import statements, and by names of the root (`shoal.flows`), which loads lazily."""
    graph = grimp.build_graph("shoal", cache_dir=None)
    found = {(part(a), part(b)) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)}
    of_root = {
        name.name: node.module or name.name
        for node in ast.walk(parsed(SOURCE / "__init__.pyi"))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "shoal"
            ):
                found.add((part(module(path)), part(f"shoal.{of_root.get(node.attr, node.attr)}")))
    return {(a, b) for a, b in found if a != b and ROOT_MODULES not in (a, b)}


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> str:
    """The module that a file of the package is."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(("shoal", *parts)).removesuffix(".__init__")


def layers(names: Sequence[str], arrows: Arrows) -> list[list[str]]:
    """Packages by their height: one above the highest package that it imports. Lowest row first."""
    below = {name: {b for a, b in arrows if a == name} for name in names}
    heights: dict[str, int] = {}

    def height(name: str, seen: tuple[str, ...] = ()) -> int:
        if name in seen:
            raise SystemExit(f"The imports run in a circle: {' -> '.join([*seen, name])}.")
        if name not in heights:
            heights[name] = 1 + max((height(b, (*seen, name)) for b in below[name]), default=-1)
        return heights[name]

    rows: list[list[str]] = [[] for _ in range(1 + max(height(name) for name in names))]
    for name in sorted(names):
        rows[heights[name]].append(name)
    return rows


def ordered(rows: list[list[str]], arrows: Arrows) -> list[list[str]]:
    """The rows with packages near those that they import, so that fewer arrows cross."""
    place: dict[str, float] = {}
    for row in rows:
        middle = {
            name: sum(found) / len(found)
            if (found := sorted(place[b] for a, b in arrows if a == name))
            else 0.5
            for name in row
        }
        row.sort(key=lambda name, middle=middle: (middle[name], name))
        place.update({name: (i + 0.5) / len(row) for i, name in enumerate(row)})
    return rows


def reduced(arrows: Arrows) -> set[tuple[str, str]]:
    """The arrows that no longer way implies: what is drawn. The table has all."""
    below: dict[str, set[str]] = {}
    for a, b in arrows:
        below.setdefault(a, set()).add(b)

    def reached(name: str) -> set[str]:
        return set().union(*({b} | reached(b) for b in below.get(name, ())))

    return {(a, b) for a, b in arrows if not any(b in reached(c) for c in below[a] if c != b)}


def picture(size: Mapping[str, tuple[int, int]], arrows: Arrows) -> str:
    """Packages as boxes in rows, the command line on top; arrows point from the importer down to what it imports."""
    rows = ordered(layers([n for n in size if n != ROOT_MODULES], arrows), arrows)[::-1]
    widest = max(len(row) for row in rows)
    box = (WIDTH - GAP * (widest + 1)) / widest
    at: dict[str, tuple[float, float]] = {}
    for i, row in enumerate(rows):
        left = (WIDTH - len(row) * box - (len(row) - 1) * GAP) / 2
        for j, name in enumerate(row):
            at[name] = (left + j * (box + GAP) + box / 2, GAP + i * (BOX_HEIGHT + ROW_GAP))
    high = GAP + len(rows) * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" font-family="sans-serif" font-size="13">',
        "<title>The packages of Shoal and their imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#7b8794"/></marker></defs>',
    ]
    for a, b in sorted(reduced(arrows)):
        (xa, ya), (xb, yb) = at[a], at[b]
        low, bend = ya + BOX_HEIGHT, (yb - ya - BOX_HEIGHT) * 0.5
        parts.append(
            f'<path d="M{xa:.1f} {low} C{xa:.1f} {low + bend:.1f} {xb:.1f} {yb - bend:.1f} {xb:.1f} {yb - 1}" '
            f'fill="none" stroke="#7b8794" marker-end="url(#tip)"><title>{escape(f"{a} imports {b}")}</title></path>'
        )
    for name, (x, y) in at.items():
        files, lines = size[name]
        theory = name.startswith("theory")
        fill, edge = ("#f4ecdf", "#a8842a") if theory else ("#e8eff5", "#2b6c99")
        parts.append(
            f'<rect x="{x - box / 2:.1f}" y="{y}" width="{box:.1f}" height="{BOX_HEIGHT}" rx="5" fill="{fill}" '
            f'stroke="{edge}"/><text x="{x:.1f}" y="{y + 19}" text-anchor="middle" fill="#1c2733">{escape(name)}</text>'
            f'<text x="{x:.1f}" y="{y + 36}" text-anchor="middle" font-size="10" fill="#52606d">{files} files, '
            f"{lines:,} lines</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def generated(size: Mapping[str, tuple[int, int]], arrows: Arrows) -> str:
    """The sizes and imports of every package, the highest row first."""
    rows = layers([n for n in size if n != ROOT_MODULES], arrows)[::-1]
    lines = [
        [f"`{name}`", *size[name], ", ".join(f"`{b}`" for b in sorted(b for a, b in arrows if a == name))]
        for row in rows
        for name in row
    ]
    lines.append(["modules beside the packages", *size[ROOT_MODULES], ""])
    lines.append(["together", *(sum(s[i] for s in size.values()) for i in (0, 1)), ""])
    return table(["package", "files", "lines", "imports"], lines)


def made() -> dict[Path, str]:
    """Page and picture."""
    size, arrows = sizes(), imports()
    return {PAGE: between_marks(PAGE, generated(size, arrows)), PICTURE: picture(size, arrows)}


if __name__ == "__main__":
    write_or_check(__doc__, made, compared=lambda text: SIZES.sub("", text))
