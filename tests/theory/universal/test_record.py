"""The record of a construction: its points against the atoms, its staircases against their steps, and what is refused."""

import json

import jax.random as jr
import numpy as np
import pytest

from shoal.records import ConstructionRecord, as_record, to_plain
from shoal.theory.universal import Construction, construct, construction_record
from shoal.theory.universal._record import STEPS, _steps


def arcs(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.pi * rng.random(rows)
    return np.stack([np.cos(t), np.sin(2 * t)], axis=1) + 0.05 * rng.normal(size=(rows, 2))


@pytest.fixture(scope="module")
def made() -> tuple[Construction, np.ndarray, np.ndarray]:
    """In float32: 300 rows and their weights, about twenty atoms."""
    x, w = arcs(300), np.random.default_rng(1).integers(0, 4, size=300) * 1.0
    return construct(x, 0.4, key=jr.key(0), weights=w, dtype="float32"), x, w


def test_it_is_plain_and_small(made: tuple[Construction, np.ndarray, np.ndarray]) -> None:
    record = construction_record(made[0], made[1], weights=made[2], columns=("a", "b"))
    text = json.dumps(to_plain(record), allow_nan=False)
    assert as_record(json.loads(text), ConstructionRecord) == record
    assert (record.size, record.padded, record.columns, record.pictures.names) == (
        2,
        False,
        ["a", "b"],
        ("a", "b"),
    )
    assert record.certificate == made[0].certificate
    assert len(text) < 300_000


def test_a_row_has_a_colour_of_its_own_atoms_cell(made: tuple[Construction, np.ndarray, np.ndarray]) -> None:
    """Rows to the atoms of their colours' cells: the mean square is that of the quantization, by the rows' weights."""
    flow, x, w = made
    target = np.array(construction_record(flow, x, weights=w).pictures.target)
    kept = w > 0
    np.testing.assert_allclose(target[:, :2], x[kept], rtol=5.1e-5)
    cells = np.searchsorted(flow.staircase.borders, target[:, 2])
    centres = flow.atoms.points[flow.staircase.order][cells]
    squares = np.square(x[kept] - centres).sum(axis=1)
    found = np.sqrt(np.average(squares, weights=w[kept]))
    assert found == pytest.approx(flow.certificate.terms.quantization, rel=1e-6)
    assert 8 <= len(np.unique(cells)) == len(flow.atoms) < kept.sum()


def test_points_go_to_the_atom_of_their_cell(made: tuple[Construction, np.ndarray, np.ndarray]) -> None:
    flow, x, w = made
    pictures = construction_record(flow, x, weights=w, seed=5).pictures
    latent, first, second = (np.array(getattr(pictures, name)) for name in ("latent", "first", "second"))
    assert latent.shape == first.shape == second.shape == (1500, 2)
    np.testing.assert_array_equal(first[:, 1], latent[:, 1])  # the first layer keeps y
    np.testing.assert_array_equal(second[:, 0], first[:, 0])  # the second layer keeps x'
    assert pictures.driver == latent[:, 1].tolist()
    staircase = flow.staircase
    cells = np.searchsorted(staircase.borders, latent[:, 1])
    away = np.abs(second - np.c_[staircase.a, staircase.b][cells] - staircase.delta * latent)
    off = np.mean(away.max(axis=1) > 1e-4)  # five digits are told; the rest are ramps and tails
    mass = flow.certificate.conditions["composition"].mass.value
    assert mass < 0.05
    assert abs(off - mass) < 4 * np.sqrt(mass / 1500) + 1e-3
    assert pictures != construction_record(flow, x, weights=w, seed=6).pictures


def test_a_staircase_has_its_steps_and_the_ends_are_flat(
    made: tuple[Construction, np.ndarray, np.ndarray],
) -> None:
    flow, x, w = made
    pictures = construction_record(flow, x, weights=w).pictures
    for name, values in (("t2", flow.staircase.a[:, 0]), ("t3", flow.staircase.b[:, 0])):
        steps = getattr(pictures, name)
        assert (steps.stride, steps.steps) == (1, len(flow.atoms))
        np.testing.assert_allclose(steps.values, np.repeat(values, 2), rtol=5.1e-5)
        assert (np.diff(steps.knots) > 0).all()


def test_long_staircases_are_thinned() -> None:
    knots = np.sort(np.random.default_rng(0).normal(size=2 * 5000))
    steps = _steps(knots, np.arange(10_000.0)[:, None])
    assert (steps.stride, steps.steps) == (9, 5001)
    assert len(steps.knots) <= 2 * STEPS + 2
    kept = np.array(steps.values)[1:-1].reshape(-1, 2)
    np.testing.assert_array_equal(
        kept, np.stack([np.arange(0, 10_000, 18), np.arange(1, 10_000, 18)], axis=1)
    )


@pytest.mark.parametrize("rows", [299, 301])
def test_another_sample_is_refused(made: tuple[Construction, np.ndarray, np.ndarray], rows: int) -> None:
    with pytest.raises(ValueError, match="`samples` must be the "):
        construction_record(made[0], arcs(rows))
