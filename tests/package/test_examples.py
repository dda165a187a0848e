"""The Python blocks of README and pages use public names alone; the gallery's and those of some other pages run."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gallery
import pytest

from tests.package.test_contracts import CONTENTS, public

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PUBLIC = {".".join(path.parent.relative_to(ROOT / "src").parts): set(public(path)) for path in CONTENTS}
SHORT = {f"shoal.{wing}": PUBLIC[f"shoal.theory.{wing}"] for wing in ("linear", "universal", "hardness")}
RUN = ("own-layer", "own-loop")


def code(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def names(block: str) -> Iterator[tuple[str, str]]:
    """(package, name) wherever a block imports from Shoal or goes through `shoal.`."""
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("shoal."):
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).startswith("shoal."):
            yield ast.unparse(node.value), node.attr


@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda page: page.stem)
def test_examples_use_public_names(page: Path) -> None:
    known = {**PUBLIC, **SHORT}
    found = [pair for block in code(page) for pair in names(block)]
    assert [
        (package, name) for package, name in found if package in known and name not in known[package]
    ] == []


def test_the_gallery_has_eight_pictures() -> None:
    blocks = gallery.blocks()
    assert len(blocks) == 8
    assert {f"{name}.png" for name in blocks} == {path.name for path in gallery.PICTURES.iterdir()}


@pytest.mark.usefixtures("unprofiled")
@pytest.mark.parametrize(
    "name",
    [
        *RUN,
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in ("sampling", "scikit-learn", "whole-tables")
        ),
    ],
)
def test_pages_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = "\n".join(code(ROOT / "docs" / f"{name}.md"))
    program = re.sub(
        r"\btime_limit=\d+", "time_limit=1", program
    )  # seconds, which would be spent to the last
    exec(compile(program, f"{name}.md", "exec"), {"__name__": name})  # noqa: S102 - the page is the program


@pytest.mark.long
@pytest.mark.parametrize("name", list(gallery.blocks()))
def test_the_gallery_runs(name: str) -> None:
    assert gallery.charts([name])[name].to_dict()["$schema"]
