"""docs/failures.md is what its script writes from results/failures.json."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_writes():
    command = [sys.executable, str(ROOT / "scripts" / "failures_page.py"), "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run scripts/failures_page.py"
