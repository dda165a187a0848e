"""The report of a factorization: what it says against its record, its pictures against their entries, in a browser."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import shoal.report._write as writing
from shoal._errors import InputError
from shoal.records import FactorizationRecord, FrontierRecord, as_record
from shoal.report import write_report
from shoal.report._factorization import entries, frontier_chart, layer_chart, picture_charts, pictures
from shoal.report._numbers import short
from tests.report.conftest import Opened
from tests.report.test_page import Parsed, self_contained

Open = Callable[..., Opened]


def make_factorization(
    n: int = 6, count: int = 6, *, kept: list[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """A record of random layers and their product, made without the package that makes real ones."""
    rng = np.random.default_rng(seed)
    p = n // 2
    layers, product = [], np.eye(n)
    for place in range(count):
        lower = place % 2 == 0
        rows, columns = (slice(p, n), slice(0, p)) if lower else (slice(0, p), slice(p, n))
        m = np.eye(n)
        m[rows, columns] = rng.normal(size=m[rows, columns].shape)
        logs = 0.5 * rng.normal(size=n - p if lower else p) * (place > 1)
        m[rows, rows] = np.diag(np.exp(logs))
        product = product @ m
        layers.append(
            {
                "kind": "lower" if lower else "upper",
                "additive": place < 2,
                "condition": float(np.linalg.cond(m)),
                "block_norm": float(np.linalg.norm(m[rows, columns], 2)),
                "log_scale_range": [float(logs.min()), float(logs.max())],
                "matrix": m.tolist(),
            }
        )
    return {
        "kind": "factorization",
        "format": 1,
        "size": n,
        "kept": list(range(p)) if kept is None else kept,
        "route": "continuation",
        "signs": [1.0] * (n - 1) + [-1.0],
        "residual": {"float64": 3.1e-16, "float32": 2.2e-7},
        "largest_condition": max(layer["condition"] for layer in layers),
        "log_abs_det": 1.2345,
        "target": (product + 1e-15).tolist(),
        "product": product.tolist(),
        "layers": layers,
    }


def make_frontier() -> dict[str, Any]:
    rows = [
        {
            "layers": m,
            "condition": 20.0 / m,
            "lower_bound": 16.0 ** (1 / m),
            "residual_float64": 1e-15,
            "residual_float32": 2e-7,
            "first": "lower",
            "route": "handed on",
            "seconds": 1.5,
            "reason": "",
        }
        for m in range(6, 12)
    ]
    none = dict.fromkeys(("condition", "residual_float64", "residual_float32"))
    first = {
        **rows[0],
        **none,
        "layers": 5,
        "lower_bound": 2.0,
        "first": "",
        "route": "",
        "reason": "T12 & T21 <are> singular.",
    }
    return {"kind": "frontier", "format": 1, "size": 6, "kept": [0, 1, 2], "rows": [first, *rows]}


def typed(record: dict[str, Any], frontier: dict[str, Any] | None = None) -> FactorizationRecord:
    """The record as what the report takes."""
    made = as_record(record, FactorizationRecord)
    return made if frontier is None else replace(made, frontier=typed_frontier(frontier))


def typed_frontier(record: dict[str, Any]) -> FrontierRecord:
    """The frontier as what the report takes."""
    return as_record(record, FrontierRecord)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    record = make_factorization(kept=[5, 0, 3]) | {"source": "folder/m.npy", "command": "shoal factor m.npy"}
    path = tmp_path_factory.mktemp("factorization") / "report.html"
    write_report(typed(record, make_frontier()), path)
    return record, path


def test_it_is_self_contained_and_says_what_the_record_says(full: tuple[dict[str, Any], Path]) -> None:
    record, path = full
    parsed = self_contained(path)
    for text in (
        "m.npy",
        "6 × 6",
        "5, 0, 3",
        "T = D · L1 · U2 · L3 · U4 · L5 · U6",
        "3.1 × 10⁻¹⁶",
        "2.2 × 10⁻⁷",
        "1.2345",
        "the sign of det T is −",
        "T12 & T21 <are> singular.",
        "none (additive)",
        "shoal factor m.npy",
        f"no 6 layers have less than {short(16 ** (1 / 6))}",
        short(record["largest_condition"]),
    ):
        assert text in parsed.words
    for layer in record["layers"]:
        assert short(layer["condition"], 4) in parsed.words
        assert short(layer["block_norm"]) in parsed.words


def test_the_same_records_give_the_same_bytes_and_are_left_alone(
    full: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    record, before = full[0], copy.deepcopy(full[0])
    write_report(typed(record, make_frontier()), tmp_path / "b.html")
    assert (tmp_path / "b.html").read_bytes() == full[1].read_bytes()
    assert record == before


def test_pictures_hold_every_entry_in_one_scale() -> None:
    record = make_factorization(n=5, count=8, kept=[4, 1])
    drawn = pictures(typed(record))
    kinds = ("lower", "upper") * 4
    titles = ["T", "product of the layers", *(f"layer {i}, {kind}" for i, kind in enumerate(kinds, 1))]
    assert [title for _, title, _ in drawn] == titles
    sources = [record["target"], record["product"], *(layer["matrix"] for layer in record["layers"])]
    values = [np.array(entries(matrix), float) for _, _, matrix in drawn]
    np.testing.assert_allclose(values, [np.ravel(source) for source in sources], rtol=5.1e-4)
    sizes = np.abs(np.concatenate(values))
    charts = {name: chart.to_dict() for name, chart in picture_charts(typed(record), drawn).items()}
    scales = [charts[name]["layer"][0]["encoding"]["fill"]["scale"] for name, _, _ in drawn]
    assert all(scale == scales[0] for scale in scales)
    assert scales[0]["domain"] == [-sizes.max(), sizes.max()]
    assert scales[0]["constant"] == pytest.approx(np.median(sizes[(sizes != 0) & (sizes != 1)]), rel=1e-12)
    ticks = charts["scale"]["layer"][0]["encoding"]["x"]["axis"]["values"]
    assert ticks == sorted(ticks)
    assert ticks == [-tick for tick in reversed(ticks)]
    assert ticks[-1] == sizes.max()


def test_a_page_of_64_is_below_the_limit_and_a_larger_one_has_no_pictures(tmp_path: Path) -> None:
    record = make_factorization(n=64, count=11)
    write_report(typed(record, make_frontier()), tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size < 2_000_000
    for holder in (record, *record["layers"]):
        for key in ("target", "product", "matrix"):
            if key in holder:
                holder[key] = None
    write_report(typed(record), tmp_path / "b.html")
    assert "The record holds no matrices" in Parsed(tmp_path / "b.html").words


def refused(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    record = make_factorization()
    change(record)
    return record


@pytest.mark.parametrize(
    ("record", "frontier", "text"),
    [
        ({"kind": "fit", "format": 1}, None, "of kind 'fit'; one of kind 'factorization' is needed"),
        (refused(lambda r: r.update(format=2)), None, "format 2, this version of Shoal reads 1"),
        (refused(lambda r: r.update(layers=[])), None, "Expected `array` of length >= 1 - at `layers`"),
        (refused(lambda r: r.update(layers=[1])), None, "Expected `object`, got `int`"),
        (refused(lambda r: r["layers"][0].update(kind="x")), None, "Invalid enum value 'x'"),
        (refused(lambda r: r.update(size=0)), None, "Expected `int` >= 1 - at `size`"),
        (refused(lambda r: r["target"].pop()), None, "its matrices must be 6 by 6"),
        (
            make_factorization(),
            {"kind": "frontier", "format": 1, "size": 3, "kept": [], "rows": [{}]},
            "missing required field `layers`",
        ),
        (make_factorization(), make_factorization(), "one of kind 'frontier' is needed"),
    ],
)
def test_other_records_are_refused_and_the_old_page_stays(
    record: dict[str, Any], frontier: dict[str, Any] | None, text: str, tmp_path: Path
) -> None:
    (tmp_path / "r.html").write_text("old")
    with pytest.raises(InputError, match=text):
        write_report(typed(record, frontier), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_page_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 100_000)
    with pytest.raises(
        InputError, match=r"The report would be \d\.\d MB, the limit is 0 MB; the record has too many entries"
    ):
        write_report(typed(make_factorization()), tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_charts_hold_the_figures_of_the_record() -> None:
    record, rows = typed(make_factorization()), typed_frontier(make_frontier()).rows
    chart = layer_chart(record.layers)
    assert chart is not None
    values = chart.to_dict()["data"]["values"]
    assert [row["condition"] for row in values] == [layer.condition for layer in record.layers]
    chart = frontier_chart(rows, (6, 3.0))
    assert chart is not None
    values = chart.to_dict()["data"]["values"]
    assert [row["condition"] for row in values] == [row.condition for row in rows]
    assert [row["bound"] for row in values] == [row.lower_bound for row in rows]
    assert frontier_chart([replace(row, condition=None) for row in rows], (6, 3.0)) is None
    assert layer_chart([replace(layer, condition=math.inf) for layer in record.layers]) is None


# What each cell of a picture shows: both coordinates, the entry, and the colour as three numbers.
CELLS = """(name) => {
  const found = [];
  (function visit(mark) {
    for (const item of mark.items || []) {
      if (mark.marktype === "rect" && item.datum?.n && item.fill)
        found.push([item.datum.i, item.datum.j, item.datum.row, item.datum.column, item.datum.entry,
          item.fill.match(/\\d+/g).map(Number)]);
      if (item.items) item.items.forEach(visit);
    }
  })(window.shoalViews[name].scenegraph().root);
  return found;
}"""


def test_it_draws_without_network_and_without_a_word(
    full: tuple[dict[str, Any], Path], open_page: Open
) -> None:
    record, path = full
    opened = open_page(path)
    page = opened.page
    assert opened.complaints == []
    assert page.locator(".failed").count() == 0
    names = [f"picture-{i}" for i in range(8)]
    assert sorted(page.evaluate("Object.keys(window.shoalViews)")) == ["frontier", "layers", *names, "scale"]
    stack = np.array([record["target"], record["product"], *(layer["matrix"] for layer in record["layers"])])
    order = [5, 0, 3, 1, 2, 4]
    shades = {}
    for name, matrix in zip(names, stack, strict=True):
        cells = page.evaluate(CELLS, name)
        assert len(cells) == 36
        for i, j, row, column, entry, colour in cells:
            assert (row, column) == (order[i], order[j])
            assert entry == pytest.approx(matrix[i, j], rel=5.1e-4)
            shades[entry] = colour
    largest = max(shades, key=abs)
    assert shades[largest] == ([140, 38, 12] if largest > 0 else [11, 60, 93])
    for entry, (red, _, blue) in shades.items():
        assert (red > blue, red < blue) == (entry > 0, entry < 0)
    assert shades[0] == [255, 255, 255]
    canvas = page.locator("#picture-2 canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 1.5 / 6, box["y"] + box["height"] * 4.5 / 6)
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.inner_text("#vg-tooltip-element").split()
    assert text[:4] == ["row", "2", "column", "0"]
    entry = float(text[5].replace("−", "-"))
    assert entry == pytest.approx(record["layers"][0]["matrix"][4][1], rel=5.1e-4)


def extreme(record: dict[str, Any]) -> None:
    record["target"][0][0] = "nan"
    record["layers"][0].update(condition="inf", block_norm=1e300, log_scale_range=[-700.0, 700.0])
    record["layers"][1].update(condition=1e290)
    record["layers"][2]["matrix"][0][0] = 1e200


def hostile(record: dict[str, Any]) -> None:
    extreme(record)
    record.update(
        source="</script><img src=x onerror=alert(1)>",
        route="<b>x</b>",
        command="</pre><script>alert(2)</script>",
    )


def zero(record: dict[str, Any]) -> None:
    for holder in (record["target"], record["product"], *(layer["matrix"] for layer in record["layers"])):
        for row in holder:
            row[:] = [0.0] * len(row)
    for layer in record["layers"]:
        layer["condition"] = 1.0


@pytest.mark.parametrize(("n", "change"), [(2, extreme), (6, hostile), (4, zero), (1, lambda r: None)])
def test_unusual_records_draw_in_silence(
    n: int, change: Callable[[dict[str, Any]], object], tmp_path: Path, open_page: Open
) -> None:
    record = make_factorization(n=max(n, 2))
    if n == 1:
        record.update(size=1, kept=[], target=[[2.0]], product=[[2.0]], log_abs_det="nan")
        for layer in record["layers"]:
            layer.update(matrix=[[1.0]], log_scale_range=[0.0, 0.0])
    change(record)
    write_report(typed(record, make_frontier()), tmp_path / "r.html")
    opened = open_page(tmp_path / "r.html")
    assert opened.complaints == []
    assert opened.page.locator(".failed, img").count() == 0
    assert opened.page.locator(".pictures canvas").count() == 8


def test_a_narrow_window_does_not_scroll_the_page(full: tuple[dict[str, Any], Path], open_page: Open) -> None:
    page = open_page(full[1], width=380).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
