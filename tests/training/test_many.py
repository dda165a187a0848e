"""`fit_many`: the bits of single runs, together."""

import os
import signal
import threading
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from shoal.training import Epoch, FitResult, fit, fit_many
from tests.training.cases import (
    SHORT,
    TRAIN,
    VALID,
    compilations,
    realnvp,
    same_bits,
    scales,
    short,
    weights_of,
)

KEYS = jax.random.split(jax.random.key(0), 5)
FLOWS = [realnvp(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def single() -> list[FitResult]:
    pairs = zip(FLOWS, KEYS, strict=True)
    return [fit(flow, TRAIN, validation=VALID, key=key, settings=SHORT) for flow, key in pairs]


@pytest.mark.parametrize("workers", [None, 1])
def test_same_bits_as_single_runs(single: list[FitResult], workers: int | None):
    together = fit_many(FLOWS, TRAIN, validation=VALID, keys=KEYS, workers=workers, settings=SHORT)
    assert len(together) == 5
    assert all(same_bits(a, b) for a, b in zip(single, together, strict=True))
    assert not same_bits(together[0], together[1])


def test_one_compilation_for_all():
    before = compilations()
    results = fit_many(FLOWS, TRAIN, validation=VALID, keys=list(KEYS), settings=short(batch_size=32))
    assert compilations() == before + 1
    assert results[0].compile_seconds > max(r.compile_seconds for r in results[1:])


def test_listeners_know_the_run():
    events: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []

    def look(run: int, epoch: Epoch) -> None:
        seen.append((run, epoch.epoch))

    fit_many(
        FLOWS,
        TRAIN,
        validation=VALID,
        keys=KEYS,
        progress=lambda event: events.append((event["run"], event["epoch"])),
        callback=look,
        settings=SHORT,
    )
    assert sorted(events) == [(run, epoch) for run in range(5) for epoch in range(1, 7)]
    assert sorted(seen) == [(run, epoch) for run in range(5) for epoch in range(1, 7)]


def test_stop_ends_all_and_resume_goes_on(single: list[FitResult], tmp_path: Path):
    stop = threading.Event()

    def listen(event: dict) -> None:
        if event["epoch"] == 2:
            stop.set()

    arguments = {"settings": SHORT, "validation": VALID, "keys": KEYS, "folder": tmp_path}
    part = fit_many(FLOWS, TRAIN, stop=stop, progress=listen, **arguments)
    assert {r.status for r in part} == {"interrupted"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"run-{i:02d}" for i in range(5)]
    for _ in range(2):  # the second time there is nothing left to do
        rest = fit_many(FLOWS, TRAIN, resume=True, **arguments)
        assert all(same_bits(a, b) for a, b in zip(single, rest, strict=True))


def test_ctrl_c_reaches_all_threads():
    before = signal.getsignal(signal.SIGINT)

    def listen(event: dict) -> None:
        if (event["run"], event["epoch"]) == (0, 2):
            os.kill(os.getpid(), signal.SIGINT)

    endless = short(max_epochs=10**6, patience=None)
    results = fit_many(
        FLOWS[:3], TRAIN, validation=VALID, keys=KEYS[:3], workers=2, progress=listen, settings=endless
    )
    assert {r.status for r in results} == {"interrupted"}
    assert results[0].best_epoch
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_one_thread_ends_all():
    def listen(event: dict) -> None:
        if event["run"] == 1:
            raise RuntimeError("the listener broke")

    settings = short(max_epochs=100_000)
    with pytest.raises(RuntimeError, match="the listener broke"):
        fit_many(FLOWS[:2], TRAIN, validation=VALID, keys=KEYS[:2], progress=listen, settings=settings)


@pytest.mark.usefixtures("x64")
def test_the_precision_of_the_caller_holds_in_the_threads():
    flows = [
        jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_array(a) else a, scales()) for _ in range(2)
    ]
    results = fit_many(flows, TRAIN, keys=KEYS[:2], settings=SHORT)
    assert {str(leaf.dtype) for r in results for leaf in weights_of(r.flow)} == {"float64"}
    assert same_bits(results[0], fit(flows[0], TRAIN, key=KEYS[0], settings=SHORT))


def test_the_time_limit_is_for_all_together():
    began = time.perf_counter()
    flows = [scales() for _ in range(6)]
    keys = jax.random.split(jax.random.key(1), 6)
    settings = short(max_epochs=10**7, time_limit=3.0)
    results = fit_many(flows, TRAIN, keys=keys, workers=2, settings=settings)
    assert time.perf_counter() - began < 6.0  # the bound is for a busy machine
    assert all(r.best_epoch for r in results)
    assert max(r.seconds for r in results[1:]) < 2.5  # three rounds of one second


@pytest.mark.parametrize(
    ("flows", "keys", "message"),
    [
        ([], KEYS[:0], "`flows` is empty"),
        (FLOWS[:2], KEYS[:3], "`keys` has 3 entries for 2 flows"),
        ([FLOWS[0], scales()], KEYS[:2], r"`flows\[1\]` differs in structure from `flows\[0\]`"),
    ],
    ids=["none", "keys", "structure"],
)
def test_bad_input(flows: list, keys: jax.Array, message: str):
    with pytest.raises(ValueError, match=message):
        fit_many(flows, TRAIN, keys=keys)


def test_bad_workers():
    with pytest.raises(ValueError, match="`workers` must be a whole number of at least 1; got 0"):
        fit_many(FLOWS, TRAIN, keys=KEYS, workers=0)
