"""Numbers that keep to an interval or a circle: figures of the ladder against the delivered law in the table's units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import shoal
from shoal.distributions import Mixed, Turns
from shoal.selection._bounds import _placed
from shoal.selection._mass import with_discrete_part
from shoal.selection._measure import log_likelihoods
from shoal.selection._prepare import prepare
from shoal.tables import as_table

pytestmark = pytest.mark.usefixtures("unprofiled")
ROWS = 600
RNG = np.random.default_rng(0)
ANGLE = RNG.uniform(0, 360, ROWS)
FRAME = pl.DataFrame(
    {
        "speed": np.exp(RNG.normal(size=ROWS) + 0.5 * np.cos(np.deg2rad(ANGLE))),
        "share": RNG.beta(0.8, 0.8, ROWS),
        "y": RNG.normal(size=ROWS),
    }
)


def fitted(frame, *, time_limit=None, **kinds) -> Any:
    """One layer of the family that compiles soonest, briefly trained; none where there is no time for a step."""
    one: dict[str, Any] = {
        "families": ["realnvp"],
        "hidden": (8,),
        "fronts": ["marginals+gaussian"],
        "depths": [1],
    }
    return shoal.ladder(frame, kinds=kinds, settings={"max_epochs": 3}, time_limit=time_limit, **one)


def test_figures_are_of_the_density_in_the_tables_units():
    result = fitted(FRAME)
    prepared, rung = result.prepared, result.rungs[result.delivery.rung]
    part = prepared.parts["test"]
    inner = log_likelihoods(rung.flows[result.delivery.seed], part.x, part.context)
    own = np.asarray(result.flow.log_prob(FRAME.to_numpy()[part.rows]))
    np.testing.assert_allclose(own, prepared.user_log_prob("test", inner), atol=2e-4)
    assert result.record.test.log_likelihood == pytest.approx(own.mean(), abs=1e-4)
    rows = np.asarray(result.flow.sample(jax.random.key(0), (4000,)))
    assert rows[:, 0].min() > 0
    assert rows[:, 1].min() >= 0
    assert rows[:, 1].max() <= 1


def test_no_density_lies_outside():
    flow = fitted(FRAME.select("share"), time_limit=0.1).flow
    grid = (np.arange(20_000) + 0.5) / 20_000
    assert np.exp(np.asarray(flow.log_prob(grid[:, None]))).mean() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("gone", [0.0, 0.1])
def test_the_figure_of_an_angle_is_a_lower_bound(gone):
    """One place on the line a row: by the convexity of the logarithm the record's figure is below the law's own."""
    lacking = RNG.random(ROWS) < gone
    frame = FRAME.with_columns(dir=pl.Series(ANGLE).set(pl.Series(lacking), None))
    result = fitted(frame, dir="periodic:360")
    assert isinstance(result.flow, Mixed)
    table, part = result.prepared.table, result.prepared.parts["test"]
    codes = np.zeros((ROWS, 0)) if table.codes is None else table.codes
    rows = np.hstack([codes, table.values])[part.rows]
    own = np.asarray(result.flow.log_prob(rows))[~lacking[part.rows]]
    inner = log_likelihoods(
        result.rungs[result.delivery.rung].flows[result.delivery.seed], part.x, part.context
    )
    bound = result.prepared.user_log_prob("test", inner)[~lacking[part.rows]]
    lost = own - bound
    assert -3 * lost.std() / len(lost) ** 0.5 < lost.mean() < 0.3
    turned = rows.copy()
    turned[:, -1] += 720.0
    np.testing.assert_allclose(np.asarray(result.flow.log_prob(turned))[~lacking[part.rows]], own, atol=1e-3)
    points = np.array(result.record.points.samples)[:, -1]
    assert 0 <= points.min() < points.max() < 360


def test_an_angle_alone_has_no_seam():
    """Uniform angles: on both sides of 0 the same density, near 1/360."""
    law = fitted(pl.DataFrame({"dir": ANGLE}), time_limit=0.1, dir="periodic:360").flow
    low, high = np.exp(np.asarray(law.log_prob(np.array([[0.01], [359.99]]))))
    assert low == pytest.approx(high, rel=0.02)
    assert low * 360 == pytest.approx(1.0, abs=0.3)


def test_places_on_the_line_have_the_angles_density_times_a_bump():
    """Uniform angles: the places' density is cos^2 over two turns, and their shares make up for it."""
    rng = np.random.default_rng(0)
    places, share = _placed(rng.uniform(0, 5, 200_000), 5.0, 1.0, rng)
    assert np.abs(places - 1.0).max() <= 5.0
    np.testing.assert_allclose(share, np.cos(0.1 * np.pi * (places - 1.0)) ** 2, atol=1e-12)
    found, edges = np.histogram(places, 20, (-4, 6))
    middle = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(found / 200_000 / 0.5, np.cos(0.1 * np.pi * (middle - 1)) ** 2 / 5, atol=0.005)


