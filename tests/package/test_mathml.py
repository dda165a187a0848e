"""Formulas of the documentation become MathML, all of them and whole."""

import re
import runpy
from pathlib import Path

import markdown
import pytest

ROOT = Path(__file__).parents[2]
HOOK = runpy.run_path(str(ROOT / "scripts" / "mathml.py"))["on_page_content"]
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)  # where a dollar is the shell's
PAGES = [
    p for p in sorted((ROOT / "docs").rglob("*.md")) if "$" in CODE.sub("", p.read_text(encoding="utf-8"))
]


def made(text: str) -> str:
    """The page as the site has it, as far as formulas go."""
    settings = {"pymdownx.arithmatex": {"generic": True}}
    extensions = ["pymdownx.arithmatex", "pymdownx.superfences", "tables"]
    return HOOK(markdown.markdown(text, extensions=extensions, extension_configs=settings))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_formula_is_left_in_latex(page: Path):
    html = made(page.read_text(encoding="utf-8"))
    assert "arithmatex" not in html
    formulas = re.findall(r"<math.*?</math>", html, re.DOTALL)
    assert formulas
    assert [formula for formula in formulas if "\\" in formula or "<mi>&amp;</mi>" in formula] == []
    outside = re.sub(r"<(math|code)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert re.findall(r".{0,40}(?:\$|\\[a-zA-Z]+).{0,40}", outside) == []


def test_a_formula_and_its_place():
    assert made("so $\\kappa \\le 3$").count('display="inline"') == 1
    assert made("$$\nx = \\frac{1}{2}\n$$").count("<mfrac>") == 1


def test_an_unknown_command_is_seen():
    assert "\\nosuchcommand" in made("$\\nosuchcommand$")
