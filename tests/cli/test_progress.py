"""What is shown while a fit is at work, on a terminal and elsewhere; and the table at its end."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from shoal.cli._fit_output import print_summary
from shoal.cli._progress import Event, describe, finished, shown_progress

from .conftest import record

EVENTS: list[Event] = [
    {
        "stage": "train",
        "rung": "maf on gaussian, 4 layers",
        "seed": 0,
        "epoch": 1,
        "epochs": 40,
        "fraction": 0.25,
    },
    {
        "stage": "train",
        "rung": "maf on gaussian, 4 layers",
        "seed": 1,
        "epoch": 1,
        "epochs": 40,
        "fraction": 0.2,
    },
    {
        "stage": "rung",
        "rung": "maf on gaussian, 4 layers",
        "fraction": 0.5,
        "status": "unfinished",
        "seconds": 61.4,
        "summary": {"validation": np.float32(-1.25), "condition_q99": float("inf"), "round_trip": 2e-6},
    },
]
LINE = "maf on gaussian, 4 layers: unfinished after 61 s, validation -1.2500 nats per row"


def shown(tmp_path: Path, *, terminal: bool, quiet: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with shown_progress(tmp_path / "log.jsonl", quiet=quiet, console=console) as report:
        for event in EVENTS:
            report(event)
    return file.getvalue()


def test_a_bar_on_a_terminal(tmp_path: Path):
    text = shown(tmp_path, terminal=True, quiet=False)
    assert LINE in text
    assert "maf on gaussian, 4 layers" in text
    assert "50%" in text
    assert "left" in text


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (True, True), (False, True)])
def test_one_line_a_rung_elsewhere(tmp_path: Path, terminal: bool, quiet: bool):
    assert shown(tmp_path, terminal=terminal, quiet=quiet) == LINE + "\n"


def test_every_event_is_logged_as_strict_json(tmp_path: Path):
    shown(tmp_path, terminal=False, quiet=False)
    shown(tmp_path, terminal=False, quiet=False)  # a resumed run goes on in the same file
    events = [
        json.loads(line, parse_constant=pytest.fail)
        for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert [event["stage"] for event in events] == ["train", "train", "rung"] * 2
    assert events[2]["summary"] == {"validation": -1.25, "condition_q99": "inf", "round_trip": 2e-06}


def test_words():
    assert describe(EVENTS[0]) == "maf on gaussian, 4 layers, epoch 1/40"
    assert describe({"stage": "choosing"}) == "choosing"
    assert finished({"stage": "rung", "rung": "gaussian, no layer"}) == "gaussian, no layer: finished"


def test_the_table_tolerates_what_was_not_computed(capsys: pytest.CaptureFixture[str]):
    rungs = [
        {
            "name": "nsf, 8 layers",
            "family": "nsf",
            "depth": 8,
            "status": "diverged",
            "validation_log_likelihood": "nan",
            "condition": None,
            "as_good": None,
        },
    ]
    print_summary(record(rungs=rungs, decision={"chosen": None, "sentence": "[b]none[/b]"}, test=None))
    text = capsys.readouterr().out
    assert "nsf, 8 layers" in text
    assert "nan" in text
    assert "diverged" in text
    assert "[b]none[/b]" in text
    assert "Test" not in text
