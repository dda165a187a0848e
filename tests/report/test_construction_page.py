"""The page of a construction: what it says against its record, what its charts hold, and the page in a browser."""

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import shoal.report._write as writing
from shoal._errors import InputError
from shoal.records import ConstructionRecord, as_record
from shoal.records.construction import Pictures, Steps, W2Certificate
from shoal.report import write_report
from shoal.report._construction import parts_chart, point_charts, staircase_chart
from shoal.report._numbers import short
from tests.report.conftest import Opened
from tests.report.test_page import Parsed, self_contained

Open = Callable[..., Opened]
CHARTS = ["first", "latent", "parts", "second", "t2", "t3", "target"]


def figure(value: float | None, kind: str = "exact", **ends: float) -> dict[str, Any]:
    return {"value": value, "kind": kind, **ends}


def make_construction(points: int = 200, atoms: int = 8, *, size: int = 2) -> dict[str, Any]:
    """A record of a staircase over `atoms` random atoms, made without the package that makes real ones."""
    rng = np.random.default_rng(0)
    z, steps = rng.normal(size=(points, 2)), rng.normal(size=(atoms, 2))
    steps = steps[np.argsort(steps[:, 0])]
    borders = np.quantile(z[:, 1], np.arange(1, atoms) / atoms)
    cell = np.searchsorted(borders, z[:, 1])
    first = np.c_[0.01 * z[:, 0] + steps[cell, 0], z[:, 1]]
    second = np.c_[first[:, 0], 0.01 * z[:, 1] + steps[cell, 1]]
    target = np.c_[second + 0.1 * rng.normal(size=(points, 2)), z[:, 1]]
    knots = np.repeat(borders, 2) + np.tile([-1e-3, 1e-3], atoms - 1)
    terms = {
        "quantization": 0.12,
        "push": 0.04,
        "scales": 0.01,
        "ramps": 0.03,
        "tails": 0.04,
        "borders": 0.002,
    }
    names = ("cells", "least", "median", "largest", "mass", "at99")
    rows = [
        (100.0, 2e4, 3e5, 4e7, 5e-4, 101.0),
        (100.0, 300.0, 6e4, 7e6, 8e-4, 102.0),
        (1.0, 1.5, 9e8, 1.1e11, 1.2e-3, 1.0),
    ]
    maps = ("layer 1", "layer 2", "composition")
    return {
        "format": 1,
        "kind": "construction",
        "size": size,
        "padded": size % 2 == 1,
        "delta": 0.01,
        "plateau": 0.0456,
        "source": "data/t.csv",
        "command": "shoal construct t.csv --epsilon 0.25 -o run",
        "seconds": 1.5,
        "columns": [f"x{i}" for i in range(size)],
        "certificate": {
            "epsilon": 0.25,
            "w2_bound": figure(0.222, "upper_bound"),
            "atoms": atoms,
            "points": 4321,
            "dtype": "float64",
            "terms": terms,
            "statistical": figure(0.31, "estimate"),
            "w2_measured": figure(0.1415, "estimate", low=0.1401, high=0.1429),
            "conditions": {
                name: dict(zip(names, map(figure, row), strict=True))
                for name, row in zip(maps, rows, strict=True)
            },
        },
        "pictures": {
            "names": ["x0", f"x{(size + 1) // 2}"],
            "target": target.tolist(),
            "latent": z.tolist(),
            "first": first.tolist(),
            "second": second.tolist(),
            "driver": z[:, 1].tolist(),
            "t2": {
                "knots": knots.tolist(),
                "values": np.repeat(steps[:, 0], 2)[1:-1].tolist(),
                "stride": 1,
                "steps": atoms,
            },
            "t3": {"knots": [-2.0, -1.0, 1.0], "values": [0.0, 0.5, 0.5], "stride": 7, "steps": 9000},
        },
    }


def typed(record: dict[str, Any]) -> ConstructionRecord:
    """The record as what the report takes."""
    return as_record(record, ConstructionRecord)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    record = make_construction()
    path = tmp_path_factory.mktemp("construction") / "c.html"
    write_report(typed(record), path)
    return record, path


