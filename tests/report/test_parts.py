"""The parts of the report apart: numbers as text, sets of columns, axes, chart specifications, vendored files."""

import copy
import hashlib
import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal.report
from shoal.report._charts import depth_axis, depth_place, log_axis, log_domain, nats_axis, nats_scale
from shoal.report._curves import curve_rows
from shoal.report._ladder import likelihood_chart, line_rows, rung_rows
from shoal.report._numbers import duration, fixed, setting, short, whole
from shoal.report._page import script_json, specification
from shoal.report._points import column_sets, points_of
from shoal.report._race import outcome
from shoal.report._scatter import scatter_specifications
from shoal.report._theme import NO_LAYER, series_colours, series_glyphs
from tests.report.synthetic import CHOSEN, FIRST, SECOND, typed
from tests.report.test_page import Parsed

VENDOR = Path(shoal.report.__file__).parent / "vendor"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "nan"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0, "0"),
        (9.0, "9.00"),
        (123.4, "123"),
        (30240.0, "30,200"),
        (999.9, "1,000"),
        (0.01234, "0.0123"),
        (0.00012, "1.2 × 10⁻⁴"),
        (0.00123, "0.00123"),
        (1.23e-7, "1.23 × 10⁻⁷"),
        (1e-7, "10⁻⁷"),
        (-2.5e8, "−2.5 × 10⁸"),
    ],
)
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e4, "10,000"),
        (1e-3, "0.001"),
        (0.1, "0.1"),
        (1e-7, "10⁻⁷"),
        (250.0, "250"),
        (0.25, "0.25"),
        (None, "–"),
        (0, "0"),
    ],
)
def test_setting(value: float | None, text: str) -> None:
    assert setting(value) == text


def test_other_texts() -> None:
    assert [fixed(-9.81234), fixed(1e9), fixed(math.nan), fixed(None)] == ["−9.812", "10⁹", "nan", "–"]
    assert [whole(53940), whole(-1), whole(math.inf)] == ["53,940", "−1", "–"]
    seconds = (0.44, 12.4, 59.7, 200, 3900, None, -1)
    assert [duration(value) for value in seconds] == [
        "0.4 s",
        "12 s",
        "1 min 00 s",
        "3 min 20 s",
        "1 h 05 min",
        "–",
        "–",
    ]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-250, max_value=1e250))
