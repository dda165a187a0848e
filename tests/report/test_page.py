"""The report file as text: self-contained, bounded, escaped, the same every time, and plain about missing parts."""

import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import shoal.report._write as writing
from shoal._errors import InputError
from shoal.records.figures import LayerProfile
from shoal.report import write_report
from shoal.report._layers import heat_charts
from shoal.report._page import specification
from tests.report.audits import make_layers
from tests.report.synthetic import BEST, CHOSEN, FIRST, SECOND, decide, make_record, typed


class Parsed(HTMLParser):
    """Tags with their attributes, the text outside scripts and styles, and the content of each script by id."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.style = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self.cdata_elem == "style":
            self.style += data
        else:
            self.text += " " + data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(
            next(text for attributes, text in self.scripts if attributes.get("id") == "payload")
        )


def self_contained(path: Path) -> Parsed:
    """The page, parsed, after checks that it is small and asks for nothing from anywhere."""
    parsed = Parsed(path)
    assert path.stat().st_size < 2_000_000
    for tag, attributes in parsed.tags:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img", "audio", "video"}
        for name in ("src", "srcset", "action", "data", "poster"):
            assert name not in attributes, (tag, attributes)
        assert attributes.get("href", "data:,") == "data:,", (tag, attributes)
    assert "url(" not in parsed.style
    assert "://" not in json.dumps(parsed.payload)
    return parsed


def small(**changes: Any) -> dict[str, Any]:
    return make_record(columns=["a", "b"], points=40, samples=40, epochs=4, seeds=1) | changes


def written(record: dict[str, Any], folder: Path) -> Parsed:
    write_report(typed(record), folder / "report.html")
    return Parsed(folder / "report.html")


def test_it_is_small_and_self_contained(report: Path) -> None:
    parsed = self_contained(report)
    assert "@import" not in parsed.style
    policy = next(a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:|\*", policy)


def test_points_are_sent_once_and_bounded(tmp_path: Path) -> None:
    record = make_record(columns=["a", "b", "c", "d"], points=4000, samples=4000, epochs=4, seeds=1)
    record["points"]["data"][17][2] = 1.23457
    parsed = written(record, tmp_path)
    scatter = parsed.payload["scatter"]
    assert [len(column) for column in scatter["data"]] == [1500] * 4
    assert [len(column) for column in scatter["samples"]] == [1500] * 4
    rows = scatter["row"]
    points = record["points"]
    worst = sorted(range(4000), key=lambda index: points["condition"][index])[-200:]
    assert rows[-200:] == [points["row"][index] for index in worst]
    assert scatter["condition"] == sorted(scatter["condition"])
    place = {row: index for index, row in enumerate(points["row"])}
    for key, name in (("condition", "condition"), ("logProb", "log_prob")):
        own = [points[name][place[row]] for row in rows]
        assert scatter[key] == pytest.approx(own, rel=1e-4)
    for slot, column in enumerate(scatter["data"]):
        assert all(
            abs(value - points["data"][place[row]][slot]) < 1e-4
            for row, value in zip(rows, column, strict=True)
        )
    text = json.dumps(parsed.payload["scatter"]["specs"]) + json.dumps(parsed.payload["charts"])
    assert json.dumps(scatter["data"][0][0]) not in text
    assert len(text) < 150_000


def test_many_columns_stay_below_the_limit(tmp_path: Path) -> None:
    names = [f"column {i}" for i in range(210)]
    record = make_record(columns=names, points=760, samples=760, epochs=4, seeds=1)
    parsed = written(record, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert "10 further columns are not shown" in parsed.words
    assert len(parsed.payload["scatter"]["row"]) == 750


def test_long_curves_are_thinned_and_keep_their_ends(tmp_path: Path) -> None:
    record = make_record(columns=["a", "b"], points=40, samples=40, epochs=6_000, seeds=1, depths=2)
    curves = written(record, tmp_path).payload["datasets"]["curves"]
    assert len(curves["epoch"]) < 9000
    assert min(curves["epoch"]) == 0
    assert max(curves["epoch"]) == 6_000


def test_the_same_record_gives_the_same_bytes_and_is_left_alone(tmp_path: Path) -> None:
    record = small()
    before = copy.deepcopy(record)
    write_report(typed(record), tmp_path / "a.html")
    assert record == before
    write_report(typed(record), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_the_page_says_what_the_record_says(report: Path, record: dict[str, Any]) -> None:
    words, rungs = Parsed(report).words, record["rungs"]
    assert "not trained to its end" not in words
    gain = rungs[3]["validation_log_likelihood"] - rungs[0]["validation_log_likelihood"]
    assert record["decision"]["sentence"] in words
    assert record["command"] in words
    for said in (
        "made-up.csv",
        "rows 40,000",
        "32,000 / 4,000 / 4,000",
        "dtype float32",
        "made 2025-11-23 18:04",
        "−9.812 ± 0.031",
        "plain mean of 4,000 rows, used once; robust mean −9.804",
        f"Delivered flow {SECOND}, 4 layers",
        "14,230 parameters",
        "the worst of 2 seeds; allowed 0.001",
        "4 min 47 s",
        "3 in closed form; 6 of 7 others trained to their end",
        "mass 0.01 99.4 % yes",
        "unfinished",
        "κ 99 % at most 10,000, round trip 99.9 % at most 0.001",
        "1 (layer 2: Coupling(Affine))",
        "margin 0.053 nats a row",
        "None of 4,000 validation rows has a float32 round trip beyond 0.001.",
        f"{FIRST}, 2 layers −10.080 −10.112 0.281 ± 0.010 0.297 worse not measured",
        "gaussian, no layer – 8.0 s 4.0 s",
        f"{FIRST}, 1 layer {gain:.3f} ± ",
    ):
        assert said in words, said


def test_the_layer_profile_is_drawn_by_the_part_of_the_audit_page(tmp_path: Path) -> None:
    layers = {"rows": make_layers(3), "points": 64, "kinds": {}, "note": ""}
    for row in layers["rows"]:
        row.update(gradient=None, curvature=None)
    record = small(layers=layers)
    parsed = written(record, tmp_path)
    drawn = heat_charts([LayerProfile(**row) for row in layers["rows"]], None, None)["layers"]
    assert parsed.payload["charts"]["layers"] == specification(drawn)
    for said in (
        f"Layer by layer: {SECOND}, 4 layers",
        "Layer profile at 64 validation points",
        "1 Coupling(Affine)",
        "Not measured, out of time: gradient of the loss, curvature at least.",
        "For the whole picture, with spectra, round trips and a verdict on each layer: shoal audit run tables/made-up.csv",
    ):
        assert said in parsed.words, said


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    clean = 6  # licences, payload, three libraries, the page's own
    record = make_record(columns=[bad, "\u2028 a.b[0] & \ud800"], points=40, samples=40, epochs=4, seeds=1)
    record["command"] = record["decision"]["sentence"] = record["data"]["source"] = bad
    record["config"][bad] = bad
    record["versions"] = {bad: None}
    for rung in record["rungs"][:5]:
        rung["name"] = rung["family"] = rung["front"] = rung["dropped"] = bad
    record["rungs"][3]["seeds"][0]["message"] = bad
    parsed = written(record, tmp_path)
    assert len(parsed.scripts) == clean
    assert parsed.payload["scatter"]["names"][0] == bad
    assert parsed.words.count(bad) >= 7


def unmeasured(record: dict[str, Any]) -> None:
    for rung in record["rungs"]:
        for key in list(rung):
            if key not in ("name", "family", "depth", "status"):
                del rung[key]


def strings(record: dict[str, Any]) -> None:
    rung = record["rungs"][1]
    rung.update(validation_log_likelihood="nan", difference="inf", standard_error="nan", status="diverged")
    rung["condition"] = {"median": "inf", "q99": "inf", "max": "inf", "unresolved": 12}
    rung["round_trip"] = {"float32": {"median": 0.0, "q999": 0.0, "max": 0.0}}
    record["test"] = {"log_likelihood": "-inf", "standard_error": "nan", "rows": 5}
    record["spectrum"]["q01"][0] = "nan"
    record["points"]["log_prob"][0] = "-inf"
    record["rungs"][3]["seeds"][0]["curve"]["train"] = ["nan"] * 4


def several(record: dict[str, Any]) -> None:
    for key in ("test", "far_rows", "spectrum", "condition_histogram", "points", "seconds"):
        record[key] = None
    for key in ("config", "layers", "run", "race"):
        del record[key]
    del record["data"]["lattice"]


def others(record: dict[str, Any]) -> None:
    del record["versions"]
    record["test"] = None
    record["data"]["parts"]["test"] = 0
    record["layers"] = {"rows": None, "note": "Not measured: out of time."}
    for rung in record["rungs"]:
        rung["gain"] = None


def all_but_the_least(record: dict[str, Any]) -> None:
    for key in list(record):
        if key not in ("format", "kind", "data", "rungs", "decision"):
            del record[key]


MISSING: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "several": (
        several,
        [
            "4 layers – not measured",
            f"Rows that do not come back: {SECOND}, 4 layers Not measured.",
            "Condition numbers at validation points The record has no figures for this chart.",
            "Singular values The record has no figures for this chart.",
            "The record holds no points.",
            "Versions",
            "Delivered flow",
            "No column was found on a lattice.",
            "The record has no layer profile.",
            "shoal audit RUN DATA",
            "In the order in which they ran",
        ],
    ),
    "others": (
        others,
        [
            "– there is no test part",
            "Settings",
            "Not measured: out of time. For the whole picture",
            "Gain ± s.e.",
        ],
    ),
    "rungs": (lambda r: r.update(rungs=[], decision={}), ["No flow is delivered"]),
    "figures of rungs": (unmeasured, ["No rung has figures to draw."]),
    "no number where one belongs": (strings, ["marginals+gaussian, no layer (diverged)"]),
    "only what must be": (all_but_the_least, ["The record holds no points."]),
}


@pytest.mark.parametrize(("change", "says"), MISSING.values(), ids=MISSING.keys())
def test_missing_parts_are_said_to_be_missing(
    change: Callable[[dict[str, Any]], object], says: list[str], tmp_path: Path
) -> None:
    record = small()
    change(record)
    words = written(record, tmp_path).words
    for said in says:
        assert said in words, said


def test_without_a_chosen_rung_the_page_says_so_and_points_to_the_trade_off(tmp_path: Path) -> None:
    record = small()
    decide(record, chosen=None, best=BEST, kept=CHOSEN, gate="round trip")
    parsed = written(record, tmp_path)
    name = f"{SECOND}, 4 layers"
    assert (
        f"Nothing was chosen; delivered all the same: {name} {record['decision']['sentence']}" in parsed.words
    )
    assert "not chosen: it passes the limit of the round trip, not that of κ" in parsed.words
    assert "trade-off on the right is the thing to look at" in parsed.words
    assert any(
        tag == "div" and attributes.get("class") == "decision warning" for tag, attributes in parsed.tags
    )
    assert '"mark": "chosen"' not in json.dumps(parsed.payload["charts"])


@pytest.mark.parametrize(
    ("steps", "says"),
    [(0, "(unfinished) without one training step"), (1200, "(unfinished) after 1,200 training steps.")],
)
def test_a_delivered_rung_that_was_not_trained_to_its_end_is_pointed_out(
    steps: int, says: str, tmp_path: Path
) -> None:
    record = small()
    rung = record["rungs"][record["decision"]["chosen"]]
    rung["status"] = "unfinished"
    for seed in rung["seeds"]:
        seed["steps"] = steps
    assert (
        f"The delivered flow, {rung['name']}, was not trained to its end {says}"
        in written(record, tmp_path).words
    )


def test_a_rung_that_was_not_started_took_no_time(tmp_path: Path) -> None:
    rung = {"name": "a", "family": "nsf", "depth": 16, "status": "not started", "seconds": 0.0, "seeds": []}
    record = {
        "format": 2,
        "kind": "fit",
        "data": {"columns": ["a"]},
        "rungs": [rung],
        "decision": {},
    }
    assert "Then a – – – not started Gain:" in written(record, tmp_path).words


def test_a_record_of_another_kind_is_refused_and_the_old_page_stays(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(InputError, match="format 3"):
        write_report(typed(small(format=3)), path)
    assert path.read_text() == "old"


def test_a_page_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 100_000)
    with pytest.raises(InputError, match=r"The report would be \d\.\d MB, the limit is 0 MB"):
        write_report(typed(small(points=None)), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
