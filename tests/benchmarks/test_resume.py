"""`resume.Record`: what a later run finds of an earlier one, and what it forgets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resume import Record, alone


def opened(path: Path, config: dict[str, Any], version: str = "1", **options: Any) -> Record:
    head = {"what": "a test", "config": config, "versions": {"package": version}}
    return Record(path, head, {"rows": [], "summary": None}, **options)


def test_a_later_run_has_the_rows_of_the_earlier_one(tmp_path: Path):
    path = tmp_path / "new" / "a.json"
    first = opened(path, {"sizes": (2, 3)})
    assert not path.exists()
    first.add({"n": 2, "error": np.float64(0.5)}, {"n": 3, "error": float("inf")}, summary={"worst": 3})
    again = opened(path, {"sizes": [2, 3]}, version="2")
    assert again.rows == [{"n": 2, "error": 0.5}, {"n": 3, "error": float("inf")}]
    assert again["summary"] == {"worst": 3}
    assert again["versions"] == {"package": "2"}
    assert again.has(n=3)
    assert again.has(n=2, error=0.5)
    assert not again.has(n=3, error=0.5)


def test_what_was_found_otherwise_is_forgotten(tmp_path: Path):
    path = tmp_path / "a.json"
    opened(path, {"size": 2}).add({"n": 2})
    assert opened(path, {"size": 3}).rows == []
    assert opened(path, {"size": 2}, fresh=True).rows == []
    assert opened(path, {"size": 2}, version="2", same=("config", "versions")).rows == []
    assert opened(path, {"size": 2}, same=("config", "versions")).rows == [{"n": 2}]
    assert opened(path, {"size": 3}, same=()).rows == [{"n": 2}]


def test_one_run_at_a_time(tmp_path: Path):
    with alone(tmp_path / "a.json"):
        with alone(tmp_path / "b.json"):
            pass
        with pytest.raises(ValueError, match="Another run is at work on"), alone(tmp_path / "a.json"):
            pass
    with alone(tmp_path / "a.json"):
        pass
