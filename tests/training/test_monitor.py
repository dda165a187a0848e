"""The conditioning monitor: what it sees, that it disturbs nothing, and what it does beyond a budget."""

# A figure that is not there fails its test by itself.
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false

import threading
from functools import cache
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal._types import Context, Float, Scalar, Vector
from shoal.bijections import AbstractBijection, LULinear
from shoal.conditioning import from_bijection, round_trip, spectrum
from shoal.distributions import Flow, GaussianPadding, Padded, StandardNormal
from shoal.records.fit import Look
from shoal.training import ConditioningMonitor, FitResult, fit, fit_many
from tests.training.cases import (
    TRAIN,
    Fragile,
    chunks_of,
    realnvp,
    same_bits,
    settled,
    short,
    weights_of,
)

KEY = jax.random.key(3)
EPS32 = float(np.finfo(np.float32).eps)
FIGURES = ("sigma_max", "sigma_min", "condition_median", "condition_max", "round_trip")
BUDGET = 40.0
# Points on a line, nearly: the likelihood draws κ of a linear flow towards 2 / 1e-3.
Z = np.random.default_rng(0).normal(size=(640, 2))
LINE = np.stack([Z[:, 0], Z[:, 0] + 1e-3 * Z[:, 1]], axis=1).astype(np.float32)
FAST = short(max_epochs=10, learning_rate=0.3, warmup_fraction=0.0, patience=None)


def linear() -> Flow:
    return Flow(StandardNormal(2), LULinear(2, spread=0.1, key=jax.random.key(0)))


def diagonal(*logarithms: float) -> Flow:
    """x = exp(a) z: the singular values are exp(a)."""
    layer = eqx.tree_at(lambda b: b.a, Fragile(len(logarithms), 1e3), jnp.asarray(logarithms))
    return Flow(StandardNormal(len(logarithms)), layer)


def kappa_of(flow: Flow) -> float:
    """κ of a linear flow from its images of the unit vectors."""
    columns = np.asarray(flow.forward(np.eye(2, dtype=np.float32)), np.float64)
    return float(np.linalg.cond(columns - np.asarray(flow.forward(np.zeros(2, np.float32)), np.float64)))


def on_a_line(monitor: ConditioningMonitor | None, **changes: Any) -> FitResult:
    return fit(
        linear(), LINE, key=KEY, monitor=monitor, **settled(FAST, **{"validation": LINE[:100], **changes})
    )


@cache
def uninterrupted(monitor: ConditioningMonitor) -> FitResult:
    return on_a_line(monitor)


def watched(flow: Any, data: np.ndarray = TRAIN, **changes: Any) -> list[Look]:
    """The looks at a training that hardly moves the weights."""
    given = short(max_epochs=1, learning_rate=1e-12)
    return fit(
        flow, data, key=KEY, settings=given, monitor=ConditioningMonitor(every=10, **changes)
    ).conditioning


@pytest.fixture(scope="module")
def trained() -> FitResult:
    return fit(realnvp(), TRAIN, key=KEY, settings=short(), monitor=ConditioningMonitor(every=15))


def test_looks_at_every_so_many_steps_inside_epochs(trained: FitResult):
    assert [row.step for row in trained.conditioning] == [0, 15, 30, 45, 60]
    assert [row.epoch for row in trained.conditioning] == [0, 2, 3, 5, 6]  # ten steps an epoch
    assert {row.kind for row in trained.conditioning} == {"estimate"}
    assert trained.conditioning[-1].condition_max > 1.5  # training has moved it


def test_the_same_bits_without_it(trained: FitResult):
    assert same_bits(trained, fit(realnvp(), TRAIN, key=KEY, settings=short()))


def test_chunks_do_not_change_what_is_seen():
    seen = []
    for lengths in ([1], [3, 11]):
        with chunks_of(lengths):
            seen.append(on_a_line(ConditioningMonitor(every=7, max_condition=BUDGET, action="rescale")))
    assert seen[0].conditioning == seen[1].conditioning
    assert same_bits(seen[0], seen[1])


