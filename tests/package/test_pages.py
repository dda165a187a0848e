"""Every page of the documentation that a script writes is what it would write now, and its pictures are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*_page.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_is_what_the_script_writes(script: Path):
    command = [sys.executable, str(script), "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, f"run scripts/{script.name}"


def test_every_picture_of_a_page_is_there():
    named = [
        (page, picture)
        for page in (ROOT / "docs").glob("*.md")
        for picture in re.findall(r"!\[[^]]*\]\((images/[^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 2
    assert not [(p.name, picture) for p, picture in named if not (ROOT / "docs" / picture).is_file()]
