"""Formulas of the documentation: LaTeX between dollar signs becomes MathML while the site is built.

A hook of MkDocs (mkdocs.yml). Browsers set MathML themselves, so a page needs no script, no font and no network for it.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What pymdownx.arithmatex makes of $...$ and $$...$$ with `generic: true`.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

BAR = '<mo stretchy="false">&#x0007C;</mo>'  # of a norm or a determinant: no space around it


def on_page_content(text: str, **_: Any) -> str:
    """The page with every formula as MathML."""
    return FORMULA.sub(_set, text)


def _set(found: re.Match[str]) -> str:
    display = "inline" if found[1] == "span" else "block"
    made = convert(html.unescape(found[2]).strip(), display=display)
    return made.replace(BAR, BAR.replace(">", ' lspace="0" rspace="0">', 1))
