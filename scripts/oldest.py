"""Runs tests beside the oldest versions that pyproject.toml allows: each lower bound is installed exactly.

`make test-oldest` runs it; the environment is build/oldest. A bound that does not exist, or that contradicts another
one, ends it with pip's words. Arguments go to pytest in place of the parts of the suite below.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "oldest"
TESTS = (
    "bijections",
    "cli",
    "conditioning",
    "distributions",
    "flows",
    "laws",
    "linear",
    "records",
    "report",
    "selection",
    "tables",
    "training",
)
BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[.*\])?>=([0-9.]+)$")


def oldest(requirements: list[str]) -> list[str]:
    """Each `name>=version` as `name==version`. **Raises:** ValueError for a requirement of another form."""
    pins = []
    for text in requirements:
        match = BOUND.match(text)
        if match is None:
            raise ValueError(
                f"{text!r} in pyproject.toml has no lower bound that can be tested; write name>=version."
            )
        pins.append(f"{match[1]}=={match[2]}")
    return pins


def main(arguments: list[str]) -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["requires-python"].removeprefix(">=")
    if version != f"{sys.version_info[0]}.{sys.version_info[1]}":
        sys.exit(f"`make test-oldest` needs the oldest supported Python, {version}; this is {sys.version}.")
    pins = oldest([*project["dependencies"], *project["optional-dependencies"]["test"]])
    python = FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    pip = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--quiet",
        "--no-compile",
    ]
    subprocess.run([*pip, *pins], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], check=True)
    tests = arguments or ["--numprocesses", "2", "--dist", "loadfile", *(f"tests/{name}" for name in TESTS)]
    return subprocess.run([str(python), "-m", "pytest", *tests], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