def test_it_is_self_contained_and_says_what_the_record_says(full: tuple[dict[str, Any], Path]) -> None:
    record, path = full
    parsed = self_contained(path)
    for text in (
        "shoal construct t.csv",
        "are within W₂ 0.2220 of this sample of 4,321 rows",
        "0.2220 upper bound ε was 0.25",
        "0.1415 estimate 99 % interval 0.1401 … 0.1429",
        "0.3100 estimate not part of the bound",
        "100.0 exact",
        "How far the law of the flow is from the sample, not from what the sample was drawn from",
        "push 0.04000",
        "borders 0.002000",
        "total 0.2220",
        "half width 0.0456",
        "(every 7th is drawn)",
        "8 atoms",
    ):
        assert text in parsed.words, text
    for name, row in record["certificate"]["conditions"].items():
        assert f"{name} {' '.join(short(found['value']) for found in row.values())}" in parsed.words
    assert "odd" not in parsed.words


def test_the_pictures_hold_the_points_in_one_colour_each(full: tuple[dict[str, Any], Path]) -> None:
    pictures = full[0]["pictures"]
    charts = {
        name: chart.to_dict() for name, chart in point_charts(msgspec.convert(pictures, Pictures)).items()
    }
    assert sorted(charts) == ["first", "latent", "second", "target"]
    for name in ("latent", "first", "second"):
        rows = charts[name]["data"]["values"]
        expected = [
            {"x": x, "y": y, "c": c} for (x, y), c in zip(pictures[name], pictures["driver"], strict=True)
        ]
        assert rows == expected
    assert charts["target"]["data"]["values"] == [{"x": x, "y": y, "c": c} for x, y, c in pictures["target"]]
    domain = {
        (name, axis): charts[name]["layer"][0]["encoding"][axis]["scale"]["domain"]
        for name in charts
        for axis in "xy"
    }
    assert domain["target", "x"] == domain["second", "x"] == domain["first", "x"]
    assert domain["target", "y"] == domain["second", "y"]
    assert domain["latent", "y"] == domain["first", "y"]  # the first layer leaves y as it is
    for (name, axis), (low, high) in domain.items():
        if name != "latent" and (name, axis) != ("first", "y"):
            values = np.array(pictures[name])[:, "xy".index(axis)]
            assert low < values.min() <= values.max() < high


def test_points_that_are_not_finite_are_left_out_and_nothing_else() -> None:
    pictures = make_construction(points=20)["pictures"]
    pictures["second"][3][0] = math.nan
    pictures["driver"][5] = math.inf
    charts = point_charts(msgspec.convert(pictures, Pictures))
    assert [len(charts[name].to_dict()["data"]["values"]) for name in ("target", "latent", "second")] == [
        20,
        19,
        18,
    ]


def test_the_bars_stack_to_the_bound() -> None:
    certificate = make_construction()["certificate"]
    chart = parts_chart(msgspec.convert(certificate, W2Certificate))
    assert chart is not None
    rows = chart.to_dict()["data"]["values"]
    assert rows[0]["from"] == 0
    assert all(a["to"] == b["from"] for a, b in pairwise(rows))
    assert [row["value"] for row in rows] == pytest.approx(
        [0.12, 0.04, 0.01, 0.05, 0.002]
    )  # 0.05 of 0.03 and 0.04
    assert rows[-1]["to"] == pytest.approx(0.222)
    assert chart.to_dict()["layer"][1]["data"]["values"] == [
        {"bar": "measured", "from": 0.0, "to": 0.1415, "low": 0.1401, "high": 0.1429}
    ]
    certificate["terms"]["push"] = math.nan
    assert parts_chart(msgspec.convert(certificate, W2Certificate)) is None


def test_a_staircase_is_a_line_through_its_knots() -> None:
    chart = staircase_chart(Steps([0.0, 1.0, math.nan], [2.0, 3.0, 4.0], 1, 2), ("u", "t"), coloured=True)
    assert chart is not None
    assert chart.to_dict()["data"]["values"] == [{"u": 0.0, "t": 2.0}, {"u": 1.0, "t": 3.0}]
    assert staircase_chart(Steps([0.0], [1.0], 1, 1), ("u", "t"), coloured=False) is None


