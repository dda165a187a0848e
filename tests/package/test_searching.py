"""The searches share their time among as many as there are, and each of them can fail."""

import re
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests import searching


def test_the_time_is_shared_among_all_searches() -> None:
    files = (Path(__file__).parents[1]).rglob("test_*.py")
    count = sum(len(re.findall(r"^@searched\(", f.read_text(), re.MULTILINE)) for f in files)
    assert count == searching.SEARCHES


def test_a_violation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SECONDS", 0.0)

    def below(i: int) -> None:
        assert i < 900

    with pytest.raises(AssertionError):
        searching.searched(st.integers(0, 1000), at_a_time=200)(below)()
    searching.searched(st.integers(0, 899))(below)()
