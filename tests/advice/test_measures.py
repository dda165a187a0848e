"""What the adviser measures, against tables whose figures are known by construction or computed another way."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import norm

from shoal.advice._shape import find_modes, lipschitz_needed, local_structure
from shoal.tables import examine_columns

SEEDS = (0, 1)


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def unit(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("dimension", "columns"), [(1, 3), (2, 5), (4, 4)])
def test_dimension_of_a_linear_image_with_little_noise(dimension: int, columns: int, seed: int) -> None:
    rng = generator(seed)
    axes = np.linalg.qr(rng.normal(size=(columns, columns)))[0][:dimension]
    x = rng.normal(size=(1200, dimension)) @ axes + 1e-3 * rng.normal(size=(1200, columns))
    local = local_structure(x, rng)
    assert local.dimension == dimension
    singular = np.sqrt(np.linalg.eigvalsh(np.cov(x.T)))
    assert local.global_condition == pytest.approx(singular[-1] / singular[0], rel=1e-6)


def test_dimension_of_a_curve_that_fills_three_directions() -> None:
    t = generator(0).random(1500) * 4 * np.pi
    x = unit(np.column_stack([np.cos(t), np.sin(t), t]))
    local = local_structure(x, generator(0))
    assert local.dimension == 1
    assert local.global_condition < 3  # seen from afar it is round
    assert local.condition > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_negentropy_of_known_laws(seed: int) -> None:
    rng = generator(seed)
    exact = 2 * (0.5 * np.log(2 * np.pi * np.e / 12))  # of the uniform law on the square
    assert local_structure(rng.random((3000, 2)), rng).negentropy == pytest.approx(exact, abs=0.08)
    skew = rng.normal(size=(3000, 3)) @ rng.normal(size=(3, 3))
    assert local_structure(skew, rng).negentropy < 0.08
    exponential = 0.5 * np.log(2 * np.pi * np.e) - 1
    found = local_structure(rng.exponential(size=(3000, 1)), rng).negentropy
    assert found == pytest.approx(exponential, abs=0.08)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_number_of_modes_and_the_gap(count: int, seed: int) -> None:
    rng = generator(seed)
    angle = 2 * np.pi * np.arange(count) / count
    centres = 10 * np.column_stack([np.cos(angle), np.sin(angle)])
    label = rng.integers(count, size=900)
    radius = np.sqrt(rng.random(900))
    turn = 2 * np.pi * rng.random(900)
    x = centres[label] + radius[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    found = find_modes(x, rng)
    assert found.count == count
    shares = np.sort(np.bincount(label) / 900)[::-1]
    assert np.allclose(found.shares, shares, atol=1e-12)
    if count == 1:
        assert (found.groups, found.distance, found.lipschitz) == (1, 0.0, 0.0)
        assert found.width == pytest.approx(0.5, abs=0.05)  # the deviation of a coordinate on the unit disc
    else:
        pairs = itertools.combinations(range(count), 2)
        gap = min(cdist(x[label == a], x[label == b]).min() for a, b in pairs)
        assert gap <= found.distance * (1 + 1e-9)  # the sparsest 5 % of the rows take no part
        assert found.distance < 20
        assert (
            0.35 < found.width < 0.55
        )  # 0.5 without the cut of the sparsest rows, which can take a slice off one disc


@pytest.mark.parametrize("shape", ["normal", "uniform", "tails"])
@pytest.mark.parametrize("columns", [2, 6])
def test_laws_of_one_mode_have_one(shape: str, columns: int) -> None:
    for seed in range(2):
        rng = generator(seed)
        x = {
            "normal": rng.normal(size=(500, columns)),
            "uniform": rng.random((500, columns)),
            "tails": rng.standard_t(3, size=(500, columns)),
        }[shape]
        assert find_modes(unit(x), rng).count == 1


def test_lipschitz_needed_for_two_groups_in_closed_form() -> None:
    """Two sets of mass 1/2 at D / 2: TV >= 1/2 - Phi(-D / (2 L)), so L = D / (2 z), z the 1/2 + 0.01 quantile."""
    distance = 3.0
    exact = (distance / 2) / -norm.ppf(0.5 - 0.01)
    assert lipschitz_needed(2, distance, 0.5) == pytest.approx(exact, rel=1e-9)
    assert lipschitz_needed(1, distance, 0.5) == 0.0


def test_a_flow_above_the_bound_meets_the_target_and_one_below_does_not() -> None:
    """The steepest ramp between two points: mass between the regions, computed from the normal law alone."""
    distance = 2.0
    needed = lipschitz_needed(2, distance, 0.5)

    def misplaced(slope: float) -> float:
        half = (
            distance / 4 / slope
        )  # x = slope * z in the gap of width distance / 2, and at rest outside of it
        return float(1 - 2 * norm.sf(half))

    assert misplaced(0.95 * needed) > 0.01
    assert misplaced(1.05 * needed) < 0.01


def test_columns_constant_repeated_and_dependent() -> None:
    x, noise = generator(0).normal(size=(300, 4)), generator(9).normal(size=300)
    names = ["a", "b", "c", "d", "flat", "twin", "sum", "close"]
    table = np.column_stack(
        [x, np.full(300, 0.1 + 0.2), 3 - 2 * x[:, 1], x[:, 0] + 2 * x[:, 2], x[:, 3] + 1e-4 * noise]
    )
    found = examine_columns(table, names)
    assert found.constant == ("flat",)
    assert found.duplicates == (("b", "twin"),)
    assert found.dropped == ("sum",)
    assert [names[i] for i in found.kept] == ["a", "b", "c", "d", "close"]
    exact, near = found.dependences
    assert set(exact.columns) == {"sum", "a", "c"}
    deviation = table.std(axis=0)
    ratio = dict(zip(exact.columns, exact.weights, strict=True))
    assert ratio["a"] * deviation[6] / deviation[0] == pytest.approx(-1.0, rel=1e-9)
    assert ratio["c"] * deviation[6] / deviation[2] == pytest.approx(-2.0, rel=1e-9)
    assert set(near.columns) == {"d", "close"}
    assert 1e-5 < near.deviation < 1e-3
    assert found.repeated_rows == 0.0


def test_repeated_rows_and_lattices() -> None:
    rng = generator(1)
    x = np.column_stack([rng.integers(0, 3, size=200), 0.25 * rng.integers(0, 2, size=200)]).astype(float)
    found = examine_columns(x, ["n", "q"])
    assert [(s.column, s.step) for s in found.lattices] == [("n", 1.0), ("q", 0.25)]
    assert found.repeated_rows == pytest.approx(1 - len({tuple(r) for r in x.tolist()}) / 200)


def test_as_few_rows_as_columns_show_no_dependence() -> None:
    found = examine_columns(generator(0).normal(size=(30, 40)), [str(i) for i in range(40)])
    assert found.dependences == ()
    assert len(found.kept) == 40