def test_figures_are_those_of_the_weights(trained: FitResult):
    """Against float64 spectra and round trips of the same weights; without validation these are the last ones."""
    rows = np.linspace(0, len(TRAIN) - 1, 16).round().astype(int)
    x = TRAIN[rows]
    whole = from_bijection(trained.flow.bijection)
    exact = spectrum(whole, x.astype(np.float64))
    row = trained.conditioning[-1]
    kappa = exact.condition_numbers
    slack = 200 * EPS32 * float(kappa.max())
    assert row.sigma_max == pytest.approx(exact.values[:, 0].max(), rel=slack)
    assert row.sigma_max_median == pytest.approx(np.median(exact.values[:, 0]), rel=slack)
    assert row.sigma_min == pytest.approx(exact.values[:, -1].min(), rel=slack)
    assert row.sigma_min_median == pytest.approx(np.median(exact.values[:, -1]), rel=slack)
    assert row.condition_max == pytest.approx(kappa.max(), rel=slack)
    assert row.condition_median == pytest.approx(np.median(kappa), rel=slack)
    errors = round_trip(whole, x, precision="float32")
    limit = 20 * EPS32 * float(kappa.max()) * float(np.abs(x).max())
    assert 0 < row.round_trip <= limit
    assert errors.max() <= limit


def test_growth_is_that_of_points_twice_as_far_out(trained: FitResult):
    x = TRAIN[np.linspace(0, len(TRAIN) - 1, 16).round().astype(int)].astype(np.float64)
    centre = x.mean(axis=0)
    z, far = (np.asarray(trained.flow.inverse(p), np.float64) for p in (x, 2 * x - centre))
    sizes = [np.abs(p).max(axis=1) for p in (z, far)]
    row = trained.conditioning[-1]
    assert row.growth == pytest.approx(sizes[1].max() / np.median(sizes[0]), rel=1e-4)
    assert row.growth > 1.5


class RunsAway(AbstractBijection):
    """z = sinh(40 x): every point twice as far out as another goes to the square of where that one goes."""

    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    unused: Float[jax.Array, ""]

    def __init__(self, dim: int):
        self.shape, self.context_shape, self.unused = (dim,), None, jnp.zeros(())

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        x = jnp.arcsinh(z) / 40.0
        return x, -jnp.sum(jnp.log(40.0 * jnp.cosh(40.0 * x)))

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return jnp.sinh(40.0 * x), jnp.sum(jnp.log(40.0 * jnp.cosh(40.0 * x)))


def test_a_flow_that_runs_away_shows_in_the_growth():
    flow = Flow(StandardNormal(2), RunsAway(2))
    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (640, 2)).astype(np.float32)
    found = [watched(f, rows)[0].growth for f in (diagonal(0.0, 0.0), flow)]
    assert found[0] < 10
    assert found[1] > 2**24


def test_a_crossed_budget_stops_and_keeps_what_was_within_it():
    result = on_a_line(ConditioningMonitor(every=5, max_condition=BUDGET))
    free = on_a_line(None)
    assert kappa_of(free.flow) > 2 * BUDGET
    assert result.status == "ill-conditioned"
    assert len(result.history) < len(free.history)
    assert kappa_of(result.flow) <= BUDGET
    *before, last = result.conditioning
    assert last.action == "stop"
    assert last.condition_max > BUDGET
    assert all(row.action is None and row.condition_max <= BUDGET for row in before)
    assert f"budget was crossed at step {last.step}" in result.message
    assert "are kept" in result.message
    assert result.to_record().conditioning == result.conditioning


def test_re_scaling_goes_back_and_halves_the_rate_and_stops_in_the_end():
    monitor = ConditioningMonitor(every=5, max_condition=BUDGET, action="rescale", max_rescales=2)
    result = on_a_line(monitor, max_epochs=40)
    assert result.status == "ill-conditioned"
    assert [row.action for row in result.conditioning if row.action] == ["rescale", "rescale", "stop"]
    assert kappa_of(result.flow) <= BUDGET
    assert "after going back 2 times" in result.message
    assert not result.rollbacks
    crossed = [i for i, row in enumerate(result.conditioning) if row.action == "rescale"]
    for number, i in enumerate(crossed):
        again = result.conditioning[i + 1]
        assert again.attempt == number + 1
        assert again.epoch == result.conditioning[i].epoch