def test_angles_of_a_row_have_three_places_each():
    turns = Turns((2.0, 0.0, 1.0), (0.0, 0.0, 0.5))
    places, counted = turns.places(jnp.array([0.5, 7.0, 0.25]), jnp.array([True, True, False]))
    seen = np.unique(np.asarray(places)[np.asarray(counted) == 0], axis=0)
    np.testing.assert_allclose(seen, [[-1.5, 7, 0.25], [0.5, 7, 0.25], [2.5, 7, 0.25]])


@pytest.mark.long
def test_masses_and_densities_of_a_trained_law_sum_to_1():
    """A word, and rain: 0, missing or an amount; the amount by quadrature in its logarithm, the rest by its mass."""
    wet, gone = RNG.random(ROWS) < 0.5, RNG.random(ROWS) < 0.1
    rain = pl.Series(np.where(wet, RNG.gamma(0.7, 3.0, ROWS), 0.0)).set(pl.Series(gone), None)
    frame = pl.DataFrame({"word": RNG.choice(["a", "b"], ROWS), "rain": rain})
    result = fitted(frame, time_limit=0.1)  # the law of the states is trained whatever the limit
    law, schema = result.flow, result.prepared.table.schema
    assert [c.kind for c in schema.columns] == ["category", "positive"]
    codes = np.array([[word, state] for word in range(3) for state in range(3)], float)
    masses = np.exp(np.asarray(law.mass.log_prob(codes), np.float64))
    assert masses.sum() == pytest.approx(1.0, abs=1e-5)
    logs = np.linspace(-60.0, 30.0, 40_001)
    total = masses[codes[:, 1] > 0].sum()
    for word in range(3):
        rows = np.stack([np.full(logs.shape, word), np.zeros(logs.shape), np.exp(logs)], axis=1)
        density = np.exp(np.asarray(law.log_prob(rows), np.float64) + logs)
        total += np.trapezoid(density, logs)
    assert total == pytest.approx(1.0, abs=1e-3)


def test_steps_see_several_draws_of_numbers_that_rows_lack():
    gone = RNG.random(ROWS) < 0.3
    frame = FRAME.with_columns(y=pl.Series(FRAME["y"]).set(pl.Series(gone), None))
    table = as_table(frame, kinds={}, minimum_rows=1, distinct=True)
    prepared = prepare(table, seed=0, dequantize_columns=True, dtype="float32")
    prepared = with_discrete_part(prepared, seed=0, limit=0.1)
    part, steps = prepared.parts["train"], prepared.steps
    assert len(steps.x) == 4 * len(part.x)
    np.testing.assert_array_equal(steps.rows, np.tile(part.rows, 4))
    drawn = steps.x[:, 2].reshape(4, -1)
    lacking = gone[part.rows]
    assert np.ptp(drawn[:, ~lacking], axis=0).max() == 0
    assert np.ptp(drawn[:, lacking], axis=0).min() > 0
