"""`resume.Record`: what a later run finds of an earlier one, and what it forgets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
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


def halved(number: int) -> float:
    if number < 0:
        raise ArithmeticError("below zero")
    return number / 2


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_job_gives_its_result_once(workers: int):
    jobs = [(n,) for n in range(20)]
    with ThreadPoolExecutor(workers or 1) as pool:
        found = list(work(halved, iter(jobs), pool if workers else None))
    assert sorted(found) == [(n, n / 2) for n in range(20)]


def test_jobs_are_taken_a_few_ahead_and_given_up_when_one_fails():
    taken: list[int] = []

    def jobs() -> Iterator[tuple[int]]:
        for n in (*range(4), -1, *range(100)):
            taken.append(n)
            yield (n,)

    with ThreadPoolExecutor(2) as pool, pytest.raises(ArithmeticError, match="below zero"):
        list(work(halved, jobs(), pool))
    assert len(taken) < 20


def test_a_result_is_there_before_a_longer_job_before_it_ends():
    released, seen = Event(), list[int]()

    def waits(number: int) -> int:
        return number if number else released.wait(30) and 0

    with ThreadPoolExecutor(2) as pool:
        for number, _ in work(waits, ((n,) for n in range(3)), pool):
            seen.append(number)
            released.set()
    assert seen[0] != 0
    assert sorted(seen) == [0, 1, 2]
