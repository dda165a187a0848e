"""Tables in blocks: rows of training steps against those of the whole table, the same bits on disk and in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.records import FitRecord
from shoal.selection import _blocks, ladder
from shoal.selection._blocks import in_blocks, on_disk
from shoal.selection._prepare import prepare
from shoal.tables import StoredRows, as_table, hashed_parts, read_stream

ROWS = 3000
SETTINGS: dict[str, Any] = {
    "fronts": ("gaussian",),
    "depths": (1,),
    "hidden": (4,),
    "settings": {"max_epochs": 3, "batch_size": 128},
}
FRACTIONS = (0.8, 0.1, 0.1)


def frame(rows: int = ROWS) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    return pl.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1] + x[:, 0] ** 2,
            "half": np.round(2 * x[:, 2]) / 2,
            "time": rng.uniform(size=rows),
            "w": rng.integers(0, 4, rows),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table")
    for i in range(3):
        frame().slice(i * ROWS // 3, ROWS // 3).write_parquet(path / f"{i}.parquet")
    return path


def curves(record: FitRecord) -> list[Any]:
    return [(s.curve.train, s.curve.validation) for rung in record.rungs for s in rung.seeds]


def test_the_rows_of_steps_are_the_training_rows_of_the_table(folder: Path, tmp_path: Path):
    streamed = read_stream(folder, columns=["a", "b"], context=["time"], weights="w", block_rows=700)
    prepared = prepare(
        streamed.sample, seed=5, dequantize_columns=True, dtype="float32", parts=FRACTIONS, hashed=True
    )
    made = on_disk(streamed, prepared, tmp_path, seed=5, parts=FRACTIONS, dtype="float32")
    assert made.source is not None
    assert made.rows == int((frame()["w"] > 0).sum())
    whole = frame().filter(pl.col("w") > 0).select("a", "b", "time", "w").to_numpy().astype(float)
    train = whole[hashed_parts(whole[:, :3], 5, FRACTIONS) == 0]
    held = on_disk(
        replace(streamed, shuffle="memory"), prepared, tmp_path, seed=5, parts=FRACTIONS, dtype="float32"
    )
    assert held.source is not None
    assert np.array_equal(held.source.table[:], made.source.table[:])
    assert held.source.digest == made.source.digest
    found = made.source.table[:].astype(float)
    units = np.concatenate([made.scale, np.asarray(made.context_scale), [1.0]])
    start = np.concatenate([made.mean, np.asarray(made.context_mean), [0.0]])
    found = found * units + start
    order, wanted = np.argsort(found[:, 0]), np.argsort(train[:, 0])
    np.testing.assert_allclose(found[order], train[wanted], rtol=0, atol=1e-5)
    assert not np.array_equal(order, np.sort(order))
    assert made.source.mean_weight == pytest.approx(train[:, 3].mean(), rel=1e-12)
    assert abs(len(train) / len(whole) - 0.8) < 0.03


@pytest.mark.long
def test_disk_and_memory_give_the_same_bits_and_no_file_is_left(folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(_blocks, "SHORTEST", 500)
    monkeypatch.setattr(_blocks, "EPOCH", 1)
    found = []
    for place in ("disk", "memory"):
        streamed = read_stream(folder, drop=["w"], context=["time"], kinds={}, shuffle=place)
        result = ladder(streamed, **SETTINGS, folder=tmp_path / place)
        assert result.prepared.source is not None
        assert result.prepared.source.blocks > 3
        assert isinstance(result.prepared.source.table, StoredRows) == (place == "disk")
        assert not [*(tmp_path / place).glob(".*")]
        found.append(result.record)
    assert curves(found[0]) == curves(found[1])
    assert len(curves(found[0])) == 1
    assert found[0].data.stream is not None
    assert found[0].data.rows == ROWS
    assert sum(found[0].data.parts.values()) == ROWS
    assert found[0].rows_per_second is not None
    assert found[0].rows_per_second > 0


def test_an_earlier_file_is_used_again_for_the_same_table_only(folder: Path, tmp_path: Path, monkeypatch):
    streamed = read_stream(folder, columns=["a", "b"])
    given: dict[str, Any] = {"seed": 0, "parts": FRACTIONS, "dtype": "float32"}
    prepared = prepare(
        streamed.sample, seed=0, dequantize_columns=True, dtype="float32", parts=FRACTIONS, hashed=True
    )
    first = on_disk(streamed, prepared, tmp_path, **given).source
    assert first is not None
    kept = first.table[:].copy()

    def never(*given: object, **more: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(_blocks, "shuffled", never)
        again = on_disk(streamed, prepared, tmp_path, **given).source
    assert again is not None
    assert again.digest == first.digest
    other = on_disk(streamed, prepared, tmp_path, **{**given, "seed": 1}).source
    assert other is not None
    assert not np.array_equal(other.table[: len(kept)], kept)


def test_a_table_that_changed_between_the_passes_is_refused(tmp_path: Path):
    for i in range(2):
        frame(1000).slice(500 * i, 500).write_parquet(tmp_path / f"{i}.parquet")
    streamed = read_stream(tmp_path, columns=["a", "b"])
    frame(1000).slice(500, 499).write_parquet(tmp_path / "1.parquet")
    with pytest.raises(InputError, match="changed while it was read"):
        ladder(streamed, **SETTINGS)


def test_a_large_table_in_memory_is_trained_on_in_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "LARGE", 1000)
    monkeypatch.setattr(_blocks, "SHORTEST", 300)
    monkeypatch.setattr(_blocks, "EPOCH", 1)
    table = as_table(frame().drop("w"), context=["time"])
    prepared = prepare(table, seed=0, dequantize_columns=False, dtype="float32")
    made = in_blocks(prepared, seed=0, dtype="float32")
    assert made.source is not None
    assert made.source.blocks == -(-2400 // max(300, 300))
    monkeypatch.setattr(_blocks, "HELD", 100)
    fewer = in_blocks(prepared, seed=0, dtype="float32")
    kept, held = fewer.parts["validation"], prepared.parts["validation"]
    assert set(kept.rows) < set(held.rows)
    assert len(kept.rows) == 100
    assert np.array_equal(kept.x, held.x[np.isin(held.rows, kept.rows)])
    assert "validation looks at 100 of the 300 rows of its part" in fewer.table.notes
    part = prepared.parts["train"]
    assert part.context is not None
    wanted = np.hstack([part.x, part.context]).astype(np.float32)
    assert np.array_equal(np.sort(made.source.table[:], axis=0), np.sort(wanted, axis=0))


@pytest.mark.long
def test_an_epoch_of_a_large_table_in_memory_is_a_block(monkeypatch):
    monkeypatch.setattr(_blocks, "LARGE", 1000)
    monkeypatch.setattr(_blocks, "SHORTEST", 300)
    monkeypatch.setattr(_blocks, "EPOCH", 1)
    result = ladder(frame().drop("w"), context=["time"], **SETTINGS, dequantize="off")
    assert result.prepared.source is not None
    seed = result.record.rungs[1].seeds[0]
    assert seed.steps == 3 * (result.prepared.source.size // 128)
    assert result.record.data.stream is None
