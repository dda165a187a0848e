"""The page of an audit: what it says against its record, and its charts and linked brushes in a browser."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal.report._write as writing
from shoal._errors import InputError
from shoal.records.figures import LayerProfile
from shoal.report import write_report
from shoal.report._audit import trip_rows
from shoal.report._layers import compact, heat_charts
from shoal.report._numbers import short
from shoal.report._points import audit_points, principal
from shoal.report._spectra import audit_spectrum_chart
from tests.report.audits import UNITS, broken, hostile, make_audit, make_layers, nothing, typed_audit
from tests.report.conftest import Opened
from tests.report.test_browser import PANELS, drag
from tests.report.test_page import Parsed, self_contained

Open = Callable[..., Opened]
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    record = make_audit() | {
        "target": "runs/first",
        "source": "t.csv",
        "command": "shoal audit runs/first t.csv",
    }
    path = tmp_path_factory.mktemp("audit") / "a.html"
    write_report(typed_audit(record), path)
    return record, path


def test_it_is_self_contained_and_says_what_the_record_says(full: tuple[dict[str, Any], Path]) -> None:
    record, path = full
    parsed = self_contained(path)
    for text in (
        record["diagnosis"]["sentence"],
        "not healthy (cause: layer)",
        "first",
        "t.csv",
        "4,320 exact",
        "median 54.3, largest 98,800",
        "healthy up to 10,000",
        "100 exact",
        "0.0100 exact",
        "3.3 × 10⁻¹³ exact",
        "Framed: layer 3 Coupling(Affine)",
        "The same before training",
        "12.0",
        "777",
        "0.0044",
        "Every layer stays finite in float32",
        "round trips, predicted estimate",
    ):
        assert text in parsed.words, text
    for row in (*record["layers"], *record["start"]):
        for key in ("condition_q99", "lipschitz", "log_det", "round_trip", "curvature"):
            assert short(row[key]) in parsed.words
    assert "gradient of the loss" not in parsed.words  # no layer has one


def test_error_bars_of_log_p_are_listed_by_their_bounds(full: tuple[dict[str, Any], Path]) -> None:
    record, path = full
    words = Parsed(path).words.split("How far log p is to be trusted")[1].split("Attack")[0]
    bars = record["log_prob_errors"]
    assert bars["sentence"] in words
    assert "No row here exceeds it." in words
    assert f"In float64 the largest bound is {short(bars['float64'], 2)}" in words
    places = [words.find(f" {short(row['bound'], 2)} {short(row['measured'], 2)} ") for row in bars["rows"]]
    assert places[0] >= 0
    assert places == sorted(places)


def test_the_worst_points_are_listed_in_their_order(full: tuple[dict[str, Any], Path]) -> None:
    record, path = full
    kappa = np.array(record["shown"]["condition"])
    words = Parsed(path).words.split("The worst points")[1]
    found = [words.find(f" {short(k)} ") for k in np.sort(kappa)[::-1][:20]]
    assert found[0] >= 0
    assert found == sorted(found)
    row = int(kappa.argmax())
    x = record["shown"]["x"][row]
    assert f"x0 = {short(x[0], 4)}, x1 = {short(x[1], 4)}, x2 = {short(x[2], 4)}" in words[:200]


def test_figures_that_are_not_finite_are_never_numbers(tmp_path: Path) -> None:
    record = make_audit()
    broken(record)
    write_report(typed_audit(record), tmp_path / "a.html")
    words = Parsed(tmp_path / "a.html").words
    for text in (
        "> 4.5 × 10¹⁵ unresolved",
        "not resolved at 7 points",
        "17 points not finite",
        "✕ 17 of 200 points not finite",
        "0: no error at all",
        "No bfloat16 here.",
        "3 points whose Jacobian is not finite are left out.",
        "not finite: it does not come back",
        "1 Coupling(Affine) forward float32 tails x8 17",
        "7 have a condition number",
    ):
        assert text in words, text
    rows = {(r["set"], r["dtype"]): r for r in trip_rows(typed_audit(record))}
    assert rows["data", "float32"]["max"] is None
    points = audit_points(typed_audit(record))
    assert points is not None
    assert points.unresolved == 7
    cells = heat_charts(typed_audit(record).layers, None, None)["layers"].to_dict()["data"]["values"]
    at = {(c["y"], c["x"]): c for c in cells}
    assert at["0 LULinear", "κ/largest"] == {"y": "0 LULinear", "x": "κ/largest", "s": None, "f": 1, "t": "∞"}
    assert at["0 LULinear", "own trip/in float32"]["t"] == "nan"


def test_the_heat_map_places_each_figure_in_its_own_logarithmic_range() -> None:
    layers, start = ([LayerProfile(**row) for row in make_layers(5, seed)] for seed in (0, 9))
    charts = heat_charts(layers, start, 2)
    values = [row.condition_max for row in (*layers, *start)]
    low, high = math.log10(min(values)), math.log10(max(values))
    high = max(high, low + 1)
    for name, rows in (("layers", layers), ("start", start)):
        cells = [c for c in charts[name].to_dict()["data"]["values"] if c["x"] == "κ/largest"]
        expected = [(math.log10(row.condition_max) - low) / (high - low) for row in rows]
        assert [c["s"] for c in cells] == pytest.approx(expected, abs=6e-4)
    assert heat_charts([], None, None) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (12.345, "12.3"),
        (-0.5, "−0.5"),
        (1.24e-7, "1.2e−7"),
        (2e5, "2e5"),
        (math.inf, "∞"),
        (math.nan, "nan"),
        (999.4, "999"),
    ],
)
def test_compact_figures(value: float | None, text: str) -> None:
    assert compact(value) == text
    assert len(compact(value)) <= 7


def test_bands_and_predictions_are_those_of_the_record() -> None:
    record = make_audit(size=20)
    chart = audit_spectrum_chart(typed_audit(record))
    assert chart is not None
    rows = chart.to_dict()["data"]["values"]
    for name in ("min", "q25", "median", "max"):
        assert [row[name] for row in rows] == record["spectrum"][name]
    record = make_audit(size=20, dense=False)
    chart = audit_spectrum_chart(typed_audit(record))
    assert chart is not None
    assert [row["name"] for row in chart.to_dict()["data"]["values"]] == ["largest", "smallest"]
    for row in trip_rows(typed_audit(record)):
        expected = {"data": 120.0, "samples": 340.0}.get(row["set"])
        assert row["layers"] == (None if expected is None else expected * UNITS[row["dtype"]])


def test_principal_axes_are_those_of_the_correlations() -> None:
    x = np.random.default_rng(0).normal(size=(200, 4)) @ np.diag([1, 10, 1e3, 1]) + 5
    x[:, 3] = 0.05 * x[:, 0] + x[:, 2]
    found = principal(x)
    assert found is not None
    values = np.linalg.eigvalsh(np.corrcoef(x.T))[::-1]
    np.testing.assert_allclose(found.var(axis=0), values[:2], rtol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-10)
    assert abs(np.corrcoef(found.T)[0, 1]) < 1e-10
    assert principal(x[:, :2]) is None


def test_the_same_record_gives_the_same_bytes_and_is_left_alone(
    full: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    record, before = full[0], copy.deepcopy(full[0])
    write_report(typed_audit(record), tmp_path / "b.html")
    assert (tmp_path / "b.html").read_bytes() == full[1].read_bytes()
    assert record == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "fit"}, "is of kind 'fit'; one of kind 'audit' is needed"),
        ({"format": 2}, "format 2, this version of Shoal reads 1"),
        ({"size": 0}, r"Expected `int` >= 1 - at `size`"),
        ({"layers": []}, r"Expected `array` of length >= 1 - at `layers`"),
        ({"start": [1]}, r"Expected `object`, got `int` - at `start\[0\]`"),
    ],
)
def test_other_records_are_refused_and_the_old_page_stays(
    change: dict[str, Any], text: str, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text("old")
    with pytest.raises(InputError, match=text):
        write_report(typed_audit(make_audit() | change), tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_page_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 100_000)
    with pytest.raises(InputError, match="the record has too many layers"):
        write_report(typed_audit(make_audit()), tmp_path / "a.html")


# How many different colours each canvas of a chart holds.
INKS = """() => Object.fromEntries([...document.querySelectorAll(".chart canvas")].map((canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return [canvas.closest(".chart").id, colours.size];
}))"""


def test_it_draws_without_a_word_and_brushes_link_positions_and_condition_numbers(
    full: tuple[dict[str, Any], Path], open_page: Open
) -> None:
    record, path = full
    opened = open_page(path)
    page = opened.page
    assert opened.complaints == []
    assert page.locator(".failed").count() == 0
    inks = page.evaluate(INKS)
    assert sorted(inks) == ["layers", "round-trip", "spectrum", "start"]
    assert min(inks.values()) > 20
    panels = page.evaluate(PANELS)
    assert len(panels) == 11  # five columns with the principal axes: ten pairs, and κ
    wide = max(panels, key=lambda panel: panel["width"])
    drag(page, wide, (0.6, 0.02), (1.0, 0.98))
    chosen = {row for panel in page.evaluate(PANELS) for row in panel["rows"]}
    kappa = np.array(record["shown"]["condition"])
    assert 0 < len(chosen) < len(kappa)
    assert min(kappa[sorted(chosen)]) >= max(kappa[[i for i in range(len(kappa)) if i not in chosen]])
    assert f"{len(chosen)} of {len(kappa)} points · κ median" in page.inner_text("#selected")
    assert "distance from the mean, in deviations: mean" in page.inner_text("#selected")
    page.click("#clear")
    page.evaluate("() => window.shoalReady")
    panel = next(p for p in page.evaluate(PANELS) if p["width"] < wide["width"])
    drag(page, panel, (0.02, 0.02), (0.5, 0.98))
    parts = [set(p["rows"]) for p in page.evaluate(PANELS)]
    assert all(part == parts[0] for part in parts)
    assert 0 < len(parts[0]) < len(kappa)


def as_it_is(record: dict[str, Any]) -> None:
    """A record without surprises."""


@pytest.mark.parametrize(
    ("size", "count", "points", "dense", "change"),
    [
        (3, 4, 60, True, broken),
        pytest.param(3, 4, 60, True, nothing, marks=pytest.mark.long),
        (3, 4, 60, True, hostile),
        (1, 1, 1, True, as_it_is),
        pytest.param(1, 3, 40, True, as_it_is, marks=pytest.mark.long),
        pytest.param(2, 1, 40, False, broken, marks=pytest.mark.long),
        pytest.param(1000, 500, 200, False, as_it_is, marks=pytest.mark.long),
    ],
    ids=["broken", "nothing", "hostile", "one of all", "one coordinate", "ends", "large"],
)
def test_unusual_audits_draw_in_silence(
    size: int,
    count: int,
    points: int,
    dense: bool,
    change: Callable[[dict[str, Any]], None],
    tmp_path: Path,
    open_page: Open,
) -> None:
    record = make_audit(size, max(count, 1), points, dense=dense)
    if change is broken and count == 1:
        record["layers"] = record["start"] = make_layers(1)
    change(record)
    write_report(typed_audit(record), tmp_path / "a.html")
    opened = open_page(tmp_path / "a.html")
    assert opened.complaints == []
    assert opened.page.locator(".failed, img").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_narrow_window_does_not_scroll_the_page(tmp_path: Path, open_page: Open) -> None:
    write_report(typed_audit(make_audit(20, 4, 60)), tmp_path / "a.html")  # a long list of columns
    page = open_page(tmp_path / "a.html", width=380).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
