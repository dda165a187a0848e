"""`check` sees a stored figure that the smoke grid does not give again."""

from pathlib import Path
from typing import Any

import pytest
from studies.cells import run
from studies.check import check
from studies.grid import Cell, Failure

from .toys import Toy, changed


def stored(folder: Path, name: str = "value", value: Any = None, drop: bool = False) -> None:
    """The smoke grid's records, with one figure of the first cell changed."""
    run(Toy().study(), folder, smoke=True)
    with changed(folder / "toy.json") as records:
        if drop:
            del records[0]["figures"][name]
        else:
            records[0]["figures"][name] = value


def test_nothing_differs_and_nothing_is_written(tmp_path: Path):
    run(Toy().study(), tmp_path, smoke=True)
    before = (tmp_path / "toy.json").read_bytes()
    assert check(Toy().study(), tmp_path) == []
    assert (tmp_path / "toy.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("value", 10.51, "value"),
        ("curve", [1.0, None, 10.1], "curve[2]"),
        ("curve", [1.0, 2.0, 10.0], "curve[1]"),
        ("curve", [1.0], "curve"),
        ("ended", "diverged", "ended"),
        ("value", None, "value"),
    ],
)
def test_a_changed_figure_is_seen(tmp_path: Path, name: str, value: Any, place: str):
    stored(tmp_path, name, value)
    (found,) = check(Toy().study(), tmp_path)
    assert (found.cell, found.figure) == ("a/0/smoke", place)


def test_within_its_bar_it_is_the_same(tmp_path: Path):
    stored(tmp_path, "value", 10.49)
    assert check(Toy().study(), tmp_path) == []


def test_a_figure_on_one_side_only_is_seen(tmp_path: Path):
    stored(tmp_path, "value", drop=True)
    (found,) = check(Toy().study(), tmp_path)
    assert (found.stored, found.found) == ("absent", 10.0)


def test_a_cell_that_fails_now_is_seen(tmp_path: Path):
    run(Toy().study(), tmp_path, smoke=True)

    def fails(cell: Cell) -> Any:
        return Failure("no") if cell.config["kind"] == "b" else None

    (found,) = check(Toy(fails).study(), tmp_path)
    assert (found.cell, found.figure, found.found) == ("b/0/smoke", "status", "failed: no")


def test_without_stored_figures_there_is_nothing_to_check(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"no figures of a/0/smoke; store them by `python -m studies.run run toy --smoke`"
    ):
        check(Toy().study(), tmp_path)


def test_the_whole_grid_where_it_was_run(tmp_path: Path):
    """Only cells with figures are run again, in their groups; one changed figure is seen."""
    toy = Toy(before=lambda cell: Failure("no") if cell.name == "b/1" else None)
    run(toy.study(), tmp_path)
    again = Toy()
    assert check(again.study(), tmp_path, whole=True) == []
    assert again.calls == [["a/0", "a/1", "a/2"], ["b/0", "b/2"]]
    with changed(tmp_path / "toy.json") as records:
        records[1]["figures"]["value"] += 1
    assert [(d.cell, d.figure) for d in check(Toy().study(), tmp_path, whole=True)] == [("a/1", "value")]
    with pytest.raises(ValueError, match=r"has no figures; store them by `python -m studies.run run toy`"):
        check(Toy().study(), tmp_path / "elsewhere", whole=True)
