"""House rules that a machine can check: the import contracts, and the form of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "src" / "shoal").rglob("*.py"))
LAZY = {"shoal", "theory"}  # these two load their sub-packages when they are first used
MOST_PUBLIC_NAMES = 160
CONTENTS = [path for path in MODULES if path.name == "__init__.py" and path.parent.name not in LAZY]


def test_import_contracts() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "src"))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree, clean=True)
    assert docstring, "a module opens with what it holds and the convention it obeys"
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree):
        where = f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Name):
            assert node.id not in {"super", "TYPE_CHECKING"}, f"{node.id} at {where}"
        if isinstance(node, ast.ExceptHandler):
            assert not all(isinstance(part, ast.Pass) for part in node.body), f"swallowed error at {where}"


@pytest.mark.parametrize("path", CONTENTS, ids=name)
def test_sub_package_is_a_contents_page(path: Path) -> None:
    _, *body = ast.parse(path.read_text(encoding="utf-8")).body
    package = ".".join(path.parent.relative_to(ROOT / "src").parts)
    for node in body:
        assert isinstance(node, ast.ImportFrom), f"line {node.lineno}: only `from ._x import X as X`"
        assert node.level == 1 or str(node.module).startswith(f"{package}."), f"line {node.lineno}"
        assert all(alias.asname in (None, alias.name) for alias in node.names)


def public(path: Path) -> list[str]:
    """The public names of a contents page: `from ._x import X as X`. A name without `as` is shared inside the house only."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    ]


def test_public_names_are_few_and_stand_once() -> None:
    names = [(path.parent.name, name) for path in CONTENTS for name in public(path)]
    assert len(set(names)) == len(names)
    assert len(names) <= MOST_PUBLIC_NAMES
