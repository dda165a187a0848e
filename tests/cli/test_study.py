"""`shoal study` on a toy: what is printed, exit codes, Ctrl-C, and how to go on."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from shoal.studies import Cell, Failure
from shoal.studies import _registry as registry  # pyright: ignore[reportPrivateUsage]
from tests.studies.toys import Toy

Command = Callable[..., Result]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy()
    monkeypatch.setattr(registry, "STUDIES", {"toy": made.study()})
    return made


def test_list_run_show(shoal_command: Command, toy: Toy):
    assert "0/6" in shoal_command("study", "list").output
    done = shoal_command("study", "run", "toy")
    assert done.exit_code == 0
    assert "6 of 6 cells are done; the records lie at results/toy.jsonl" in done.output
    assert "a/1: done" in done.output
    assert Path("results/toy.jsonl").is_file()
    assert "6/6" in shoal_command("study", "list").output
    shown = shoal_command("study", "show", "toy").output
    assert "~ 41 (40 to 42)" in shown
    assert "~ 81 (80 to 82)" in shown
    assert "6 of 6 cells are done, 0 failed, 0 are open." in shown
    again = shoal_command("study", "run", "toy")
    assert (again.exit_code, len(toy.calls)) == (0, 2)


def test_an_unknown_study_is_one_sentence(shoal_command: Command, toy: Toy):
    for word in ("run", "show", "check"):
        done = shoal_command("study", word, "nothing")
        assert done.exit_code == 2
        assert done.output == "Error: There is no study 'nothing'; there is: toy.\n"


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(shoal_command: Command, toy: Toy):
    def interrupt(cell: Cell) -> None:
        if cell.config["kind"] == "b":
            raise KeyboardInterrupt

    toy.before = interrupt
    done = shoal_command("study", "run", "toy", "--results", "my figures")
    assert done.exit_code == 130
    sentence = (
        "Interrupted: 3 of 6 cells are done and kept in my figures/toy.jsonl; go on with "
        "`shoal study run toy --results 'my figures'`.\n"
    )
    assert done.output.endswith(sentence)
    toy.before = lambda cell: None
    assert shoal_command("study", "run", "toy", "--results", "my figures").exit_code == 0
    assert len(toy.calls) == 3


def test_failed_cells_are_exit_code_3(shoal_command: Command, toy: Toy):
    toy.before = lambda cell: Failure("no") if cell.name == "a/0" else None
    done = shoal_command("study", "run", "toy")
    assert done.exit_code == 3
    assert "a/0: failed (no)" in done.output
    assert done.output.endswith("run them again with `shoal study run toy --retry`.\n")
    assert "1 failed" in shoal_command("study", "show", "toy").output
    toy.before = lambda cell: None
    assert shoal_command("study", "run", "toy", "--retry").exit_code == 0


def test_check_finds_a_changed_figure(shoal_command: Command, toy: Toy):
    missing = shoal_command("study", "check", "toy")
    assert missing.exit_code == 2
    assert "store them by `shoal study run toy --smoke`" in missing.output
    shoal_command("study", "run", "toy", "--smoke")
    same = shoal_command("study", "check", "toy")
    assert (same.exit_code, same.output) == (
        0,
        "2 smoke cells of toy are as stored, within their error bars.\n",
    )
    path = Path("results/toy.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[1]["figures"]["value"] += 1.0
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    changed = shoal_command("study", "check", "toy")
    assert changed.exit_code == 3
    assert "b/0/smoke" in changed.output
    assert "1 stored figures of toy are not reproduced" in changed.output


def test_damaged_lines_are_told(shoal_command: Command, toy: Toy):
    shoal_command("study", "run", "toy")
    with open("results/toy.jsonl", "a") as file:
        file.write('{"format": 1, "stud')
    assert "1 damaged lines were passed over" in shoal_command("study", "list").output


def test_a_missing_package_is_one_sentence(shoal_command: Command, monkeypatch: pytest.MonkeyPatch):
    from shoal.studies import find

    study: Any = find("padding")
    digits = tuple(cell for cell in study.cells if cell.config["target"] == "digits")[:1]
    monkeypatch.setattr(registry, "STUDIES", {"padding": type(study)(**{**vars(study), "cells": digits})})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = shoal_command("study", "run", "padding")
    assert done.exit_code == 2
    assert done.output == 'Error: scikit-learn is not installed: run `pip install "shoal[studies]"`.\n'
    assert Path("results/padding.jsonl").read_text() == ""
