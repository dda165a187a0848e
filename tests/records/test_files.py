"""Records on disk: what comes back, what a crash leaves, what is refused, and a lock with one holder at a time."""

import json
import math
import os
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._errors import InputError
from shoal.records import _files, held, read_record, to_plain, write_record
from shoal.records._json import TEXT_KEYS

KEYS = st.text(max_size=8).filter(lambda key: key not in TEXT_KEYS)  # under which "nan" stays a text
FIGURES = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats())
VALUES = st.recursive(
    FIGURES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(record=st.dictionaries(KEYS, VALUES, max_size=5))
def test_numbers_come_back_bit_for_bit(
    record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.json"
    write_record({"numbers": record}, path)
    assert same(read_record(path), {"numbers": record})


def test_non_finite_numbers_are_strings_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record({"loss": [math.nan, math.inf, -math.inf, 1.5], "missing": None}, path)
    stored = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"bare {name} in the file"))
    assert stored == {"loss": ["nan", "inf", "-inf", 1.5], "missing": None}
    loss = read_record(path)["loss"]
    assert math.isnan(loss[0])
    assert loss[1:] == [math.inf, -math.inf, 1.5]


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    record = {
        "data": {
            "columns": ["nan", "inf", "x"],
            "source": "nan",
            "lattice": [{"column": "-inf", "step": math.inf}],
        },
        "rungs": [{"family": "nan", "depth": 1}],
    }
    write_record(record, tmp_path / "record.json")
    assert read_record(tmp_path / "record.json") == record


def test_arrays_and_scalars_are_converted(tmp_path: Path) -> None:
    record = {
        "array": np.array([[1.0, np.nan], [np.inf, 2.0]], dtype=np.float32),
        "scalar": np.float32(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "pair": (1, 2),
        "path": Path("runs/demo"),
    }
    plain = to_plain(record)
    assert plain == {
        "array": [[1.0, "nan"], ["inf", 2.0]],
        "scalar": 0.5,
        "count": 3,
        "flag": True,
        "pair": [1, 2],
        "path": "runs/demo",
    }
    assert [type(plain[key]) for key in ("scalar", "count", "flag")] == [float, int, bool]


def test_jax_arrays_are_converted() -> None:
    assert to_plain({"a": jnp.array([1.0, jnp.inf]), "b": jnp.float32(2)}) == {"a": [1.0, "inf"], "b": 2.0}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        pytest.param({"a": {1: 2}}, r"record\.a has the key 1", id="number as a key"),
        pytest.param({"a": [object()]}, r"record\.a\[0\] is a object", id="any object"),
        pytest.param({"a": {1, 2}}, r"record\.a is a set", id="set"),
        pytest.param({"a": 1j}, r"record\.a is a complex", id="complex"),
    ],
)
def test_what_json_has_no_word_for_is_refused_and_nothing_is_written(
    record: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        write_record(record, tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_before_the_rename_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record.json"
    write_record({"run": 1}, path)

    def stop(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(InputError, match=r"record\.json can not be written: No space left on device"):
        write_record({"run": 2}, path)
    monkeypatch.undo()
    assert read_record(path) == {"run": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), fsync(file))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("rename"), replace(a, b))[1])
    write_record({"run": 1}, tmp_path / "record.json")
    assert steps == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "can not be read: No such file or directory", id="missing"),
        pytest.param(b"", "line 1 is not JSON", id="empty"),
        pytest.param(b'{"a": 1,\n "b": }', "line 2 is not JSON", id="broken"),
        pytest.param(b"\xff\xfe\x00", "byte 0 is not UTF-8", id="binary"),
        pytest.param(b"[1, 2]", "holds a list, not a dictionary", id="list"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="too deep"),
    ],
)
def test_a_bad_file_is_named_in_one_sentence(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_record(path)
    assert "record.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_a_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can not be read"):
        read_record(tmp_path)
    with pytest.raises(InputError, match="can not be written"):
        write_record({}, tmp_path)
    with pytest.raises(InputError, match="can not be written"):
        write_record({}, tmp_path / "absent" / "record.json")


def test_one_at_a_time_and_let_go_again(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"kept")
    with held(path, "busy"):
        with pytest.raises(InputError, match="busy"), held(path, "busy"):
            pass
        assert path.read_bytes() == b"kept"
    with held(path, "busy"):
        pass


def test_where_locks_are_unknown_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "fcntl", None)
    with held(tmp_path / "lock", "busy"), held(tmp_path / "lock", "busy"):
        assert list(tmp_path.iterdir()) == []
