"""The lock files: exact versions only, every requirement of pyproject.toml met, and the two agree."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][A-Za-z0-9.]*")


def pinned(name: str) -> dict[str, str]:
    """The pins of a lock file, name -> version; each line is checked."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    wrong = [line for line in pins if not LINE.fullmatch(line)]
    assert pins
    assert not wrong, f"{name}: not `name==version`: {wrong}"
    return dict(pin.split("==") for pin in pins)


def required(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in extras:
        texts += project["project"]["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock", ()), ("requirements-dev.lock", ("test", "adapters", "lint", "docs"))],
)
def test_lock_meets_the_requirements(lock: str, extras: tuple[str, ...]) -> None:
    pins = pinned(lock)
    for requirement in required(*extras):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in pins, f"{lock} lacks {name}: run `make lock`"
        assert requirement.specifier.contains(pins[name]), (
            f"{lock}: {name}=={pins[name]} against {requirement}"
        )


def test_locks_agree() -> None:
    core, everything = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert core.items() <= everything.items()


def test_every_bound_can_be_tested() -> None:
    """`make test-oldest` installs each lower bound exactly; a requirement of another form would escape it."""
    pins = runpy.run_path(str(ROOT / "scripts" / "oldest.py"))["oldest"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert [pin.replace("==", ">=") for pin in pins(texts)] == texts
    for text in ("jax", "jax>0.8", "jax>=0.8,<1", "jax~=0.8"):
        with pytest.raises(ValueError, match="no lower bound that can be tested"):
            pins([text])
