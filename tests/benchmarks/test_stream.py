"""`benchmarks/scale/stream.py`: a run that is killed again and again has the losses of one that nobody killed."""

from pathlib import Path
from typing import Any

import pytest
from scale import stream
from scale.make_table import make_table


@pytest.mark.long
def test_kills_change_nothing_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "KILL_ROWS", 20_000)
    monkeypatch.setattr(stream, "EACH", 1)
    make_table(tmp_path / "table", 20_000)
    found: dict[str, Any] = stream.kills(tmp_path, tmp_path / "table", 3)
    assert found["memory_equals_disk"]
    assert found["again_equals_disk"]
    assert found["killed"] == 3
    assert found["killed_while_rows_were_shuffled"]
    assert found["killed_in_a_save"]
    assert not found["temporary_files_left"]
