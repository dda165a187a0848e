"""`python -m studies.run` on a toy: what is printed, exit codes, Ctrl-C, and how to go on."""

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from studies import registry
from studies.grid import Cell, Failure
from studies.records import read_records
from studies.run import main

from .toys import Toy, changed

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "STUDIES", {"toy": made.study()})
    return made


def command(*words: str, folder: str = "results") -> int:
    return main([*words, "--results", folder])


def test_list_run_show(toy: Toy, capsys: Capture):
    command("list")
    assert "0/6" in capsys.readouterr().out
    assert command("run", "toy") == 0
    output = capsys.readouterr().out
    assert "6 of 6 cells are done; the records lie at results/toy.json" in output
    assert "a/1: done" in output
    assert Path("results/toy.json").is_file()
    command("list")
    assert "6/6" in capsys.readouterr().out
    command("show", "toy")
    shown = capsys.readouterr().out
    assert "~ 41 (40 to 42)" in shown
    assert "~ 81 (80 to 82)" in shown
    assert "6 of 6 cells are done, 0 failed, 0 are open." in shown
    assert (command("run", "toy"), len(toy.calls)) == (0, 2)


def test_an_unknown_study_is_one_sentence(toy: Toy, capsys: Capture):
    for word in ("run", "show", "check"):
        assert command(word, "nothing") == 2
        assert capsys.readouterr().err == "Error: There is no study 'nothing'; there is: toy.\n"


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(toy: Toy, capsys: Capture):
    def interrupt(cell: Cell) -> None:
        if cell.config["kind"] == "b":
            raise KeyboardInterrupt

    toy.before = interrupt
    assert command("run", "toy", folder="my figures") == 130
    sentence = (
        "Interrupted: 3 of 6 cells are done and kept in my figures/toy.json; the same command goes on.\n"
    )
    assert capsys.readouterr().err == sentence
    toy.before = lambda cell: None
    assert command("run", "toy", folder="my figures") == 0
    assert len(toy.calls) == 3


def test_failed_cells_are_exit_code_3(toy: Toy, capsys: Capture):
    toy.before = lambda cell: Failure("no") if cell.name == "a/0" else None
    assert command("run", "toy") == 3
    output = capsys.readouterr()
    assert "a/0: failed (no)" in output.out
    assert output.err.endswith("--retry runs them again.\n")
    command("show", "toy")
    assert "1 failed" in capsys.readouterr().out
    toy.before = lambda cell: None
    assert command("run", "toy", "--retry") == 0


def test_check_finds_a_changed_figure(toy: Toy, capsys: Capture):
    assert command("check", "toy") == 2
    assert "store them by `python -m studies.run run toy --smoke`" in capsys.readouterr().err
    command("run", "toy", "--smoke")
    capsys.readouterr()
    assert command("check", "toy", "--quiet") == 0
    assert capsys.readouterr().out == "2 smoke cells of toy are as stored, within their error bars.\n"
    with changed(Path("results/toy.json")) as records:
        records[1]["figures"]["value"] += 1.0
    assert command("check", "toy") == 3
    output = capsys.readouterr()
    assert "b/0/smoke" in output.out
    assert "1 stored figures of toy are not reproduced" in output.err


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture):
    monkeypatch.chdir(tmp_path)
    study: Any = registry.find("padding")
    digits = tuple(cell for cell in study.cells if cell.config["target"] == "digits")[:1]
    monkeypatch.setattr(registry, "STUDIES", {"padding": type(study)(**{**vars(study), "cells": digits})})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command("run", "padding") == 2
    assert capsys.readouterr().err == (
        "Error: scikit-learn is not installed: run `pip install scikit-learn`.\n"
    )
    assert not Path("results/padding.json").exists()


def test_groups_on_workers_are_recorded_as_here(toy: Toy, capsys: Capture, monkeypatch: pytest.MonkeyPatch):
    assert command("run", "toy", folder="here") == 0
    toy.calls.clear()

    @contextmanager
    def pool(text: str) -> Iterator[ThreadPoolExecutor]:
        assert text == "local:2"
        with ThreadPoolExecutor(2) as made:
            yield made

    monkeypatch.setattr("studies.run.connected", pool)
    assert command("run", "toy", "--cluster", "local:2", folder="there") == 0
    assert sorted(toy.calls) == [["a/0", "a/1", "a/2"], ["b/0", "b/1", "b/2"]]
    assert "6 of 6 cells are done" in capsys.readouterr().out
    here, there = (read_records(toy.study(), folder).latest for folder in ("here", "there"))
    assert there.keys() == here.keys()
    assert all(there[key]["figures"] == here[key]["figures"] for key in here)


def test_a_cluster_that_is_none_is_one_sentence(toy: Toy, capsys: Capture):
    assert command("run", "toy", "--cluster", "two") == 2
    assert "--cluster 'two' is neither an address" in capsys.readouterr().err
