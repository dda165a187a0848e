"""Cells and studies: hashes, seeds, groups, and what is refused."""

import hashlib
from typing import Any

import pytest
from studies.grid import Cell, ErrorBar, Study
from studies.padding_run import seed_of
from studies.registry import STUDIES, find

from .toys import Toy, cells

CONFIG: dict[str, Any] = {"b": 2, "a": "x", "c": 0.5, "d": True}


def test_the_hash_is_sha256_of_the_sorted_configuration():
    want = hashlib.sha256(b'{"a":"x","b":2,"c":0.5,"d":true}').hexdigest()
    cell = Cell("any", CONFIG)
    assert cell.hash == want[:32]
    assert cell.words() == (int(want[:8], 16), int(want[8:16], 16))
    assert Cell("other", dict(reversed(CONFIG.items()))).hash == cell.hash
    part = hashlib.sha256(b'{"a":"x","d":true}').hexdigest()
    assert cell.words("d", "a") == (int(part[:8], 16), int(part[8:16], 16))


@pytest.mark.parametrize("change", [{"b": 3}, {"c": 0.25}, {"d": False}, {"e": 1}], ids=str)
def test_every_setting_changes_hash_and_seed(change: dict[str, Any]):
    import jax.random as jr

    one, other = Cell("x", CONFIG), Cell("x", {**CONFIG, **change})
    assert one.hash != other.hash
    keys = [jr.key_data(seed_of(c)).tolist() for c in (one, other)]
    assert keys[0] != keys[1]


def test_a_configuration_can_not_be_changed():
    given = dict(CONFIG)
    cell: Any = Cell("x", given)
    given["b"] = 5
    assert cell.config["b"] == 2
    with pytest.raises(TypeError):
        cell.config["b"] = 5


@pytest.mark.parametrize("value", [None, [1], float("nan"), float("inf")], ids=str)
def test_settings_are_texts_finite_numbers_and_booleans(value: Any):
    with pytest.raises(ValueError, match="holds texts, finite numbers and booleans; 'b' of 'x' is"):
        Cell("x", {"b": value})


def test_an_empty_configuration_is_refused():
    with pytest.raises(ValueError, match="is empty"):
        Cell("x", {})


@pytest.mark.parametrize(
    "second", [Cell("a/0", {"new": 1}), Cell("new", cells()[0].config)], ids=["name", "hash"]
)
def test_no_two_cells_of_one_name_or_configuration(second: Cell):
    with pytest.raises(ValueError, match="two cells of the same"):
        Toy().study(cells=(*cells(), second))


def test_groups_hold_what_differs_in_seeds_only():
    groups = Toy().study().groups(cells()[1:])
    assert [[c.name for c in group] for group in groups] == [["a/1", "a/2"], ["b/0", "b/1", "b/2"]]
    assert len(Toy().study(together=()).groups(cells())) == 6


@pytest.mark.parametrize(("found", "holds"), [(10.29, True), (10.31, False), (9.71, True), (9.69, False)])
def test_an_error_bar_is_absolute_plus_relative(found: float, holds: bool):
    assert ErrorBar(absolute=0.1, relative=0.02).holds(10.0, found) == holds


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda s: s.name)
def test_registered_studies_are_whole(study: Study):
    assert find(study.name) is study
    assert study.smoke
    assert study.source
    assert all(study.cost(cell) > 0 for cell in study.cells)
    assert set(study.together) <= set(study.over)