def test_re_scaling_goes_on_with_the_smaller_rate():
    """Many goings-back bring the rate to where the budget holds to the end, and the weights are within it."""
    monitor = ConditioningMonitor(every=5, max_condition=BUDGET, action="rescale", max_rescales=40)
    result = on_a_line(monitor)
    assert result.status == "finished"
    assert kappa_of(result.flow) <= BUDGET * (1 + 100 * EPS32 * BUDGET)
    attempts = {row.epoch: row.attempt for row in result.conditioning}
    assert attempts[len(result.history)] > 1
    for row in result.history:
        assert row.learning_rate <= 0.3 * 0.5 ** attempts[row.epoch]
    assert [row.action for row in result.conditioning].count("rescale") == attempts[len(result.history)]


def test_best_weights_between_looks_are_looked_at_in_the_end():
    result = on_a_line(ConditioningMonitor(every=1000, max_condition=BUDGET))
    assert result.status == "ill-conditioned"
    assert [row.action for row in result.conditioning] == [None, "stop"]
    assert (result.best_epoch, result.best_validation) == (None, None)
    assert all((a == b).all() for a, b in zip(weights_of(linear()), weights_of(result.flow), strict=True))
    assert "the weights of step 0, the last ones within it, are kept" in result.message


def test_the_round_trip_has_a_budget_of_its_own():
    result = on_a_line(ConditioningMonitor(every=5, max_round_trip=1e-12))
    assert result.status == "ill-conditioned"
    assert result.conditioning[-1].round_trip > 1e-12


@pytest.mark.parametrize(("action", "epochs"), [("stop", 1), ("rescale", 2), ("rescale", 4)])
def test_resumed_bit_for_bit(tmp_path: Path, action: Any, epochs: int):
    monitor = ConditioningMonitor(every=7, max_condition=BUDGET, action=action)
    whole = uninterrupted(monitor)
    stop = threading.Event()

    def listen(event: dict) -> None:
        if event["epoch"] == epochs:
            stop.set()

    kept: dict[str, Any] = {"folder": tmp_path, "checkpoint_seconds": 1e-6}
    on_a_line(monitor, stop=stop, progress=listen, **kept)
    for _ in range(2):  # the second time nothing is left to do
        rest = on_a_line(monitor, resume=True, **kept)
        assert same_bits(whole, rest)
        assert rest.conditioning == whole.conditioning
        assert (rest.status, rest.message) == (whole.status, whole.message)


def test_interrupted_inside_an_epoch(tmp_path: Path):
    """The looks of the epoch at work are made again, not kept twice."""
    monitor = ConditioningMonitor(every=2, max_condition=BUDGET, action="rescale")
    kept: dict[str, Any] = {"folder": tmp_path, "checkpoint_seconds": 1e-6}

    class AfterSomeChunks:
        left = 17

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    with chunks_of([1]):
        part = on_a_line(monitor, stop=AfterSomeChunks(), **kept)
    assert part.status == "interrupted"
    assert part.conditioning[-1].epoch == len(part.history) + 1
    rest, whole = on_a_line(monitor, resume=True, **kept), uninterrupted(monitor)
    assert same_bits(whole, rest)
    assert rest.conditioning == whole.conditioning


def test_another_monitor_is_another_run(tmp_path: Path):
    on_a_line(ConditioningMonitor(every=5), folder=tmp_path)
    with pytest.raises(ValueError, match="another run: `monitor`"):
        on_a_line(None, folder=tmp_path, resume=True)


def test_many_flows_are_watched_as_one():
    monitor = ConditioningMonitor(every=5, max_condition=BUDGET)
    keys = [KEY, jax.random.key(4)]
    results = fit_many([linear()] * 2, LINE, keys=keys, validation=LINE[:100], monitor=monitor, settings=FAST)
    one = on_a_line(monitor)
    assert same_bits(results[0], one)
    assert results[0].conditioning == one.conditioning
    assert results[1].conditioning != one.conditioning


def test_nan_stays_nan_and_is_beyond_a_budget():
    broken = Flow(StandardNormal(2), Fragile(2, -1.0))
    result = fit(broken, TRAIN, key=KEY, settings=short(), monitor=ConditioningMonitor(max_condition=1e30))
    (row,) = result.conditioning
    assert result.status == "ill-conditioned"
    assert all(np.isnan(getattr(row, name)) for name in FIGURES)
    assert (row.unresolved, row.kind, row.action) == (16, "unresolved", "stop")
    assert "no weights were within it, and the first ones are kept" in result.message


