"""docs/universal.md: its example runs, and its figures and picture are what the script writes from the results."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "universal.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.match(r"W2 to the sample of 2000: bound <= ([\d.]+), measured ~ ([\d.]+) \[", done.stdout)
    assert found is not None, done.stdout
    assert float(found[2]) <= float(found[1]) <= 0.1
    assert (tmp_path / "ring.html").read_text(encoding="utf-8").startswith("<!doctype html>")
