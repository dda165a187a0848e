"""docs/tables.md: what is set in bold is the best and what the paired errors can not tell from it."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "tables_page.py"))
    noise = np.random.default_rng(0).normal(size=(3, 10_000)).astype(np.float32)
    base = 5 * noise[0]
    held = {
        "mixture": base,
        "kde": base + 0.01 * noise[1] - 1e-4,
        "vine": base + 0.01 * noise[2] - 0.1,
        "zuko-nsf": None,
    }
    cells = {
        arm: {"t/0/120": {"status": "ok", "mean": float(s.mean())} if s is not None else {"status": "failed"}}
        for arm, s in held.items()
    }
    places = script["paired"].__globals__
    monkeypatch.setitem(places, "cells", lambda arm, board="tables": cells.get(arm, {}))
    rows = {arm: {"t/0/120": s} for arm, s in held.items() if s is not None}
    monkeypatch.setitem(places, "scores", lambda arm, board="tables": rows.get(arm, {}))
    return script


def test_bold_is_decided_by_paired_errors(page: dict[str, Any]) -> None:
    """The rows' own spread is 5 nats; the differences, and so what can be told apart, are a hundredth."""
    assert page["best"]("t/0/120") == {"mixture", "kde"}
    show = page["nats"]()
    assert show("mixture", "t/0/120").startswith("**")
    assert not show("vine", "t/0/120").startswith("**")
    assert show("zuko-nsf", "t/0/120") == "failed"
    assert show("sbi", "t/0/120") == ""


def test_differences_have_paired_errors(page: dict[str, Any]) -> None:
    assert page["difference"]("vine", "t/0/120") == "-0.100 ± 0.000"
    assert page["difference"]("mixture", "t/0/120") == "0"
    assert page["difference"]("zuko-nsf", "t/0/120") == ""
