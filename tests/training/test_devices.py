"""Rows shared by devices, and by processes: the losses of one device to rounding, its decisions, and what is refused."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from shoal import _processes
from shoal._errors import InputError
from shoal.training import Settings, fit
from shoal.training._devices import WORTH, devices_for
from tests.training import on_devices
from tests.training.cases import TRAIN, scales, short

ROOT = Path(__file__).parents[2]
CLOSE = 1e-5  # relative


def started(case: str, local: int, *several: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(ROOT / "tests/training/on_devices.py"),
        case,
        str(local),
        *map(str, several),
    ]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": paths}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT)


def printed(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def on_eight(case: str) -> Any:
    return printed(started(case, 8))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def assert_same(one: dict[str, Any], eight: dict[str, Any]) -> None:
    for name in ("losses", "validation", "weights", "scores"):
        assert len(one[name]) > 0
        np.testing.assert_allclose(eight[name], one[name], rtol=CLOSE, atol=0)
    for name in ("rollbacks", "status", "epochs"):
        assert one[name] == eight[name]
    assert one["one device"]
    assert eight["one device"]


def compared(family: str) -> None:
    eight, share = on_eight(family)
    one, whole = on_devices.conditional(family, 1)
    assert (whole, share) == (64, 8)  # rows of a step that one device has
    assert_same(one, eight)


def test_eight_devices_give_the_losses_of_one():
    compared("realnvp")


@pytest.mark.long
def test_and_so_with_splines():
    compared("nsf")


@pytest.mark.long
def test_and_so_where_a_step_is_not_finite():
    (one,), (eight,) = on_devices.rolled_back(1), on_eight("rollback")
    assert one["rollbacks"]
    assert_same(one, eight)


@pytest.mark.long
def test_and_so_under_a_monitor_that_goes_back():
    (one, looks), (eight, theirs) = on_devices.watched(1), on_eight("monitor")
    assert any(action == "rescale" for _, action in looks)
    assert looks == theirs
    assert_same(one, eight)


@pytest.mark.long
def test_and_so_for_a_known_density():
    (one,), (eight,) = on_devices.known_density(1), on_eight("known density")
    assert_same(one, eight)


@pytest.mark.long
def test_and_so_for_several_flows():
    for one, eight in zip(on_devices.many(1), on_eight("many"), strict=True):
        assert_same(one, eight)


@pytest.mark.long
def test_a_ladder_decides_the_same():
    # In float64, as rounding grows with the steps, a hundredfold and more in each epoch of a ladder.
    one, eight = printed(started("ladder in float64", 1)), on_eight("ladder in float64")
    np.testing.assert_allclose(eight[0], one[0], rtol=1e-6)
    assert one[1] is not None
    assert one[1:] == eight[1:]


@pytest.mark.long
def test_two_processes_give_the_bits_of_one_with_two_devices():
    port = free_port()
    both = [started("nsf", 1, 2, place, port) for place in range(2)]
    first, second = map(printed, both)
    assert first == second == printed(started("nsf", 2))


@pytest.mark.long
def test_processes_agree_on_the_clock_and_one_writes(tmp_path: Path):
    port = free_port()
    both = [started("limited", 1, 2, place, port, tmp_path) for place in range(2)]
    first, second = map(printed, both)
    assert first == second
    assert first[0]["status"] == "finished"
    assert 1 < first[0]["epochs"] < 100_000
    assert first[0] == first[1]  # resumed from the last checkpoint
    assert 1 <= len(list(tmp_path.glob("checkpoint-*"))) <= 2
    assert not list(tmp_path.glob(".unfinished-*"))


@pytest.mark.long
def test_processes_with_other_tables_are_told():
    port = free_port()
    both = [started("other tables", 1, 2, place, port) for place in range(2)]
    for process in both:
        assert printed(process) == [
            "Process 1 has another flow, table, key, settings or checkpoint than process 0; give all of them the same."
        ]


class TestChoice:
    """`devices_for` on machines that are not there."""

    @pytest.fixture
    def eight(self, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
        monkeypatch.setattr(jax, "devices", lambda: list(range(8)))
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        return monkeypatch

    def test_large_steps_are_shared(self, eight: pytest.MonkeyPatch):
        assert devices_for(8 * 1024, WORTH // 1024, None) == 8
        # of 7 that are worth it, the most that divide the batch
        assert devices_for(8 * 1024, WORTH // 1024 - 1, None) == 4
        assert devices_for(2**20, 2**20, None) == 8

    def test_small_ones_are_not(self, eight: pytest.MonkeyPatch):
        assert devices_for(256, 50_000, None) == 1
        assert devices_for(1, 2**40, None) == 1

    def test_a_cpu_is_one_device_unless_asked(self, eight: pytest.MonkeyPatch):
        eight.setattr(jax, "default_backend", lambda: "cpu")
        assert devices_for(2**20, 2**20, None) == 1
        assert devices_for(64, 10, 8) == 8

    def test_uneven_shares_are_refused(self, eight: pytest.MonkeyPatch):
        with pytest.raises(InputError, match="has 100 rows, which 8 devices can not share evenly"):
            devices_for(100, 10, 8)

    def test_all_processes_train(self, eight: pytest.MonkeyPatch):
        eight.setattr(jax, "process_count", lambda: 2)
        assert devices_for(100, 10, None) == devices_for(100, 10, 8) == 8
        with pytest.raises(InputError, match="all 8 devices train; leave `devices=4` out"):
            devices_for(64, 10, 4)


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(InputError, match=r"`devices=9`, but JAX has 1; ask for at most 1"):
        fit(scales(), TRAIN, key=jax.random.key(0), settings=short(devices=9))


@pytest.mark.parametrize("value", [0, -1, True])
def test_devices_are_a_whole_number(value: Any):
    with pytest.raises(InputError, match="`devices`"):
        Settings(devices=value)


def test_a_run_may_go_on_with_other_devices():
    assert Settings(devices=1).fingerprint() == Settings().fingerprint()


def test_one_process_agrees_with_itself():
    assert _processes.leads()
    assert _processes.agreed(1, 0.1) == (1, 0.1)
    assert _processes.gathered(0.1) == [0.1]
    assert _processes.from_first(lambda: "made") == "made"
    _processes.check_equal("table", "00ff" * 16)
