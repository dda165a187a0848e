"""A ladder that trains nothing, so that the command line is tested for what it does itself."""

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from shoal import flows, report, selection
from shoal.cli import app
from shoal.cli._fit import fit
from shoal.cli._settings import FitSettings, parse_settings
from shoal.records import FitRecord, as_record


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table_text(rows: int = 150, names: str = "a,b,c", seed: int = 1) -> str:
    """A CSV table of numbers."""
    values = np.random.default_rng(seed).normal(size=(rows, len(names.split(","))))
    return "\n".join([names, *(",".join(f"{value:.4f}" for value in row) for row in values)]) + "\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(table_text())
    return path


@pytest.fixture
def shoal_command() -> Callable[..., Result]:
    """Runs the command line in this process."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], prog_name="shoal")

    return run


def plain_record(status: str = "finished", **changes: Any) -> dict[str, Any]:
    """A small record of a fit; one number in it is not finite."""
    curve = {
        "epoch": [1, 2],
        "train": [-3.0, -2.5],
        "validation": [-3.1, "nan"],
        "validation_mean": [-3.2, "nan"],
        "far_rows": [1, 0],
        "learning_rate": [1e-3, 1e-4],
    }
    seed = {"seed": 0, "status": status, "seconds": 1.5, "first_validation": -4.0, "curve": curve}
    rung = {
        "front": "gaussian",
        "family": "nsf on gaussian",
        "depth": 2,
        "name": "nsf on gaussian, 2 layers",
        "parameters": 1234,
        "seconds": 1.5,
        "status": status,
        "seeds": [seed],
        "validation_log_likelihood": -2.5,
        "difference": 0.0,
        "standard_error": 0.0,
        "upper": 0.0,
        "state": "as good",
        "as_good": True,
        "condition": {"median": 3.0, "q99": 10.0, "max": 20.0, "unresolved": 0},
        "round_trip": {"float32": {"median": 1e-7, "q999": 5e-7, "max": 1e-6}},
    }
    alone = {
        "front": "gaussian",
        "family": "gaussian",
        "depth": 0,
        "name": "gaussian, no layer",
        "status": "closed form",
        "seeds": [],
        "validation_log_likelihood": -3.75,
        "difference": 1.25,
        "standard_error": 0.01,
        "upper": 1.26645,
        "state": "worse",
    }
    empty = {
        "family": "nsf on gaussian",
        "depth": 16,
        "name": "nsf on gaussian, 16 layers",
        "status": "not started",
        "seeds": [],
    }
    return {
        "format": 2,
        "kind": "fit",
        "data": {"source": "t.csv", "rows": 150, "columns": ["a", "b", "c"], "context_columns": []},
        "config": {},
        "rungs": [rung, alone, empty],
        "decision": {
            "chosen": 0,
            "best": 0,
            "kept": 0,
            "seed": 0,
            "margin": 0.05,
            "sentence": "It is chosen.",
        },
        "test": {"log_likelihood": -2.6, "standard_error": 0.01, "rows": 15},
        **changes,
    }


def settings(data: str, **changes: object) -> FitSettings:
    """Those of `shoal fit DATA --out RUN`, and options."""
    given = {name: option.default for name, option in inspect.signature(fit).parameters.items()}
    return parse_settings(data, given | changes)


def record(status: str = "finished", **changes: Any) -> FitRecord:
    """The same as the ladder returns it."""
    return as_record(plain_record(status, **changes), FitRecord)


class FakeLadder:
    """Stands for `shoal.selection.ladder`; remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.result = SimpleNamespace(flow="flow", record=record(), interrupted=False, failed=False)
        self.before: Callable[[Path], None] = lambda folder: None

    def __call__(self, table: Any, **options: Any) -> Any:
        self.calls.append((table, options))
        for epoch in (1, 2):
            options["progress"](
                {
                    "stage": "train",
                    "rung": "nsf on gaussian, 2 layers",
                    "seed": 0,
                    "epoch": epoch,
                    "epochs": 2,
                    "validation": np.float32("nan"),
                    "fraction": epoch / 2,
                }
            )
        options["progress"](
            {
                "stage": "rung",
                "rung": "nsf on gaussian, 2 layers",
                "fraction": 1.0,
                "status": "finished",
                "seconds": 3.2,
                "summary": {"validation": -2.5, "condition_q99": 10.0, "round_trip": 1e-6},
            }
        )
        self.before(options["folder"])
        return self.result


def fake_save(flow: Any, folder: Path) -> None:
    """Writes what marks a folder as one with a model."""
    (folder / "model.json").write_text(json.dumps({"flow": str(flow), "process": os.getpid()}))


def fake_report(record: FitRecord, path: Path) -> None:
    """Writes a page that says what it was made from."""
    path.write_text(f"<title>{record.data.source}</title>")


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> FakeLadder:
    fake = FakeLadder()
    monkeypatch.setattr(selection, "ladder", fake)
    monkeypatch.setattr(flows, "save", fake_save)
    monkeypatch.setattr(report, "write_report", fake_report)
    return fake


def checkpoint(folder: Path) -> None:
    """What training leaves behind."""
    folder.mkdir(exist_ok=True)
    (folder / "state.json").write_text("{}")