def test_beyond_the_dtype_is_unresolved_and_its_figure_stays():
    row = watched(diagonal(0.0, -20.0))[0]
    assert (row.unresolved, row.kind, row.action) == (16, "unresolved", None)
    assert row.condition_max == pytest.approx(np.exp(20.0), rel=100 * EPS32)


def test_units_are_deviations_of_the_data():
    """κ of latent -> standardised data: columns in other units change nothing."""
    x = TRAIN / TRAIN.std(axis=0)
    flows = [diagonal(0.0, 1.0), diagonal(np.log(1000.0), 1.0)]
    seen = [watched(flow, data)[0] for flow, data in zip(flows, (x, x * [1000.0, 1.0]), strict=True)]
    assert seen[0].condition_max == pytest.approx(np.e, rel=100 * EPS32)
    assert seen[1].condition_max == pytest.approx(np.e, rel=1e-4)  # of the deviations, as computed in float32


def test_many_coordinates_give_bounds():
    logarithms = np.linspace(0.0, np.log(30.0), 70)
    x = np.random.default_rng(0).normal(size=(640, 70)).astype(np.float32)
    row = watched(diagonal(*logarithms), x)[0]
    assert row.kind == "lower_bound"
    slack = 1 + 100 * EPS32
    assert 0.9 * 30.0 <= row.sigma_max <= 30.0 * slack
    assert 1.0 / slack <= row.sigma_min <= 1.2
    assert 0.8 * 30.0 <= row.condition_max <= 30.0 * slack


@pytest.mark.parametrize(
    ("every", "size", "interval"),
    [(None, 1, 100), (None, 64, 100), (None, 65, 800), (None, 3072, 800), (7, 64, 7), (7, 3072, 7)],
)
def test_looks_are_rarer_beyond_64_coordinates_unless_said_otherwise(
    every: int | None, size: int, interval: int
):
    assert ConditioningMonitor(every).interval(size) == interval
    assert ConditioningMonitor(every).points == 16


@pytest.mark.parametrize(("size", "steps"), [(2, [*range(0, 801, 100)]), (70, [0, 800])])
def test_a_training_looks_at_its_intervals(size: int, steps: list[int]):
    x = np.random.default_rng(0).normal(size=(640, size)).astype(np.float32)
    given = short(max_epochs=81, learning_rate=1e-12, patience=None)
    result = fit(diagonal(*np.zeros(size)), x, key=KEY, settings=given, monitor=ConditioningMonitor())
    assert [row.step for row in result.conditioning] == steps


def test_a_padded_flow_is_watched_with_its_padding():
    joint = diagonal(0.0, 1.0, 3.0)
    row = watched(Padded(joint, GaussianPadding(1), key=jax.random.key(2)))[0]
    assert row.condition_max == pytest.approx(np.exp(3.0), rel=100 * EPS32)


def test_fewer_rows_than_points():
    row = watched(diagonal(0.0, -20.0), points=10_000)[0]
    assert row.unresolved == len(TRAIN)


ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "every": ({"every": 0}, "`every` must be a whole number of at least 1; got 0"),
    "points": ({"points": -1}, "`points` must be a whole number of at least 1; got -1"),
    "condition": ({"max_condition": np.nan}, "`max_condition` must be a finite number above 0; got nan"),
    "round trip": ({"max_round_trip": 0.0}, "`max_round_trip` must be a finite number above 0; got 0.0"),
    "no budget": ({"action": "rescale"}, "`action='rescale'` needs a budget; give `max_condition`"),
}


@pytest.mark.parametrize(("arguments", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_bad_arguments(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ConditioningMonitor(**arguments)


def test_a_density_without_a_bijection_can_not_be_watched():
    class Bare(eqx.Module):
        a: jax.Array

        def log_prob(self, x: Any, context: Any = None) -> Any:
            return -jnp.sum(self.a * x**2, axis=-1)

    with pytest.raises(ValueError, match=r"`monitor` needs a flow with a bijection; a Bare has none"):
        fit(Bare(jnp.ones(())), TRAIN, key=KEY, monitor=ConditioningMonitor())


def test_validation_rows_are_the_points_where_there_are_some():
    monitor = ConditioningMonitor(every=1000)
    near, far = (on_a_line(monitor, validation=v).conditioning[0] for v in (LINE[:100], 100 * LINE[:100]))
    assert near.condition_max == pytest.approx(far.condition_max, rel=100 * EPS32)
    assert far.round_trip > 10 * near.round_trip
