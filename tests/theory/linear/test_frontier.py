"""The frontier: its rows against NumPy's own condition numbers, its bound against a proof's ingredients, its files."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import special_ortho_group

from shoal.records import to_plain
from shoal.theory.linear import Effort, Frontier, factor, frontier

QUICK = Effort(6)
ALL = (5, 6, 7, 8, 9, 10, 11)


def gaussian(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n))


def blocks(seed: int, upper_right: float, lower_left: float) -> np.ndarray:
    a, b, c, d = np.random.default_rng(seed).normal(size=(4, 2, 2))
    return np.block([[a, upper_right * b], [lower_left * c, d]])


def check(found: Frontier, t: np.ndarray) -> list[float]:
    """Every row that has factors, by products and condition numbers of explicit matrices; returns the conditions."""
    conditions = []
    values = np.linalg.svd(t, compute_uv=False)
    for row in found.rows:
        if row.factors is None:
            assert row.reason
            assert row.condition is None
            continue
        explicit = [layer.matrix() for layer in row.factors.layers]
        inner = np.linalg.multi_dot(explicit)
        product = np.empty_like(inner)
        product[np.ix_(row.factors.order, row.factors.order)] = inner
        product = np.diag(row.factors.signs) @ product
        assert len(explicit) == row.layers
        assert np.linalg.norm(product - t) <= 1e-12 * np.linalg.norm(t)
        kinds = [layer.kind for layer in row.factors.layers]
        assert all(a != b for a, b in pairwise(kinds))
        worst = max(np.linalg.cond(m) for m in explicit)
        assert row.condition == pytest.approx(worst, rel=1e-8)
        bound = max(values[0] / values[-1], values[0], 1 / values[-1]) ** (1 / row.layers)
        assert row.lower_bound >= bound * (1 - 1e-12)  # or more, by angles: test_turning.py
        assert worst >= row.lower_bound * (1 - 1e-12)
        conditions.append(float(worst))
    return conditions


@pytest.mark.parametrize("n", [2, 6])
@pytest.mark.parametrize("first", ["lower", "upper"])
def test_conditions_never_rise_with_the_number_of_layers(n: int, first):
    t = gaussian(n, n)
    found = frontier(t, first=first, effort=QUICK)
    assert [row.layers for row in found.rows] == list(ALL)
    conditions = check(found, t)
    assert len(conditions) == len(ALL)
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(conditions))
    assert conditions[-1] < 0.9 * conditions[1]
    assert all(row.first == first for row in found.rows)


def test_no_row_is_worse_than_what_factor_finds_alone():
    t = gaussian(5, 4)
    found = frontier(t, (5, 6, 11), effort=QUICK)
    for row in found.rows:
        assert row.condition is not None
        assert row.condition <= factor(t, row.layers, effort=QUICK).conditions.largest * (1 + 1e-9)
    closed = factor(t, 11).conditions.largest
    last = found.rows[-1].condition
    assert last is not None
    assert last < closed / 3


@pytest.mark.parametrize(("condition", "six"), [(1e4, 27.0)])
def test_prescribed_condition(condition: float, six: float):
    u, v = special_ortho_group.rvs(8, size=2, random_state=4)
    t = u * np.exp(np.linspace(-0.5, 0.5, 8) * np.log(condition)) @ v
    conditions = check(frontier(t, (6, 7, 8), effort=Effort(40)), t)
    assert conditions[0] < six
    assert conditions[2] < conditions[1] < conditions[0]


def test_a_rotation_gets_better_than_its_closed_form():
    t = special_ortho_group.rvs(8, random_state=3)
    found = frontier(t, (6, 8), effort=Effort(40))
    conditions = check(found, t)
    assert factor(t).route == "rotation"
    assert conditions[0] < factor(t).conditions.largest / 1.5
    assert conditions[1] < conditions[0]
    plain = frontier(t, (6,), effort=Effort(0))
    assert plain.rows[0].route == "rotation"
    assert plain.rows[0].condition == factor(t).conditions.largest


@pytest.mark.parametrize(("right", "left", "first"), [(0.0, 1.0, "upper"), (1.0, 0.0, "lower")])
def test_five_layers_start_with_the_kind_that_can(right: float, left: float, first: str):
    t = blocks(1, right, left)
    for asked in ("lower", "upper"):
        found = frontier(t, (5, 6), first=asked, effort=QUICK)
        assert [row.first for row in found.rows] == [first, asked]
        five, six = check(found, t)
        assert six <= five * (1 + 1e-12)


def test_what_is_not_possible_is_marked_and_the_rest_goes_on():
    t = blocks(2, 0.0, 0.0)
    found = frontier(t, (5, 6, 7), effort=QUICK)
    assert len(check(found, t)) == 2
    assert "need a block T12 of full rank" in found.rows[0].reason
    assert "need a block T21 of full rank" in found.rows[0].reason
    assert " 5 layers: five layers that start with a lower one" in repr(found)
    assert found.rows[0].to_record().condition is None


@pytest.mark.parametrize("n", [1, 3, 5])
def test_odd_sizes_have_every_number_too(n: int):
    t = gaussian(n, n)
    found = frontier(t, effort=QUICK)
    assert all(row.factors is not None for row in found.rows)
    if n == 1:
        assert [row.condition for row in found.rows] == [1.0] * 7
        assert [row.lower_bound for row in found.rows] == [1.0] * 7
    else:
        conditions = check(found, t)
        assert all(b <= a * (1 + 1e-12) for a, b in pairwise(conditions))


def test_kept_and_a_negative_determinant():
    t = gaussian(8, 6)
    t[0] *= -np.sign(np.linalg.det(t))
    found = frontier(t, (6, 7), kept=(4, 1, 2), effort=QUICK)
    assert found.kept == (4, 1, 2)
    assert len(check(found, t)) == 2
    assert all(row.factors is not None and row.factors.signs[-1] == -1 for row in found.rows)


def test_time_is_bounded_and_rows_are_told_as_they_come():
    seen: list[int] = []
    t = gaussian(3, 12)
    found = frontier(
        t, (6, 7, 8), effort=Effort(10_000), seconds=1.0, progress=lambda r: seen.append(r.layers)
    )
    assert seen == [6, 7, 8]
    assert len(check(found, t)) == 3
    assert sum(row.seconds for row in found.rows) < 10.0  # 1 s of descent, and the continuation


def test_a_tolerance_that_is_missed_is_a_reason():
    found = frontier(gaussian(1, 4), (6,), effort=QUICK, tolerance=1e-30)
    assert found.rows[0].factors is None
    assert "miss T by" in found.rows[0].reason


def test_within_gives_the_fewest_layers():
    found = frontier(gaussian(6, 4), (6, 7, 8, 9), effort=QUICK)
    for row in found.rows:
        assert row.condition is not None
        made = found.within(row.condition)
        assert made is not None
        assert len(made.layers) == row.layers
    assert found.within(1.0) is None


def test_the_record_holds_the_rows():
    found = frontier(gaussian(9, 3), (7, 8, 9), effort=QUICK)
    record = json.loads(json.dumps(to_plain(found.to_record()), allow_nan=False))
    assert record["kind"] == "frontier"
    assert record["size"] == 3
    assert [row["condition"] for row in record["rows"]] == [row.condition for row in found.rows]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"layers": (4, 6)}, r"numbers in 5 ... 11; got \(4, 6\)"),
        ({"layers": ()}, r"numbers in 5 ... 11; got \(\)"),
        ({"seconds": -1.0}, "`seconds` must be at least 0"),
        ({"first": "left"}, "`first` must be"),
        ({"kept": (0, 0)}, "2 distinct indices"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_arguments(words, text: str):
    with pytest.raises(ValueError, match=text):
        frontier(np.eye(4), **words)
