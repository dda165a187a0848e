"""`shoal._executors.work`: jobs that an executor does, or this process where there is none."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from shoal._executors import work


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
