"""`RowSource`: the same steps in memory and from a file, every row once a pass, bit for bit after a kill."""

import jax
import numpy as np
import pytest

from shoal._errors import InputError
from shoal.training import RowSource, Settings, fit
from tests.training.cases import TRAIN, VALID, realnvp, same_bits

KEY = jax.random.key(7)
WIDE = np.random.default_rng(0).normal(size=(103, 4)).astype(np.float32)


@pytest.mark.parametrize("block_rows", [1, 10, 25, 103, 1000])
def test_a_pass_has_every_row_and_blocks_of_one_size(block_rows):
    numbered = np.arange(103, dtype=np.float32)[:, None]
    source = RowSource(numbered, 1, block_rows=block_rows, seed=3)
    for done in (0, 4):
        first = done * source.blocks
        blocks = [source.block(epoch, np.dtype("float32")) for epoch in range(first, first + source.blocks)]
        assert {len(block) for block in blocks} == {source.size}
        assert set(np.concatenate(blocks).ravel()) == set(range(103))
        assert source.size <= block_rows


def test_passes_take_the_blocks_in_other_orders():
    source = RowSource(np.arange(100.0)[:, None], 1, block_rows=10)
    orders = [[source.begin(10 * done + i) for i in range(10)] for done in range(5)]
    assert all(sorted(order) == list(range(0, 100, 10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    other = RowSource(np.arange(100.0)[:, None], 1, block_rows=10, seed=1)
    assert [other.begin(i) for i in range(10)] not in orders


def test_columns_context_and_weights_are_told_apart():
    table = np.hstack([WIDE[:, :3], np.abs(WIDE[:, 3:]) + 1])
    source = RowSource(table, 2, 1, weighted=True, mean_weight=float(table[:, 3].mean()))
    rows = source.rows(source.block(0, np.dtype("float32")))
    assert rows.context is not None
    assert rows.weights is not None
    assert np.array_equal(rows.x, table[:, :2])
    assert np.array_equal(rows.context, table[:, 2:3])
    assert np.allclose(rows.weights, table[:, 3] / table[:, 3].mean(), rtol=1e-6)


def test_one_block_is_the_table_itself():
    settings = Settings(batch_size=64, max_epochs=3)
    whole = fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=settings)
    block = fit(realnvp(), RowSource(TRAIN, TRAIN.shape[1]), validation=VALID, key=KEY, settings=settings)
    assert same_bits(whole, block)


def test_a_file_and_an_array_give_the_same_bits_and_the_epochs_are_blocks(tmp_path):
    settings = Settings(batch_size=32, max_epochs=5)
    np.save(tmp_path / "rows.npy", TRAIN)
    stored = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = [
        fit(
            realnvp(),
            RowSource(table, TRAIN.shape[1], block_rows=len(TRAIN) // 4),
            validation=VALID,
            key=KEY,
            settings=settings,
        )
        for table in (TRAIN, stored)
    ]
    assert same_bits(*found)
    whole = fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=settings)
    assert found[0].steps == whole.steps / 4


def test_a_run_that_was_ended_goes_on_at_the_same_block(tmp_path):
    source = RowSource(TRAIN, TRAIN.shape[1], block_rows=len(TRAIN) // 4, seed=2)
    settings = Settings(batch_size=32, max_epochs=7, checkpoint_seconds=1e-9)
    given = {"validation": VALID, "key": KEY, "settings": settings}
    whole = fit(realnvp(), source, **given)
    seen = []

    def stop(epoch):
        seen.append(epoch)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(realnvp(), source, **given, folder=tmp_path, callback=stop)
    again = fit(realnvp(), source, **given, folder=tmp_path, resume=True)
    assert same_bits(whole, again)


def test_a_run_is_not_gone_on_with_on_other_rows(tmp_path):
    settings = Settings(batch_size=32, max_epochs=1)
    sources = [RowSource(TRAIN, TRAIN.shape[1], seed=seed) for seed in (0, 1)]
    fit(realnvp(), sources[0], validation=VALID, key=KEY, settings=settings, folder=tmp_path)
    with pytest.raises(InputError, match="data"):
        fit(realnvp(), sources[1], validation=VALID, key=KEY, settings=settings, folder=tmp_path, resume=True)


def test_what_can_not_be_trained_on_is_refused():
    with pytest.raises(InputError, match="3 columns, 0 of context, 0 of weights"):
        RowSource(WIDE, 3)
    with pytest.raises(InputError, match="at least one row"):
        RowSource(WIDE[:0], 4)
    with pytest.raises(InputError, match="leave these out"):
        fit(realnvp(), RowSource(TRAIN, TRAIN.shape[1]), weights=np.ones(len(TRAIN)), key=KEY)
    bad = TRAIN.copy()
    bad[17, 1] = np.nan
    with pytest.raises(InputError, match="nan in float32 at row 17, column 1"):
        fit(realnvp(), RowSource(bad, TRAIN.shape[1]), key=KEY)
