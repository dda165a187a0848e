"""The README keeps its word: its example runs, its commands and files exist."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example() -> str:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1, "the README holds one Python example"
    return blocks[0]


def test_example_is_ten_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) == 10


def test_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "arc" / "model.json").is_file()
    assert re.search(r"^Chosen: .*layers?; .*\nmean log-likelihood: -0\.", done.stdout), done.stdout


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"make ([a-z][a-z-]*)", README))
    assert {"demo", "test", "lint", "docs"} <= named <= targets


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert "docs/images/report.png" in links
    assert [link for link in links if not (ROOT / link).exists()] == []
