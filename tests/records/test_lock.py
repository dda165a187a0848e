"""A lock on a file: one holder at a time, let go at the end, the file's bytes untouched."""

from pathlib import Path

import pytest

from shoal._errors import InputError
from shoal.records import _lock, held


def test_one_at_a_time_and_let_go_again(tmp_path: Path):
    path = tmp_path / "records"
    path.write_bytes(b"kept")
    with held(path, "busy"):
        with pytest.raises(InputError, match="busy"), held(path, "busy"):
            pass
        assert path.read_bytes() == b"kept"
    with held(path, "busy"):
        pass


def test_where_locks_are_unknown_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lock, "fcntl", None)
    with held(tmp_path / "lock", "busy"), held(tmp_path / "lock", "busy"):
        assert list(tmp_path.iterdir()) == []
