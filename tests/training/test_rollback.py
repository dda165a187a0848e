"""Non-finite steps: refused, rolled back, named; and the end after too many of them."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.distributions import Flow, StandardNormal
from shoal.training import fit, negative_log_likelihood
from shoal.training._culprit import culprit
from shoal.training._data import Rows
from tests.training.cases import (
    TRAIN,
    VALID,
    Fragile,
    SquareRoot,
    banana,
    chained,
    chunks_of,
    fragile,
    same_bits,
    short,
    weights_of,
)

KEY = jax.random.key(5)
# Three layers share a scale of exp(0.45); the broken region of layer 1 begins at exp(0.3), an overshoot away.
WIDE = (np.exp(0.45) * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)
WILD = short(max_epochs=12, learning_rate=0.2, warmup_fraction=0.0, patience=None)


def test_rolls_back_names_the_layer_and_goes_on():
    result = fit(fragile(0.3), WIDE, validation=VALID, key=KEY, settings=WILD)
    assert result.status == "finished"
    assert 1 <= len(result.rollbacks) < 10
    assert all(r.layer == "layer 1: Fragile" for r in result.rollbacks)
    assert all(np.isfinite(row.train) and np.isfinite(row.validation) for row in result.history)
    assert all(np.isfinite(leaf).all() for leaf in weights_of(result.flow))
    assert np.isfinite(np.asarray(result.flow.log_prob(VALID))).all()
    first = result.rollbacks[0]
    assert first.learning_rate == pytest.approx(0.2, rel=0.2)
    highest = max(row.learning_rate for row in result.history if row.epoch >= first.epoch)
    assert highest <= 0.2 * 0.5 ** len([r for r in result.rollbacks if r.epoch == first.epoch])


def test_chunks_do_not_change_rollbacks():
    runs = []
    for lengths in ([1], [50]):
        with chunks_of(lengths):
            runs.append(fit(fragile(0.3), WIDE, validation=VALID, key=KEY, settings=WILD))
    assert runs[0].rollbacks
    assert same_bits(*runs)


def test_the_epoch_begins_again_with_the_weights_it_had():
    # A step in epoch 1 that always fails: after all rollbacks the weights are the first ones, bit for bit.
    flow = chained(SquareRoot(2))
    result = fit(flow, TRAIN, validation=VALID, key=KEY, settings=replace(WILD, max_rollbacks=3))
    assert result.status == "diverged"
    assert len(result.rollbacks) == 3
    assert [r.learning_rate for r in result.rollbacks] == pytest.approx([0.2, 0.1, 0.05], rel=0.01)
    assert {r.layer for r in result.rollbacks} == {"gradient of layer 0: SquareRoot"}
    assert all((a == b).all() for a, b in zip(weights_of(flow), weights_of(result.flow), strict=True))
    assert "3 steps were not finite" in result.message
    assert "gradient of layer 0: SquareRoot" in result.message


def test_diverged_keeps_the_best_epoch():
    # Epoch 1 is whole; then one row that no batch of it held is far outside float32's squares.
    rows = banana(65)
    rows[64] = 1e30
    result = fit(fragile(1e3), rows, validation=VALID, key=jax.random.key(0), settings=WILD)
    assert result.status == "diverged"
    assert len(result.rollbacks) == 10
    assert {r.layer for r in result.rollbacks} == {"the base distribution"}
    assert len(result.history) >= 1
    found = float(np.mean(result.flow.log_prob(VALID)))
    assert result.best_epoch is not None
    assert found == pytest.approx(result.history[result.best_epoch - 1].validation_mean, rel=1e-5)


def rows_of(x: np.ndarray) -> Rows:
    return Rows(jnp.asarray(x), None, None)


def test_culprit_is_none_for_a_finite_step():
    assert culprit(fragile(), rows_of(TRAIN), negative_log_likelihood) is None


def test_culprit_of_a_density_without_layers():
    class NoLayers:
        pass

    assert culprit(NoLayers(), rows_of(TRAIN), negative_log_likelihood) is None


def test_culprit_walks_from_the_data_to_the_latent():
    # Layers 0 and 2 are both broken; going from data to latent, layer 2 is met first.
    broken = Fragile(2, -1.0)
    flow = Flow(StandardNormal(2), chained(broken, Fragile(2, 1.0), broken).bijection)
    assert culprit(flow, rows_of(TRAIN), negative_log_likelihood) == "layer 2: Fragile"


def test_culprit_walks_back_from_the_latent_for_gradients():
    # The gradients of layers 0 and 2 are both not finite; running back from the latent side, layer 0 is met first.
    bijection = chained(SquareRoot(2), Fragile(2, 1.0), SquareRoot(2)).bijection
    found = culprit(Flow(StandardNormal(2), bijection), rows_of(TRAIN), negative_log_likelihood)
    assert found == "gradient of layer 0: SquareRoot"


def test_culprit_of_an_overflowing_norm():
    found = culprit(fragile(), rows_of(np.full((4, 2), 1.5e10, np.float32)), negative_log_likelihood)
    assert found == "gradient norm, largest in layer 0: Fragile"