def test_it_draws_in_silence(full: tuple[dict[str, Any], Path], open_page: Open) -> None:
    opened = open_page(full[1])
    assert opened.complaints == []
    assert sorted(opened.page.evaluate("Object.keys(window.shoalViews)")) == CHARTS
    colours = opened.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("canvas")].map((canvas) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const found = new Set();
          for (let i = 0; i < data.length; i += 4) found.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
          return [canvas.closest("[id]").id, found.size];
        }))"""
    )
    assert sorted(colours) == CHARTS
    assert all(count > 20 for count in colours.values()), colours
    assert min(colours[name] for name in ("latent", "first", "second", "target")) > 150, (
        colours
    )  # a continuous scale


def hostile(record: dict[str, Any]) -> None:
    name = "</script><img src=x onerror=alert(1)>'\"\\"
    record.update(source=name, command=name, columns=[name, name])
    record["pictures"]["names"] = [name, name]
    record["certificate"]["conditions"][name] = record["certificate"]["conditions"].pop("layer 1")


def unresolved(record: dict[str, Any]) -> None:
    found = record["certificate"]
    found["statistical"] = figure("nan", "unresolved")  # pyright: ignore[reportArgumentType]
    found["w2_measured"] = figure("nan", "estimate")  # pyright: ignore[reportArgumentType]
    found["conditions"]["layer 1"]["largest"] = figure("inf")  # pyright: ignore[reportArgumentType]


def empty(record: dict[str, Any]) -> None:
    for name in ("target", "latent", "first", "second", "driver"):
        record["pictures"][name] = []
    record["certificate"]["terms"] = dict.fromkeys(record["certificate"]["terms"], "nan")


def one_atom(record: dict[str, Any]) -> None:
    one = make_construction(points=1, atoms=2)["pictures"]
    one["t2"] = {"knots": [-1.0, 0.0, 1.0], "values": [2.0, 2.0, 2.0], "stride": 1, "steps": 1}
    record["pictures"] = one


@pytest.mark.parametrize(
    ("change", "size", "words"),
    [
        (hostile, 2, "</script><img src=x onerror=alert(1)>"),
        (unresolved, 2, "– unresolved"),
        (empty, 3, "3 columns are odd: the flow has one more coordinate"),
        (one_atom, 4, "the first coordinate of each half, x0 and x1"),
    ],
    ids=["hostile", "unresolved", "empty", "one atom"],
)
def test_unusual_records_draw_in_silence(
    change: Callable[[dict[str, Any]], None], size: int, words: str, tmp_path: Path, open_page: Open
) -> None:
    record = make_construction(size=size)
    change(record)
    write_report(typed(record), tmp_path / "c.html")
    opened = open_page(tmp_path / "c.html", width=380)
    assert opened.complaints == []
    assert opened.page.locator(".failed, img").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 380
    assert words in Parsed(tmp_path / "c.html").words


def wrong(*path: str, value: Any) -> dict[str, Any]:
    record = make_construction(points=5)
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return record


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (wrong("kind", value="fit"), "of kind 'fit'; one of kind 'construction' is needed"),
        (wrong("format", value=2), "format 2, this version of Shoal reads 1"),
        (wrong("certificate", value=None), "Expected `object`, got `null` - at `certificate`"),
        (wrong("certificate", "conditions", value=[1]), "Expected `object`, got `array`"),
        (wrong("pictures", "target", value=[[1.0, 2.0]]), "Expected `array` of length 3"),
        (wrong("pictures", "first", value=[[1.0, 2.0]] * 2001), "Expected `array` of length <= 2000"),
        (wrong("pictures", "driver", value=[1.0]), "its points and their drivers differ in number"),
    ],
    ids=["kind", "format", "certificate", "conditions", "point", "many", "driver"],
)
def test_other_records_are_refused(record: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        write_report(typed(record), tmp_path / "c.html")
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_left_as_it_was_and_a_large_page_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_construction()
    before = copy.deepcopy(record)
    write_report(typed(record), tmp_path / "c.html")
    assert record == before
    monkeypatch.setattr(writing, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="the record has too many points"):
        write_report(typed(record), tmp_path / "d.html")
