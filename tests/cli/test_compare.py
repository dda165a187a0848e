"""`shoal compare`: paired differences against closed forms, the rows that count, and what can not be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import Result

import shoal
from shoal.bijections import Standardize
from shoal.cli._compare import verdict
from shoal.distributions import Flow, StandardNormal
from shoal.records import read_record, write_record
from shoal.tables import Schema, read_table, split

from .conftest import plain_record, settings

Run = Callable[..., Result]
ROWS = 1200
NAMES = ("a", "b")


@dataclass
class Lab:
    """A table of normal rows in a folder, and runs whose models are normal laws."""

    folder: Path
    values: np.ndarray

    def run(
        self, name: str, mean: float, *, names: tuple[str, ...] = NAMES, data: str = "t.csv", **options: Any
    ) -> None:
        """A run of `shoal fit DATA` with these options, whose model is N(mean, 1) in each column."""
        place = self.folder / name
        law = Standardize(jnp.full(2, mean, jnp.float32), jnp.ones(2, jnp.float32))
        shoal.save(Flow(StandardNormal(2), law, columns=names), place)
        asked = settings(data, dequantize="off", **options)
        train, validation, test = split(self.values, asked.seed, asked.parts)
        parts = {"train": len(train), "validation": len(validation), "test": len(test)}
        means, scales = self.values[train].mean(axis=0), self.values[train].std(axis=0)
        table = {"source": data, "rows": ROWS, "columns": list(names), "parts": parts}
        write_record(plain_record(data={**table, "means": means, "scales": scales}), place / "record.json")
        write_record(asked, place / "config.json")

    def difference(self, rows: np.ndarray, a: float, b: float) -> tuple[float, float]:
        """Mean of log p under N(a, 1) - log p under N(b, 1) and its error, the farthest thousandth held at the next."""
        one, other = (stats.norm.logpdf(self.values[rows], loc=m).sum(axis=1) for m in (a, b))
        d = np.sort(one - other)
        few = max(1, len(d) // 1000)
        d[:few], d[-few:] = d[few], d[-few - 1]
        return float(d.mean()), float(stats.sem(d))

    def split(self, seed: int = 0) -> tuple[np.ndarray, ...]:
        return split(self.values, seed)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    text = np.random.default_rng(5).normal(size=(ROWS, 2)).astype(np.float32).astype(str)
    pl.DataFrame(text, schema=NAMES, orient="row").write_csv(tmp_path / "t.csv")
    return Lab(tmp_path, read_table(tmp_path / "t.csv").values)


def sentence(mean: float, error: float) -> str:
    """The verdict, with two digits of the error."""
    shown = f"{error:.1e}"
    places = 1 + int(shown.split("e-")[1])
    return f"by {abs(mean):.{places}f} ± {error:.{places}f} nats a row."


def test_the_test_rows_of_both_count(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.5)
    expected = sentence(*lab.difference(lab.split()[2], 0.2, 0.5))
    for words in (("one", "two"), ("one", "two", "t.csv")):
        done = shoal_command("compare", *words)
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[-1] == f"A is better {expected}"
        assert "120 test rows of t.csv" in done.stdout
        assert done.stderr == ""
    assert shoal_command("compare", "two", "one").stdout.splitlines()[-1] == f"B is better {expected}"


def test_rows_that_neither_was_trained_on(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.5, seed=7)
    done = shoal_command("compare", "one", "two")
    (train, *_), (other, *_) = lab.split(), lab.split(7)
    rows = np.setdiff1d(np.arange(ROWS), np.union1d(train, other))
    assert f"{len(rows)} rows that were not trained on, validation rows among them" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(sentence(*lab.difference(rows, 0.2, 0.5)))


def test_another_table(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.25)
    frame = pl.read_csv(lab.folder / "t.csv")
    frame.reverse().write_csv(lab.folder / "u.csv")
    done = shoal_command("compare", "one", "two", "u.csv")
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        f"Whether {name} was trained on rows of u.csv is not known; they count." for name in ("one", "two")
    ]
    assert f"{ROWS} rows of u.csv" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(sentence(*lab.difference(np.arange(ROWS), 0.2, 0.25)))


def test_a_table_that_changed_or_is_gone(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.5)
    frame = pl.read_csv(lab.folder / "t.csv")
    frame.reverse().write_csv(lab.folder / "t.csv")
    done = shoal_command("compare", "one", "two")
    assert done.exit_code == 2
    assert "t.csv is not the table that one was fitted on, or not any more: give DATA" in done.stderr
    (lab.folder / "t.csv").unlink()
    done = shoal_command("compare", "one", "two")
    assert done.exit_code == 2
    assert "Give DATA, the table to compare on: of one its table t.csv is not here." in done.stderr


def test_runs_and_table_at_urls(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2, data="memory://lab/t.csv")
    lab.run("two", 0.5)
    store = fsspec.filesystem("memory")
    store.put(str(lab.folder / "one"), "/lab/one", recursive=True)
    store.put_file(str(lab.folder / "t.csv"), "/lab/t.csv")
    done = shoal_command("compare", "memory://lab/one", "two")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].endswith(sentence(*lab.difference(lab.split()[2], 0.2, 0.5)))
    store.rm("/lab", recursive=True)


def test_weights_count(shoal_command: Run, lab: Lab):
    weights = np.random.default_rng(1).integers(0, 3, ROWS)
    frame = pl.read_csv(lab.folder / "t.csv").with_columns(w=pl.Series(weights))
    repeated = frame[np.repeat(np.arange(ROWS), weights)]
    frame.write_csv(lab.folder / "w.csv")
    repeated.drop("w").write_csv(lab.folder / "r.csv")
    for name, mean in (("one", 0.2), ("two", 0.5)):
        lab.run(name, mean)
        record = read_record(lab.folder / name / "record.json")
        record["data"]["weights_column"] = "w"
        write_record(record, lab.folder / name / "record.json")
    shown = [
        shoal_command("compare", "one", "two", name).stdout.splitlines()[-1] for name in ("w.csv", "r.csv")
    ]
    means = [float(line.split("better by ")[1].split(" ")[0]) for line in shown]
    assert shown[0].startswith("A is better")
    assert abs(means[0] - means[1]) < 2e-3  # the handfuls that are held differ: rows, and copies of rows
    plain = lab.difference(np.arange(ROWS), 0.2, 0.5)[0]
    assert abs(means[0] - plain) > 4e-3


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (("a", "c"), "The runs model different columns (b in one only; c in two only)"),
        (("a", "b", "x"), None),
    ],
)
def test_other_columns(shoal_command: Run, lab: Lab, second: tuple[str, ...], expected: str | None):
    lab.run("one", 0.2)
    lab.run("two", 0.5, names=second[:2])
    done = shoal_command("compare", "one", "two")
    assert done.exit_code == (0 if expected is None else 2)
    assert expected is None or expected in done.stderr


def test_columns_that_are_other_things(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.5)
    column = {"name": "a", "kind": "number", "atoms": [0.0], "shares": [0.5]}
    schema = {"kind": "table schema", "format": 1, "columns": [column, {"name": "b", "kind": "number"}]}
    write_record(schema, lab.folder / "two" / "schema.json")
    assert read_record(lab.folder / "two" / "schema.json", Schema).columns[0].atoms == (0.0,)
    done = shoal_command("compare", "one", "two")
    assert done.exit_code == 2
    assert "The runs take column 'a' for different things" in done.stderr


def test_rows_without_density_are_said(shoal_command: Run, lab: Lab):
    lab.run("one", 0.2)
    lab.run("two", 0.5)
    columns = [{"name": "a", "kind": "bounded", "low": -2.0, "high": 50.0}, {"name": "b", "kind": "number"}]
    write_record(
        {"kind": "table schema", "format": 1, "columns": columns}, lab.folder / "two" / "schema.json"
    )
    outside = int((lab.values[lab.split()[2], 0] <= -2).sum())
    assert outside > 1
    done = shoal_command("compare", "one", "two")
    assert done.exit_code == 0, done.output
    *_, told, last = done.stdout.splitlines()
    assert told == f"log p of {outside} of 120 rows is -inf under B."
    assert last == "A is better: the other gives no density to more than a thousandth of the rows."


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (0.12345, 0.0123, "A is better by 0.123 ± 0.012 nats a row."),
        (-3.4, 1.2, "B is better by 3.4 ± 1.2 nats a row."),
        (-0.02, 0.0103, "The two are not told apart: B is ahead by 0.020 ± 0.010 nats a row."),
        (120.0, 13.0, "A is better by 120 ± 13 nats a row."),
        (0.0, 0.0, "The two are the same on these rows."),
        (
            float("-inf"),
            float("nan"),
            "B is better: the other gives no density to more than a thousandth of the rows.",
        ),
    ],
)
def test_verdicts(mean: float, error: float, expected: str):
    assert verdict(mean, error) == expected
