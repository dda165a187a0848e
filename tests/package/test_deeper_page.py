"""docs/universal-deeper.md: its figures are what the script writes from the results."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_writes() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "deeper_page.py"), "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run scripts/deeper_page.py"
