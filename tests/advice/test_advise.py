"""`shoal.advise`: the tables that it must name a remedy for, the status of each sentence, inputs, errors, determinism."""

import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

import shoal
from shoal.advice import Advice, Line
from shoal.records import FitRecord, as_record
from shoal.theory.hardness import total_variation_bound

STATUSES = {"proven", "measured", "heuristic"}
SETTINGS = {"condition", "family", "depth", "dtype", "confirm"}


def frame(columns: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame({name: np.asarray(values, float) for name, values in columns.items()})


def base(rows: int = 300, seed: int = 0) -> dict[str, Any]:
    x = np.random.default_rng(seed).normal(size=(rows, 2))
    return {"a": x[:, 0], "b": x[:, 1]}


def about(advice: Advice, subject: str) -> list[Line]:
    return [line for line in advice.lines if line.about == subject]


def only(advice: Advice, subject: str) -> Line:
    (line,) = about(advice, subject)
    return line


def sentence(line: Line) -> str:
    """The text, if it is one sentence."""
    assert line.text.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", line.text), line.text
    return line.text


def test_duplicated_column() -> None:
    columns = base()
    advice = shoal.advise(frame({**columns, "copy": columns["a"]}))
    line = only(advice, "duplicated columns")
    assert line.status == "measured"
    assert "'copy' repeats column 'a'" in sentence(line)
    assert "leave it out (--drop copy)" in line.text
    assert (advice.columns, advice.drop) == (("a", "b"), ("copy",))


def test_constant_column() -> None:
    advice = shoal.advise(frame({**base(), "flat": np.full(300, 2.5)}))
    line = only(advice, "constant columns")
    assert line.status == "measured"
    assert "'flat' is constant" in sentence(line)
    assert "leave it out (--drop flat)" in line.text
    assert advice.drop == ("flat",)


def test_integer_columns() -> None:
    rng = np.random.default_rng(1)
    advice = shoal.advise(
        frame({**base(), "count": rng.poisson(3, 300), "half": rng.integers(0, 5, 300) / 2})
    )
    line = only(advice, "lattice columns")
    assert line.status == "measured"
    assert "'count' (step 1), 'half' (step 0.5)" in sentence(line)
    assert "uniform noise of one step (--dequantize auto" in line.text
    assert advice.drop == ()


def test_two_far_clusters() -> None:
    columns = base(400)
    shift = np.where(np.arange(400) < 160, 20.0, -20.0)
    advice = shoal.advise(frame({"a": columns["a"] + shift, "b": columns["b"]}))
    line = only(advice, "modes")
    assert line.status == "measured"
    assert "2 far clusters" in sentence(line)
    assert "fit a flow to each, or give the cluster as context" in line.text
    assert np.allclose(line.figures["shares_estimate"], [0.6, 0.4], atol=0.01)
    gap = np.diff(np.sort(columns["a"] + shift)).max() / (columns["a"] + shift).std()
    assert gap <= line.figures["distance_exact"] < 2.2


def test_the_proven_line_is_the_bound_for_this_pair() -> None:
    columns = base(400)
    shift = np.where(np.arange(400) < 160, 20.0, -20.0)
    advice = shoal.advise(frame({"a": columns["a"] + shift, "b": columns["b"]}))
    (line,) = [line for line in advice.lines if line.status == "proven"]
    figures = line.figures
    constant, distance, mass = (figures[k] for k in ("lipschitz_lower_bound", "distance_exact", "mass"))
    sides = [
        norm.ppf(mass),
        norm.isf(mass + mass - 0.01 - mass),
    ]  # a flow may misplace 0.01 of the second region
    assert constant >= distance / 2 / (sides[1] - sides[0]) * (1 - 1e-9)
    assert total_variation_bound(2, distance / 2, 0.999 * constant, 2 * mass) > 0.01
    said = float(re.search(r"constant is below ([\d.e+]+)", line.text)[1])  # pyright: ignore[reportOptionalSubscript]
    assert 0.98 * constant < said <= constant  # rounded down
    assert "every law that gives each of 2 regions" in sentence(line)


def test_dependent_columns() -> None:
    columns = base()
    noise = np.random.default_rng(5).normal(size=300)
    total = columns["a"] + columns["b"]
    exact = shoal.advise(frame({**columns, "total": total}))
    line = only(exact, "dependent columns")
    assert "(--drop total)" in sentence(line)
    assert exact.drop == ("total",)
    near = shoal.advise(frame({**columns, "total": total + 1e-5 * noise}))
    line = only(near, "dependent columns")
    assert "nearly satisfy" in sentence(line)
    assert near.drop == ()
    assert near.condition > 1e4
    assert "above the 1e+04 that are allowed" in only(near, "condition").text
    assert near.dtype == "float64"
    assert (
        "within the 1e+07"
        in only(
            shoal.advise(frame({**columns, "t": total + 1e-5 * noise}), max_condition=1e7), "condition"
        ).text
    )


def test_every_line_has_a_status_and_a_subject() -> None:
    advice = shoal.advise(frame({**base(), "count": np.arange(300) % 7}))
    assert {line.status for line in advice.lines} <= STATUSES
    assert {line.about for line in advice.lines} >= SETTINGS
    assert all(line.status == "heuristic" for line in advice.lines if line.about in SETTINGS)
    assert not [line for line in advice.lines if line.status == "proven"]  # nothing is proven of one mode
    for line in advice.lines:
        sentence(line)
    assert str(advice).splitlines() == [str(line) for line in advice.lines]


def test_the_ladder_takes_the_advice_and_finds_the_depth_itself() -> None:
    advice = shoal.advise(frame(base()), max_condition=300.0, dtype="float64")
    assert advice.ladder == {"families": advice.families, "max_condition": 300.0, "dtype": "float64"}
    assert set(advice.ladder) <= set(inspect.signature(shoal.ladder).parameters)
    assert "`shoal fit` finds it, growing from zero layers" in sentence(only(advice, "depth"))
    assert "max_condition 300, float64" in sentence(only(advice, "confirm"))
    record = advice.to_record()
    assert json.loads(json.dumps(record)) == record


def test_the_same_table_gives_the_same_advice_in_any_units() -> None:
    columns = base(2500)
    first, again = (shoal.advise(frame(columns)).to_record() for _ in range(2))
    assert first == again
    scaled = shoal.advise(frame({"a": 1000 * columns["a"] + 3, "b": columns["b"] / 7}))
    assert scaled.condition == pytest.approx(first["condition_estimate"], rel=1e-6)


def test_tails_one_column_and_weights() -> None:
    rng = np.random.default_rng(2)
    heavy = np.exp(2 * rng.normal(size=400))
    advice = shoal.advise(frame({"only": heavy}))
    assert "model its logarithm" in sentence(only(advice, "tails"))
    assert advice.families == ("spline",)
    weights = np.r_[np.ones(200), np.zeros(200)]
    assert (
        shoal.advise(frame({"only": heavy}), weights=weights).condition
        == shoal.advise(frame({"only": heavy[:200]})).condition
    )


def test_context_is_left_out_and_said_so() -> None:
    columns = {**base(), "c": np.arange(300.0) % 11}
    advice = shoal.advise(frame(columns), context="c")
    assert advice.columns == ("a", "b")
    assert "context columns were not measured" in only(advice, "context").text
    assert not about(advice, "lattice columns")


def run_record(chosen: int | None, depths: tuple[int, ...] = (1, 2, 4, 8)) -> dict[str, Any]:
    return {
        "format": 2,
        "kind": "fit",
        "rungs": [
            {"name": f"realnvp, {d}", "family": "realnvp", "depth": d, "status": "finished"} for d in depths
        ],
        "decision": {"chosen": chosen, "kept": 0, "sentence": "realnvp of depth 8 is chosen."},
        "data": {
            "columns": ["a", "b"],
            "lattice": [{"column": "a", "step": 1.0, "ties": 0.5, "dequantized": True}],
        },
        "points": {
            "columns": ["a", "b"],
            "data": (data := np.column_stack(list(base().values())).tolist()),
            "condition": [1.0] * len(data),
            "log_prob": [0.0] * len(data),
            "row": list(range(len(data))),
            "samples": [],
        },
    }


@pytest.mark.parametrize(("chosen", "depth"), [(3, 8), (0, 1), (None, 1)])
def test_a_finished_run(tmp_path: Path, chosen: int | None, depth: int) -> None:
    (tmp_path / "record.json").write_text(json.dumps(run_record(chosen)))
    advice = shoal.advise(tmp_path)
    assert only(advice, "ladder").figures == {"depth": depth, "chosen": chosen is not None}
    assert "realnvp of depth 8 is chosen" in only(advice, "ladder").text
    assert "the ladder has added" in only(advice, "lattice columns").text
    table = shoal.tables.as_table(frame(base()))
    result = SimpleNamespace(
        prepared=SimpleNamespace(table=table), record=as_record(run_record(chosen), FitRecord)
    )
    assert only(shoal.advise(result), "ladder").figures["depth"] == depth


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (base(20), {}, "20 rows take part; advice needs at least 30"),
        ({"a": np.ones(50)}, {}, "every column is constant"),
        (base(), {"max_condition": 0.5}, "`max_condition` must be a finite number of at least 1; got 0.5"),
        (base(), {"max_condition": float("nan")}, "`max_condition` must be"),
        ({"a": [1.0, float("nan")] * 20}, {}, "column 'a', row 1"),
    ],
)
def test_bad_input(data: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        shoal.advise(frame(data), **options)


def test_bad_dtype(unchecked: None) -> None:
    with pytest.raises(ValueError, match='`dtype` must be "float32" or "float64"; got \'float16\''):
        shoal.advise(frame(base()), dtype="float16")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (None, "there is no record.json in it"),
        ({"format": 1, "kind": "audit"}, "is of kind 'audit'; one of kind 'fit' is needed"),
        ({**run_record(0), "points": None}, "none of its flows is finite"),
    ],
)
def test_folders_that_are_no_run(tmp_path: Path, record: dict[str, Any] | None, words: str) -> None:
    if record is not None:
        (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=words):
        shoal.advise(str(tmp_path))


def test_a_run_takes_no_columns(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(run_record(0)))
    with pytest.raises(ValueError, match="knows its own columns"):
        shoal.advise(tmp_path, context=["a"])
