"""docs/padding.md is what its script writes from the stored records, and its words about kinds are kept."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_verdicts_are_drawn_from_ranges(monkeypatch: pytest.MonkeyPatch):
    from studies.summary import Row, Spread

    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "padding_page.py"))

    def row(padding: str, low: float, high: float | None) -> Row:
        figures = {
            "kappa_median": Spread((low + (high or low)) / 2, low, high, 0),
            "log_likelihood": Spread(low, low, high, 0),
        }
        return Row({"target": "t", "padding": padding}, 2, figures, {})

    def said(zero: Row, none: Row) -> str:
        return script["_conditions"]({"t": {"zero": zero, "none": none}}, "zero", "none", "claim")

    assert "holds on 1 of 1" in said(row("zero", 5.0, 6.0), row("none", 1.0, 4.0))
    assert "holds on 1 of 1" in said(row("zero", 5.0, None), row("none", 1.0, 4.0))
    assert "overlap on t" in said(row("zero", 3.0, 6.0), row("none", 1.0, 4.0))
    assert "the reverse holds on t" in said(row("zero", 1.0, 2.0), row("none", 3.0, 4.0))
    assert "ratio of the medians is 2.2 to 2.2" in said(row("zero", 5.0, 6.0), row("none", 1.0, 4.0))
    words = script["_likelihoods"](
        {"t": {"zero": row("zero", -3.0, -2.5), "none": row("none", -2.0, -1.0)}}, "zero", "c"
    )
    assert "lower, ranges apart: t (-1.000)" in words


@pytest.mark.parametrize("effective", [9.0, 11.0])
def test_a_joint_is_never_a_likelihood(effective: float, monkeypatch: pytest.MonkeyPatch):
    from studies.summary import Row, Spread

    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "padding_page.py"))
    one = lambda v: Spread(v, v, v, 0)
    figures = {
        "joint": one(7.5),
        "marginal_estimate": one(-1.25),
        "marginal_estimate_effective": one(effective),
    }
    words = script["likelihood"](Row({"target": "t", "padding": "zero"}, 1, figures, {}))
    assert words == ("~ -1.250" if effective > 10 else "not resolved")
