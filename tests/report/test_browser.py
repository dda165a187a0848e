"""The page in a real browser: it opens from a file without network, draws, and its brush links all panels."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FloatRect, Locator, Page

from shoal.report import write_report
from shoal.report._charts import log_domain
from shoal.report._numbers import short
from tests.report.conftest import Opened
from tests.report.synthetic import BEST, CHOSEN, COLUMNS, FIRST, SECOND, decide, make_record, typed

Open = Callable[..., Opened]

# All panels of the front chart, row by row: place on the canvas, and the rows whose marks are drawn there.
PANELS = """() => {
  const view = window.shoalViews.scatter, found = [];
  (function visit(mark, x, y) {
    for (const group of mark.items) {
      if (mark.marktype !== "group") return;
      const gx = x + (group.x || 0), gy = y + (group.y || 0);
      const symbols = group.items.filter((child) => child.marktype === "symbol");
      if (symbols.length) found.push({
        x: gx, y: gy, width: group.width, height: group.height,
        rows: symbols.flatMap((child) => child.items.map((item) => item.datum.r)),
      });
      for (const child of group.items) visit(child, gx, gy);
    }
  })(view.scenegraph().root, view.origin()[0] + view.padding().left, view.origin()[1] + view.padding().top);
  return found.sort((a, b) => a.y - b.y || a.x - b.x);
}"""

# Time from each pointer move to the end of the frame that it led to.
TIMER = """() => {
  window.redraws = [];
  document.querySelector("#scatter canvas").addEventListener("pointermove", () => {
    const start = performance.now();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.redraws.push(performance.now() - start);
      channel.port2.postMessage(0);
    });
  }, true);
}"""


# Every text that the back chart draws: titles and labels of its axes.
TEXTS = """() => {
  const found = new Set();
  (function visit(mark) {
    for (const item of mark.items || []) {
      if (item.text) found.add(String(item.text));
      if (item.items) item.items.forEach(visit);
    }
  })(window.shoalViews["scatter-back"].scenegraph().root);
  return [...found];
}"""

# What the lines of the chart of one rung are drawn from.
LINES = """() => {
  const rungs = new Set(), epochs = new Set();
  (function visit(mark) {
    for (const item of mark.items || []) {
      if (mark.marktype === "line") { rungs.add(item.datum.rung); epochs.add(item.datum.epoch); }
      if (item.items) item.items.forEach(visit);
    }
  })(window.shoalViews["rung-curve"].scenegraph().root);
  return { rungs: [...rungs], first: Math.min(...epochs), epochs: Math.max(...epochs) };
}"""


def canvas_box(page: Page) -> FloatRect:
    canvas = page.locator("#scatter canvas")
    canvas.scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#points').scrollIntoView()")
    box = canvas.bounding_box()
    assert box is not None
    return box


def drag(page: Page, panel: dict[str, Any], start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags with the mouse between two places in a panel, given as shares of its width and height."""
    box = canvas_box(page)
    left, top = box["x"] + panel["x"], box["y"] + panel["y"]
    places = [
        (
            left + panel["width"] * (start[0] + step / 10 * (end[0] - start[0])),
            top + panel["height"] * (start[1] + step / 10 * (end[1] - start[1])),
        )
        for step in range(11)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
        page.wait_for_timeout(60)
    page.mouse.up()
    page.wait_for_timeout(100)


def record_domain(page: Page, column: int) -> list[float]:
    payload = "JSON.parse(document.getElementById('payload').textContent)"
    return page.evaluate(f"(column) => {payload}.scatter.domains[column]", column)


def test_it_opens_without_network_and_without_a_word(report: Path, opened: Opened) -> None:
    assert opened.complaints == []
    assert opened.requests[0] == report.as_uri()


def test_every_chart_is_drawn(opened: Opened) -> None:
    page = opened.page
    inks = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("canvas")].map((canvas) => {
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const colours = new Set();
          for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
          return [canvas.closest("[id]").id, colours.size];
        }))"""
    )
    charts = [
        "gains",
        "likelihood",
        "condition",
        "trade-off",
        "histogram",
        "spectrum",
        "round-trip",
        "overview",
        "rung-curve",
        "layers",
    ]
    assert sorted(inks) == sorted([*charts, "scatter", "scatter-back"])
    assert all(count > 20 for count in inks.values()), inks
    assert sorted(page.evaluate("Object.keys(window.shoalViews)")) == sorted(inks)


def test_a_brush_in_one_panel_selects_the_same_points_in_all(opened: Opened) -> None:
    page = opened.page
    before = page.evaluate(PANELS)
    assert len(before) == 16  # 15 pairs of six columns, and the condition numbers
    assert all(len(panel["rows"]) == 1500 for panel in before)
    page.evaluate(TIMER)
    drag(page, before[0], (0.25, 0.2), (0.75, 0.7))
    store = page.evaluate("window.shoalViews.scatter.data('brush_store')")
    assert [field["field"] for field in store[0]["fields"]] == ["c0", "c1"]
    (left, right), (bottom, top) = (sorted(ends) for ends in store[0]["values"])
    points = page.evaluate("window.shoalViews.scatter.data('points').map((d) => [d.r, d.c0, d.c1])")
    expected = sorted(row for row, x, y in points if left <= x <= right and bottom <= y <= top)
    assert 5 < len(expected) < 1400
    after = page.evaluate(PANELS)
    assert [sorted(panel["rows"]) for panel in after] == [expected] * 16
    assert page.inner_text("#selected").startswith(f"{len(expected):,} of 1,500 points · κ median ")
    times = sorted(page.evaluate("window.redraws"))
    middle = times[len(times) // 2]
    print(f"\nredraw while brushing: {len(times)} moves, median {middle:.0f} ms, largest {times[-1]:.0f} ms")
    assert len(times) >= 8
    assert middle < 300, times
    assert opened.complaints == []


def test_a_band_of_condition_numbers_shows_where_the_points_lie(opened: Opened) -> None:
    page = opened.page
    wide = page.evaluate(PANELS)[1]
    points = page.evaluate("window.shoalViews.scatter.data('points').map((d) => [d.r, d.k, d.c0])")
    ends = log_domain([float(k) for _, k, _ in points], room=0.03)
    tail = sorted(k for _, k, _ in points)[-90]
    start = math.log(tail / ends[0]) / math.log(ends[1] / ends[0])
    drag(page, wide, (start, 0.5), (0.999, 0.5))
    low, high = sorted(page.evaluate("window.shoalViews.scatter.data('band_store')")[0]["values"][0])
    expected = sorted(row for row, k, _ in points if low <= k <= high)
    assert 70 <= len(expected) <= 110
    panels = page.evaluate(PANELS)
    assert [sorted(panel["rows"]) for panel in panels] == [expected] * 16
    left, right = record_domain(page, 0)
    middle = sorted(x for row, _, x in points if row in expected)[len(expected) // 2]
    drag(page, panels[0], (0.005, 0.01), ((middle - left) / (right - left), 0.98))
    both = page.evaluate(PANELS)[7]["rows"]
    assert 0.3 * len(expected) < len(both) < 0.7 * len(expected)
    assert set(both) < set(expected)
    page.click("#clear")
    page.evaluate("() => window.shoalReady")
    assert len(page.evaluate(PANELS)[3]["rows"]) == 1500
    assert opened.complaints == []


def test_the_button_selects_the_worst_conditioned(record: dict[str, Any], opened: Opened) -> None:
    page = opened.page
    page.click("#worst")
    page.evaluate("() => window.shoalReady")
    condition, rows = record["points"]["condition"], record["points"]["row"]
    worst = sorted(range(1500), key=lambda index: condition[index])[-75:]
    assert sorted(page.evaluate(PANELS)[5]["rows"]) == sorted(rows[index] for index in worst)


def test_another_set_of_columns_redraws_the_panels(record: dict[str, Any], opened: Opened) -> None:
    page = opened.page
    options = page.locator("#columns option").all_inner_texts()
    assert options[0] == ", ".join(COLUMNS[:6])
    last = options[-1].split(", ")
    assert COLUMNS[6] in last
    page.select_option("#columns", index=len(options) - 1)
    page.evaluate("() => window.shoalReady")
    assert set(page.evaluate(TEXTS)) & set(COLUMNS) == set(last)
    assert last[5] != COLUMNS[5]
    bottom = page.evaluate("window.shoalViews['scatter-back'].scale('concat_4_concat_0_y').domain()")
    assert bottom == record_domain(page, COLUMNS.index(last[5]))
    shown = page.evaluate("window.shoalViews.scatter.data('points').map((d) => [d.r, d.c5])")
    column = [row[COLUMNS.index(last[5])] for row in record["points"]["data"]]
    expected = dict(zip(record["points"]["row"], column, strict=True))
    assert all(abs(value - expected[row]) < 1e-3 for row, value in shown)
    assert opened.complaints == []


def test_the_list_of_rungs_changes_the_curves(opened: Opened) -> None:
    page = opened.page
    chooser: Locator = page.locator("#rung-curve select")
    assert chooser.input_value() == f"{SECOND}, 4 layers"
    assert page.evaluate(LINES) == {"rungs": [f"{SECOND}, 4 layers"], "first": 0, "epochs": 40}
    chooser.select_option(f"{SECOND}, 8 layers")
    page.evaluate("() => window.shoalViews['rung-curve'].runAsync().then(() => null)")
    assert page.evaluate(LINES) == {"rungs": [f"{SECOND}, 8 layers"], "first": 0, "epochs": 9}
    assert opened.complaints == []


def test_a_narrow_window_scrolls_panels_not_the_page(report: Path, open_page: Open) -> None:
    page = open_page(report, width=380).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    widths = page.evaluate(
        "[...document.querySelectorAll('.chart canvas')]"
        ".map((c) => (c.closest('.scroll') ?? c).getBoundingClientRect().width)"
    )
    assert max(widths) <= 380  # the heat map of layers is wider and scrolls inside its panel


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "a.b[0]",
    '"q\'uote" & <b>',
    "名前 \U0001f600",
    "x\\y\n z",
    "datum.c0",
]


def test_hostile_names_are_only_text(tmp_path: Path, open_page: Open) -> None:
    record = make_record(columns=[*HOSTILE, "__proto__"], epochs=5)
    for rung in record["rungs"][:5]:
        rung["name"] = rung["family"] = rung["front"] = "</script><b onclick='alert(2)'>\"\\"
    record["decision"]["sentence"] = "<img src=x onerror=alert(3)> & so on"
    record["data"]["source"] = "data/<b>table</b>.csv"
    write_report(typed(record), tmp_path / "report.html")
    opened = open_page(tmp_path / "report.html")
    page = opened.page
    assert opened.complaints == []
    assert page.locator("img, main b:not(.glyph):not(.key b)").count() == 0
    assert page.inner_text(".decision p:last-child") == "<img src=x onerror=alert(3)> & so on"
    assert (
        page.locator("#columns option")
        .first.inner_text()
        .startswith("</script><img src=x onerror=alert(1)>, a.b[0], ")
    )
    titles = page.evaluate(TEXTS)
    assert set(HOSTILE) <= set(titles)


def no_condition(record: dict[str, Any]) -> None:
    record["points"]["condition"] = ["nan"] * len(record["points"]["data"])


def some_unresolved(record: dict[str, Any]) -> None:
    record["points"]["condition"][:20] = ["inf"] * 20
    record["points"]["data"][3][1] = "nan"
    record["points"]["samples"][4] = [1e12] * len(record["points"]["columns"])


def constant(record: dict[str, Any]) -> None:
    for row in record["points"]["data"] + record["points"]["samples"]:
        row[0] = 3.5
    record["points"]["condition"] = [1.0] * len(record["points"]["data"])
    record["points"]["log_prob"] = [None] * len(record["points"]["data"])


VARIANTS: dict[str, tuple[int, Callable[[dict[str, Any]], object]]] = {
    "one column": (1, lambda _: None),
    "thirty columns and not one rung": (
        30,
        lambda r: r.update(rungs=[], decision={"chosen": None, "sentence": "Nothing was trained."}),
    ),
    "no condition numbers": (2, no_condition),
    "unresolved points": (3, some_unresolved),
    "constant column": (3, constant),
}


@pytest.mark.parametrize(("columns", "change"), VARIANTS.values(), ids=VARIANTS.keys())
def test_unusual_records_draw_in_silence(
    columns: int, change: Callable[[dict[str, Any]], object], tmp_path: Path, open_page: Open
) -> None:
    record = make_record(columns=[f"c{i}" for i in range(columns)], points=60, samples=60, epochs=5, seeds=1)
    change(record)
    write_report(typed(record), tmp_path / "report.html")
    opened = open_page(tmp_path / "report.html")
    assert opened.complaints == []
    assert opened.page.locator("#scatter canvas").count() == 1
    assert opened.page.locator(".failed").count() == 0


def one_rung(record: dict[str, Any]) -> None:
    """A single front, and not a chain."""
    del record["rungs"][1:], record["race"][1:]
    record["data"]["parts"]["test"], record["test"] = 0, None
    decide(record, chosen=0, best=0)


def interrupted(record: dict[str, Any]) -> None:
    """Ctrl-C in the middle of the race: a rung with no whole epoch, nothing passes, no layer profile."""
    last = record["rungs"][BEST]
    last.update(
        status="interrupted",
        validation_log_likelihood=None,
        validation_mean=None,
        condition=None,
        round_trip={},
        condition_user_units=None,
        parameters=None,
    )
    for seed in last["seeds"]:
        seed.update(status="interrupted", curve={}, first_validation=None, condition=None, round_trip={})
    decide(record, chosen=None, best=CHOSEN, kept=CHOSEN - 2, gate="both gates")
    record["layers"] = {"rows": None, "points": 0, "kinds": {}, "note": "Not measured: interrupted."}


def far(record: dict[str, Any]) -> None:
    """Nothing passes, and thirty rows do not come back."""
    decide(record, chosen=None, best=BEST, gate="none", kept=BEST)
    rows = {"row": list(range(100, 130)), "error": ["nan", *[0.5] * 29], "log_prob": [-40.0] * 30}
    record["far_rows"] = {"count": 30, "of": 4000, **rows}


def nothing(record: dict[str, Any]) -> None:
    """No rung with a finite likelihood."""
    for rung in record["rungs"]:
        rung.update(
            status="diverged",
            validation_log_likelihood=None,
            difference=None,
            upper=None,
            state=None,
            gain=None,
            condition=None,
            round_trip={},
            seeds=[],
        )
    decide(record, chosen=None, best=0)
    record["decision"]["best"] = None
    record.update(dict.fromkeys(("test", "layers", "spectrum", "condition_histogram", "points", "far_rows")))


LADDERS: dict[str, tuple[Callable[[dict[str, Any]], object], str, list[str]]] = {
    "chosen": (
        lambda _: None,
        f"{SECOND}, 4 layers",
        ["Decision", "as the rule chose it", "chain ended: behind"],
    ),
    "nothing chosen, round trip": (
        lambda r: decide(r, chosen=None, best=BEST, kept=CHOSEN - 1, gate="round trip"),
        f"{FIRST}, 4 layers",
        ["Nothing was chosen; delivered all the same", "passes the limit of the round trip, not that of κ"],
    ),
    "nothing chosen, far rows": (
        far,
        f"{SECOND}, 8 layers",
        [
            "float32 round trips do not pass: use it in float64",
            "30 of 4,000 validation rows",
            "was not trained to its end",
        ],
    ),
    "interrupted": (
        interrupted,
        f"{SECOND}, 2 layers",
        ["Not measured: interrupted.", "it passes both limits"],
    ),
    "one front, no test part": (
        one_rung,
        "gaussian, no layer",
        ["there is no test part", "1 in closed form; 0 of 0"],
    ),
    "fronts alone": (
        lambda r: (r["rungs"].__delitem__(slice(3, None)), decide(r, chosen=1, best=1)),
        "marginals+gaussian, no layer",
        ["no layers were tried on it", "The delivered flow is a closed form"],
    ),
    "nothing finite": (nothing, "", ["No flow is delivered", "so there is no layer profile"]),
}


@pytest.mark.parametrize(("change", "kept", "says"), LADDERS.values(), ids=LADDERS.keys())
def test_every_figure_is_under_the_name_of_the_delivered_flow(
    change: Callable[[dict[str, Any]], object], kept: str, says: list[str], tmp_path: Path, open_page: Open
) -> None:
    record = make_record(columns=["a", "b"], points=60, samples=60, epochs=9, seeds=1)
    change(record)
    write_report(typed(record), tmp_path / "report.html")
    opened = open_page(tmp_path / "report.html")
    page, rungs = opened.page, record["rungs"]
    assert opened.complaints == []
    text = page.evaluate(
        "[...document.querySelectorAll('header, main')].map((e) => e.textContent).join(' ').replace(/\\s+/g, ' ')"
    )
    for words in [*says, record["decision"]["sentence"]]:
        assert words in text, words
    others = {rung["name"] for rung in rungs} - {kept}
    cards = page.locator(".tile").all_inner_texts()
    named = [card for card in cards if kept and kept in card]
    assert len(named) == (4 if kept else 0), cards
    assert not [card for card in cards for name in others if name in card.replace(kept or "-", "")]
    heads = {
        place: page.locator(f"#{place} h2").inner_text() for place in ("conditioning", "profile", "points")
    }
    for place, head in heads.items():
        assert head.partition(": ")[2] == (kept if place != "points" or record["points"] else ""), heads
    table = page.locator("#frontier tbody tr")
    marked = page.locator("#frontier tbody tr.chosen").all_inner_texts()
    assert [kept in row for row in marked] == [True] * bool(kept)
    assert table.count() == len(rungs)
    if kept:
        place = record["decision"]["kept"]
        mark = "chosen" if record["decision"]["chosen"] is not None else "delivered"
        assert page.locator("#frontier .badge.dark").all_inner_texts() == [mark]
        shown = page.locator(".tile", has_text="Condition number").locator(".value").inner_text()
        assert shown == short(rungs[place]["condition"]["q99"])
        assert shown in table.nth(place).inner_text()
        assert page.locator("#race tbody tr").nth(place).inner_text().split("\t")[-1].startswith(mark)
    drawn = page.locator("#profile #layers").count() == 1
    assert drawn == (record["layers"] is not None and record["layers"]["rows"] is not None)
    assert ("no layer profile" in text) + ("Layer profile at" in text) + (
        "Not measured: interrupted" in text
    ) == 1
    verdicts = [word in text for word in ("Chosen:", "Nothing was chosen", "No flow is delivered")]
    assert sum(verdicts) == 1


def test_what_was_not_measured_is_said_and_far_rows_are_listed(tmp_path: Path, open_page: Open) -> None:
    record = make_record(columns=["a", "b"], points=60, samples=60, epochs=9, seeds=1)
    far(record)
    write_report(typed(record), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html", width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#frontier td.none").all_inner_texts() == ["not measured"] * 3
    listed = (
        page.locator("#numbers figure", has_text="do not come back").locator("tbody tr").all_inner_texts()
    )
    assert listed[:2] == ["100\tnan\t−40.000", "101\t0.50\t−40.000"]
    assert len(listed) == 20
    rows = page.evaluate("window.shoalViews.gains.data('source_0') ?? []")
    gains = {row["rung"]: row["gain"] for row in rows}
    assert gains[f"{FIRST}, 2 layers"] == pytest.approx(record["rungs"][5]["gain"]["mean"])
    assert gains["mixture, no layer"] is None


def test_many_chains_stay_apart(tmp_path: Path, open_page: Open) -> None:
    record = make_record(columns=["a", "b"], points=60, samples=60, epochs=3, seeds=1)
    for i in range(9):
        for rung in copy.deepcopy(record["rungs"][3:9:2]):
            chain = f"nsf(bins={i}) on gaussian"
            rung.update(front="gaussian", family=chain, name=f"{chain}, {rung['depth']} layers")
            record["rungs"].append(rung)
    write_report(typed(record), tmp_path / "report.html")
    opened = open_page(tmp_path / "report.html")
    assert opened.complaints == []
    keys = opened.page.locator("#frontier .key span")
    marks = {
        (keys.nth(i).locator("b").get_attribute("style"), keys.nth(i).locator("b").inner_text())
        for i in range(keys.count())
    }
    assert len(marks) == keys.count() == 12
