"""Every page of the documentation that a script writes is what it would write now, and its pictures are there."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*_page.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_is_what_the_script_writes(script: Path):
    command = [sys.executable, str(script), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.setattr(sys, "argv", ["page.py", "--check"])
    write_or_check = runpy.run_path(str(ROOT / "scripts" / "_pages.py"))["write_or_check"]
    page = tmp_path / "page.md"
    page.write_text("old")
    with pytest.raises(SystemExit, match=r"Stale: .*page\.md\. Run `make pages`\."):
        write_or_check(None, lambda: {page: "new"})
    with pytest.raises(SystemExit, match="0"):
        write_or_check(None, lambda: {page: "old"})
    assert page.read_text() == "old"


def test_every_picture_of_a_page_is_there():
    named = [
        (page, picture)
        for page in (ROOT / "docs").rglob("*.md")
        for picture in re.findall(r"!\[[^]]*\]\(([^):]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 2
    assert not [(p.name, picture) for p, picture in named if not (p.parent / picture).is_file()]


def test_every_page_is_two_clicks_from_the_landing_page():
    """By the links in the text alone, without the menu."""
    docs = ROOT / "docs"

    def linked(pages: set[Path]) -> set[Path]:
        targets = {
            (page.parent / link).resolve()
            for page in pages
            for link in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        }
        return {target for target in targets if target.is_relative_to(docs)}

    first = linked({docs / "index.md"})
    assert sorted(set(docs.rglob("*.md")) - {docs / "index.md"} - first - linked(first)) == []
