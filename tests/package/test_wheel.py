"""The wheel: what it holds, and that it runs beside its stated dependencies and nothing else."""

import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    parts = [str(part) for part in command]
    done = subprocess.run(parts, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `pip install .` would build it, by the build backend of the lock file."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", folder, ROOT)
    (path,) = folder.glob("shoal-*.whl")
    return path


def closure(name: str) -> set[str]:
    """The distributions that installing name brings, itself left out."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        requirement = waiting.pop()
        for text in distribution(requirement.name).requires or []:
            needed = Requirement(text)
            extras = requirement.extras or {""}
            marker = needed.marker
            wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
            if wanted and needed.name not in found:
                found.add(needed.name)
                waiting.append(needed)
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel and links to its dependencies, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in sorted(closure("shoal")):
        files = distribution(name).files or []
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            source = Path(str(distribution(name).locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source, target_is_directory=source.is_dir())
    target = ["--prefix", folder, "--no-deps", "--no-index", "--no-compile", "--ignore-installed"]
    run(sys.executable, "-m", "pip", "install", "--quiet", *target, wheel)
    return folder / "bin" / "python"


def test_wheel_holds_the_package_and_only_that(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{wheel.name.split('-py3')[0]}.dist-info"
    assert {path.split("/")[0] for path in names} == {"shoal", info}
    source = ROOT / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert set(names) >= {name for name in files if not name.endswith(".pyc")}
    assert {"shoal/py.typed", "shoal/__init__.pyi", f"{info}/licenses/LICENSE"} <= set(names)


def test_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 3_000_000


def test_runs_with_its_dependencies_alone(python: Path, tmp_path: Path) -> None:
    code = "import shoal; [getattr(shoal, name) for name in shoal.__all__]; print(shoal.__file__)"
    place = run(python, "-c", code, cwd=tmp_path).strip()
    assert Path(place).is_relative_to(python.parent.parent)
    find = (
        "import importlib.util as u; print([u.find_spec(name) for name in ('pytest', 'beartype', 'pandas')])"
    )
    assert run(python, "-c", find).strip() == "[None, None, None]"


def test_command_runs(python: Path, tmp_path: Path) -> None:
    command = python.with_name("shoal")
    assert re.search(r"\b0\.1\.0\b", run(python, command, "--version", cwd=tmp_path))
    assert "fit" in run(python, command, "--help", cwd=tmp_path)
