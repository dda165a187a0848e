"""Epoch 0: the weights that a fit is given are its first candidate; and what single validation rows can do to the choice."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false, reportOptionalMemberAccess=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.distributions import Flow
from shoal.flows import realnvp
from shoal.training import FitResult, Settings, fit
from tests.training.cases import (
    SHORT,
    TRAIN,
    VALID,
    banana,
    chunks_of,
    compilations,
    same_bits,
    scales,
    short,
    weights_of,
)
from tests.training.cases import (
    realnvp as small,
)

KEY = jax.random.key(9)


def with_scale(log_scale: Any) -> Flow:
    """The flow of two free scales with these logarithms."""
    value = jnp.broadcast_to(jnp.asarray(log_scale, jnp.float32), (2,))
    return eqx.tree_at(lambda flow: flow.bijection.bijections[-1].a, scales(), value)


def same_weights(a: Flow, b: Flow) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(weights_of(a), weights_of(b), strict=True))


def optimal() -> tuple[Flow, np.ndarray]:
    """The most likely scales for the validation rows; and training rows for which others are."""
    return with_scale(np.log(np.sqrt((VALID.astype(np.float64) ** 2).mean(axis=0)))), 3.0 * TRAIN


def test_optimal_weights_are_returned_as_they_were():
    flow, rows = optimal()
    result = fit(flow, rows, validation=VALID, key=KEY, settings=short(patience=3, max_epochs=50))
    assert result.status == "stopped early"
    assert len(result.history) == 3
    assert result.best_epoch == 0
    assert same_weights(result.flow, flow)
    assert result.first is not None
    assert result.best_validation == result.first_validation == result.first.validation
    mean = float(np.mean(np.asarray(flow.log_prob(VALID), np.float64)))
    assert result.first.validation_mean == pytest.approx(mean, rel=1e-6)
    assert max(row.validation for row in result.history) < result.best_validation
    assert "the given weights are kept" in result.message
    assert result.to_record().first_validation == result.first_validation


@pytest.mark.parametrize("rate", [5.0, 1e3])
def test_a_diverging_learning_rate_returns_the_given_weights(rate: float):
    flow = small()
    settings = short(learning_rate=rate, warmup_fraction=0.0, max_rollbacks=2)
    result = fit(flow, TRAIN, validation=VALID, key=KEY, settings=settings)
    assert result.best_epoch == 0
    assert same_weights(result.flow, flow)
    worse = [row.validation for row in result.history]
    assert result.status == "diverged" or not max(worse) > result.first.validation


@pytest.fixture(scope="module")
def trained() -> FitResult:
    return fit(small(), TRAIN, validation=VALID, key=KEY, settings=SHORT)


def test_training_on_begins_where_training_ended(trained: FitResult):
    again = fit(trained.flow, TRAIN, validation=VALID, key=jax.random.key(1), settings=SHORT)
    assert again.first_validation == trained.best_validation  # to the last bit
    assert again.best_validation is not None
    assert trained.best_validation is not None
    assert again.best_validation >= trained.best_validation


def test_epoch_0_is_not_a_program_of_its_own(trained: FitResult):
    before = compilations()
    assert fit(small(3), TRAIN, validation=VALID, key=KEY, settings=short(max_epochs=1)).first is not None
    assert compilations() == before


def test_epoch_0_is_cut_into_chunks_as_others_are(trained: FitResult):
    rows = banana(5000, seed=2)  # five batches
    runs = []
    for lengths in ([1], [2, 50]):
        with chunks_of(lengths):
            runs.append(fit(small(), TRAIN, validation=rows, key=KEY, settings=short(max_epochs=2)))
    assert same_bits(*runs)
    assert runs[0].first.validation_mean == pytest.approx(float(np.mean(small().log_prob(rows))), rel=1e-5)


def test_without_validation_there_is_no_epoch_0():
    result = fit(small(), TRAIN, key=KEY, settings=SHORT)
    assert (result.first, result.best_epoch) == (None, 6)


def test_given_weights_that_are_not_finite_are_no_candidate():
    # exp(50) times the validation rows overflows when squared, exp(35) does not, and the latter fits the training rows.
    flow = with_scale(-50.0)
    settings = short(learning_rate=5.0, max_epochs=10, warmup_fraction=0.0)
    result = fit(flow, 1e-15 * TRAIN, validation=VALID, key=KEY, settings=settings)
    assert result.first_validation == -np.inf
    assert result.first is not None
    assert result.first.non_finite_rows > 1
    assert result.best_epoch
    assert result.best_validation is not None
    assert np.isfinite(result.best_validation)


def overfitted(validation: np.ndarray) -> FitResult:
    """A training on few rows, whose validation value rises and falls."""
    flow = realnvp(jax.random.key(0), 2, 2, hidden=(32,))
    settings = Settings(batch_size=24, max_epochs=500, learning_rate=2e-2, patience=12)
    return fit(flow, TRAIN[:24], validation=validation, key=KEY, settings=settings)


def test_a_row_far_out_does_not_choose_the_epoch():
    rows = banana(3000, seed=5)
    rows = rows[np.abs(rows).max(axis=1) < 6]  # without rows that are far themselves
    plain = overfitted(rows)
    far = overfitted(np.concatenate([rows, [[1e4, 1e4]]]).astype(np.float32))
    assert plain.best_epoch == far.best_epoch
    assert plain.best_epoch
    assert same_weights(plain.flow, far.flow)
    means = [row.validation_mean for row in far.history]
    assert int(np.argmax(means)) + 1 != far.best_epoch  # by the plain mean another one would have been kept
    assert {row.far_rows for row in far.history} >= {1}
    for row in plain.history[: plain.best_epoch]:
        assert row.validation == row.validation_mean
