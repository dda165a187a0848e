"""The index of theorems names nothing that is gone, and has no empty cell without a reason."""

import ast
import importlib
import re
import runpy
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = ("page", "function", "certificate", "test", "record")


@pytest.fixture(scope="module")
def statements() -> list[dict[str, Any]]:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        parts = runpy.run_path(str(ROOT / "scripts" / "theorems_page.py"))["index"]()
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return [statement for part in parts for statement in part["statement"]]


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@cache
def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_no_cell_is_empty_without_a_reason(statements: list[dict[str, Any]]):
    assert len(statements) >= 50
    empty = [
        (s["name"], column)
        for s in statements
        for column in COLUMNS
        if not s[column] and not s.get("without", {}).get(column)
    ]
    assert not empty
    assert all(s["says"] and s["why"] for s in statements)
    assert {s["standing"] for s in statements} <= {"stronger", "as stated", "weaker", "own", "built"}


def test_the_paper_is_whole(statements: list[dict[str, Any]]):
    names = {s["name"] for s in statements}
    paper = {f"Theorem {i}" for i in range(1, 5)} | {f"Remark {i}" for i in range(1, 6)}
    assert paper | {"Question 1", "Question 2", "Definition 1"} <= names
    assert len(names) == len(statements)


def test_functions_are_public(statements: list[dict[str, Any]]):
    gone = []
    for name in {name for s in statements for name in s["function"]}:
        module, _, attribute = f"shoal.{name}".rpartition(".")
        if not hasattr(importlib.import_module(module), attribute):
            gone.append(name)
    assert not gone


def test_tests_and_records_and_pages_are_there(statements: list[dict[str, Any]]):
    tests = {name for s in statements for name in s["test"]}
    gone = [
        name
        for name in tests
        for path, _, function in [name.partition("::")]
        if not (ROOT / "tests" / path).is_file() or function not in functions(ROOT / "tests" / path)
    ]
    gone += [name for s in statements for name in s["record"] if not (ROOT / "results" / name).is_file()]
    for place in {place for s in statements for place in s["page"]}:
        name, _, anchor = place.partition("#")
        page = ROOT / "docs" / name
        if not page.is_file() or (anchor and anchor not in anchors(page)):
            gone.append(place)
    assert not gone
