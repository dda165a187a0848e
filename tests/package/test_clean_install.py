"""`pip install .` into an empty environment gives a working `shoal fit`, within the budget of disk. Takes minutes."""

import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 800_000_000  # bytes of the core install, without pip and setuptools, before anything is compiled
NOT_OURS = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel"}

pytestmark = pytest.mark.long


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--constraint", str(ROOT / "requirements.lock"), str(ROOT)], check=True, timeout=900
    )
    return folder


def test_core_install_is_within_budget(environment: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    sizes = {path.name: size(path) if path.is_dir() else path.stat().st_size for path in site.iterdir()}
    total = sum(bytes_ for name, bytes_ in sizes.items() if name.split("-")[0] not in NOT_OURS)
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    print(f"core install: {total / 1e6:.0f} MB; largest: {largest}")
    assert total < BUDGET, largest


def test_fit_works(environment: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(600, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])
    np.savetxt(tmp_path / "table.csv", values, delimiter=",", header="a,b", comments="")
    options = ["--families", "realnvp", "--depths", "2", "--seeds", "1", "--time-limit", "20s"]
    command = [str(environment / "bin" / "shoal"), "fit", "table.csv", "--out", "run", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert {"model.json", "weights.safetensors", "report.html"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