def test_short_is_the_number_to_three_digits(value: float) -> None:
    text = short(value).replace(",", "")
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    if "10" in text and any(mark in text for mark in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"):
        factor, _, power = text.rpartition("10")
        found = float((factor.replace(" × ", "") or "1") + "e" + power.translate(digits))
    else:
        found = float(text)
    assert math.isclose(found, value, rel_tol=5.001e-3)


@pytest.mark.parametrize("count", range(1, 31))
def test_every_pair_of_columns_is_in_some_set(count: int) -> None:
    sets = column_sets(count)
    assert all(len(columns) == len(set(columns)) == min(6, count) for columns in sets)
    seen = {pair for columns in sets for pair in combinations(columns, 2)}
    assert seen == set(combinations(range(count), 2))


@pytest.mark.parametrize("count", [31, 100, 200])
def test_with_many_columns_every_column_is_shown(count: int) -> None:
    sets = column_sets(count)
    assert {column for columns in sets for column in columns} == set(range(count))
    assert len(sets) <= count / 2


@given(st.lists(st.floats(min_value=1e-200, max_value=1e200), min_size=1, max_size=5))
def test_log_axes_hold_all_values_and_have_ticks(values: list[float]) -> None:
    low, high = log_domain(values)
    assert low <= min(values)
    assert max(values) <= high
    ticks = log_axis([low, high]).to_dict()["values"]
    assert 1 <= len(ticks) <= 12
    assert all(low <= tick <= high * (1 + 1e-12) for tick in ticks)


@pytest.mark.parametrize("count", [1, 8, 12, 30])
def test_chains_never_share_colour_and_shape(count: int) -> None:
    names = [*(f"chain {i}" for i in range(count)), NO_LAYER]
    marks = list(zip(series_colours(names), series_glyphs(names), strict=True))
    assert len(set(marks)) == count + 1
    assert marks[-1] == (series_colours([NO_LAYER])[0], series_glyphs([NO_LAYER])[0])
    assert series_glyphs(names).count(marks[-1][1]) == 1  # fronts alone are told by their shape already
    places = [depth_place(names, name, 4) for name in names]
    assert places == sorted(set(places))
    assert all(1.5 < place < 2.5 for place in places)


def test_the_axis_of_depth_begins_with_no_layer() -> None:
    axis: Any = depth_axis([8, 0, 2, 0]).to_dict()
    assert axis["axis"]["values"] == [-1.0, 1.0, 3.0]
    assert axis["axis"]["labelExpr"].startswith("['0', '2', '8']")
    assert axis["scale"]["domain"] == [-1.4, 3.4]


@given(st.lists(st.floats(min_value=-1e4, max_value=1e4), max_size=5), st.floats(1e-3, 1.0))
def test_axes_of_losses_hold_all_values_and_tell_zero_from_the_margin(
    values: list[float], unit: float
) -> None:
    scale = nats_scale(values, unit)
    low, high = scale.to_dict()["domain"]
    assert all(low < value < high for value in [0.0, unit, *values])
    ticks = nats_axis(scale, unit).to_dict()["values"]
    assert 0.0 in ticks
    assert ticks == sorted(set(ticks))
    assert all(low <= tick <= high for tick in ticks)


def test_a_rung_is_as_good_where_its_bar_ends_above_the_margin(record: dict[str, Any]) -> None:
    margin = record["decision"]["margin"]
    rows = rung_rows(typed(record))
    assert [row["high"] < margin for row in rows] == [rung["as_good"] for rung in record["rungs"]]
    assert {row["state"] for row in rows if row["low"] < margin <= row["high"]} == {"undecided"}
    assert {row["state"] for row in rows} == {"as good", "undecided", "worse"}
    spec = specification(likelihood_chart(typed(record)) or alt.LayerChart())
    assert f'"values": [{{"at": {margin}}}]' in json.dumps(spec)


def test_the_lines_of_chains_begin_at_their_fronts(record: dict[str, Any]) -> None:
    lines = line_rows(rung_rows(typed(record)), ["loss"])
    chains = {row["series"]: [r["depth"] for r in lines if r["series"] == row["series"]] for row in lines}
    assert chains == {FIRST: [0, 1, 2, 4], SECOND: [0, 1, 2, 4, 8]}
    assert lines[0]["loss"] == record["rungs"][0]["difference"]


def test_the_race_says_where_chains_ended(record: dict[str, Any]) -> None:
    made = typed(record)
    ends = {rung.name: outcome(made, place) for place, rung in enumerate(made.rungs)}
    assert ends["mixture, no layer"] == "no layers were tried on it"
    assert ends["gaussian, no layer"] == ""
    assert ends[f"{FIRST}, 4 layers"].startswith("chain ended: behind")
    assert ends[f"{SECOND}, 4 layers"] == "chosen"
    assert ends[f"{SECOND}, 8 layers"] == "best; unfinished"


def test_epoch_0_begins_each_curve_and_plain_means_are_drawn_where_they_differ(
    record: dict[str, Any],
) -> None:
    record = copy.deepcopy(record)
    seed = record["rungs"][CHOSEN]["seeds"][1]
    seed["curve"]["validation_mean"][9] = -1e9
    rows = [row for row in curve_rows(typed(record)) if row["curve"] == f"{CHOSEN}/1"]
    assert [row["epoch"] for row in rows] == list(range(41))
    assert rows[0]["validation"] == pytest.approx(seed["first_validation"])
    assert rows[0]["train"] is None
    assert [row["epoch"] for row in rows if row["plain mean"] is not None] == [
        e for e in range(1, 41) if e != 10
    ]


def test_specifications_name_their_data(record: dict[str, Any]) -> None:
    points = points_of(typed(record).points)
    assert points is not None
    for panels in scatter_specifications(points).values():
        spec = panels["panel"]
        assert "datasets" not in spec
        text = json.dumps(spec)
        assert '"name": "points"' in text
        assert "$schema" not in text


def test_one_far_outlier_does_not_flatten_the_panel_of_log_likelihoods(record: dict[str, Any]) -> None:
    levels = [-9.0 - 5.0 * i / len(record["points"]["data"]) for i in range(len(record["points"]["data"]))]
    plain = points_of(typed({**record, "points": {**record["points"], "log_prob": levels}}).points)
    assert plain is not None
    assert (plain.level_floor, plain.below_floor) == (None, 0)
    spoiled = points_of(
        typed({**record, "points": {**record["points"], "log_prob": [-2000.0, *levels[1:]]}}).points
    )
    assert spoiled is not None
    assert spoiled.level_floor is not None
    assert -14 < spoiled.level_floor < -13.9
    assert spoiled.below_floor >= 1
    for panels in scatter_specifications(spoiled).values():
        scales = [layer["encoding"]["y"]["scale"] for layer in panels["wide"]["layer"]]
        assert all(scale["clamp"] and -15 < scale["domain"][0] < -14 for scale in scales)


def test_script_json_can_not_end_its_element() -> None:
    value = {"</script><!--": ["&lt;", "\u2028\u2029", "名前"]}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(math.nan)


def test_vendored_files_are_those_that_were_recorded_and_altair_asks_for() -> None:
    versions = json.loads((VENDOR / "versions.json").read_text())
    assert set(versions) == {"vega", "vega-lite", "vega-embed"}
    for entry in versions.values():
        data = (VENDOR / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert b"</script" not in data
        assert "Redistribution and use" in (VENDOR / entry["licence"]).read_text()
    asked = [int(part) for part in alt.VEGALITE_VERSION.split(".")]
    held = [int(part) for part in versions["vega-lite"]["version"].split(".")]
    assert held[0] == asked[0]
    assert held >= asked, (
        "run scripts/vendor_vega.py: Altair writes for a newer Vega-Lite than the vendored one"
    )
    assert versions["vega"]["version"].split(".")[0] == alt.VEGA_VERSION.split(".")[0]
    assert versions["vega-embed"]["version"].split(".")[0] == alt.VEGAEMBED_VERSION.split(".")[0]


def test_every_chart_is_what_the_schema_of_vega_lite_allows(report: Path) -> None:
    payload = Parsed(report).payload
    sides = payload["scatter"]["specs"].values()
    charts = [*payload["charts"].values(), *(side[name] for side in sides for name in ("panel", "wide"))]
    assert len(charts) == 14
    for chart in charts:
        alt.TopLevelSpec.validate(chart)
