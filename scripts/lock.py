"""Writes requirements.lock and requirements-dev.lock: one `name==version` a line, nothing else.

The versions are those that pip chooses today for the oldest supported Python (its oldest patch: some packages
ask for a later one), from the lower bounds in pyproject.toml.
requirements.lock is what `make demo` needs (the core and the build backend); requirements-dev.lock adds
the extras test, adapters, lint and docs, and agrees with it. `make lock` runs it. PINNED holds torch, whose parts beyond
the CPU are gigabytes: nvidia's packages and triton, which only a build for GPUs asks for, are left out of the lock.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = "3.11.0"
PINNED = ["torch==2.13.0"]  # beside which the libraries of `shoal.adapters` are tested
GPU = re.compile(r"(nvidia|cuda|triton)(-.*)?$")
HEAD = "# Exact versions, written by `make lock` (scripts/lock.py). Do not edit."


def chosen(requirements: list[str], constraints: Path | None) -> dict[str, str]:
    """The versions that pip would install into an empty environment: normalised name -> version."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--disable-pip-version-check", "--report", str(report), *requirements]
        command += ["--python-version", OLDEST, "--only-binary=:all:", "--target", folder]
        if constraints is not None:
            command += ["--constraint", str(constraints)]
        subprocess.run(command, check=True)
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    metadata = [item["metadata"] for item in items]
    return {re.sub(r"[-_.]+", "-", m["name"]).lower(): m["version"].split("+")[0] for m in metadata}


def write(path: Path, versions: dict[str, str]) -> None:
    lines = [HEAD, *(f"{name}=={version}" for name, version in sorted(versions.items()))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(versions)} packages")


def main() -> None:
    if not OLDEST.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}."):
        sys.exit(
            f"`make lock` needs the oldest supported Python, {OLDEST} or a later patch; this is {sys.version}."
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    core = [*project["project"]["dependencies"], *project["build-system"]["requires"], "editables"]
    write(ROOT / "requirements.lock", chosen(core, None))
    everything = [*core, *extras["test"], *extras["adapters"], *extras["lint"], *extras["docs"]]
    versions = chosen([*everything, *PINNED], ROOT / "requirements.lock")
    write(ROOT / "requirements-dev.lock", {name: v for name, v in versions.items() if not GPU.match(name)})


if __name__ == "__main__":
    main()
