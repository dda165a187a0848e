"""Runs in a bucket of a local object store, moto's server: killed and resumed elsewhere, scored; a server that goes away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal.records import read_record

pytestmark = pytest.mark.long

START = "from shoal.cli import main; main()"
FIT = [
    "--fronts",
    "gaussian",
    "--families",
    "realnvp",
    "--depths",
    "1,2",
    "--max-epochs",
    "40",
    "--hidden",
    "8",
]


class Server:
    """An object store with a bucket `lab`; `environment`: of processes that use it."""

    def __init__(self, folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "TMPDIR": str(folder),
        }
        words = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/moto-api/", timeout=5):
                    break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
        import boto3  # here: the quick suite imports this file, too

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.store = boto3.client("s3", endpoint_url=self.address, region_name="us-east-1", **keys)
        self.store.create_bucket(Bucket="lab")

    def get(self, name: str) -> bytes:
        """An object of the bucket."""
        return self.store.get_object(Bucket="lab", Key=name)["Body"].read()

    def names(self, prefix: str) -> list[str]:
        """The names of the objects that begin with `prefix`."""
        found = self.store.list_objects_v2(Bucket="lab", Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    def start(self, *words: object) -> subprocess.Popen[str]:
        """`shoal` with these words."""
        line = [sys.executable, "-c", START, *map(str, words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(line, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: object) -> tuple[int, str, str]:
        """Its exit code, output and errors."""
        with self.start(*words) as process:
            out, errors = process.communicate(timeout=240)
        return process.returncode, out, errors


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    here = tmp_path / "here"
    here.mkdir()
    found = Server(here)
    values = np.random.default_rng(0).normal(size=(1000, 2)) @ [[1.0, 0.9], [0.0, 0.3]]
    pl.DataFrame(values, schema=["a", "b"]).write_parquet(tmp_path / "t.parquet")
    found.store.upload_file(str(tmp_path / "t.parquet"), "lab", "t.parquet")
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def test_a_run_that_is_killed_goes_on_elsewhere(server: Server, tmp_path: Path):
    plain = server.run("fit", tmp_path / "t.parquet", "--out", tmp_path / "plain", *FIT)
    assert plain[0] == 0, plain[2]
    words = ("fit", "s3://lab/t.parquet", "--out", "s3://lab/runs/first", *FIT)
    with server.start(*words) as process:
        until = time.monotonic() + 120
        while not any(
            name.endswith("state.json") for name in server.names("runs/first.unfinished/checkpoints")
        ):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert server.get("runs/first.unfinished/config.json")
    assert not server.names("runs/first/")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server.environment["TMPDIR"] = str(elsewhere)
    code, out, errors = server.run(*words, "--resume")
    assert code == 0, errors
    assert "The report lies at s3://lab/runs/first/report.html" in out
    assert not list(elsewhere.iterdir())
    assert not server.names("runs/first.unfinished")
    weights = (tmp_path / "plain" / "weights.safetensors").read_bytes()
    assert server.get("runs/first/weights.safetensors") == weights
    (tmp_path / "record.json").write_bytes(server.get("runs/first/record.json"))
    one, other = read_record(tmp_path / "record.json"), read_record(tmp_path / "plain" / "record.json")
    assert one["decision"] == other["decision"]
    far = server.run("score", "s3://lab/runs/first", "s3://lab/t.parquet", "-o", tmp_path / "far.csv")
    near = server.run("score", tmp_path / "plain", tmp_path / "t.parquet", "-o", tmp_path / "near.csv")
    assert (far[0], near[0]) == (0, 0), far[2]
    assert pl.read_csv(tmp_path / "far.csv").equals(pl.read_csv(tmp_path / "near.csv"))
    same = server.run("compare", "s3://lab/runs/first", tmp_path / "plain")
    assert same[0] == 0, same[2]
    assert "test rows of s3://lab/t.parquet" in same[1]
    assert same[1].splitlines()[-1] == "The two are the same on these rows."
    assert not list(elsewhere.iterdir())


@contextmanager
def cluster(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a Dask scheduler and its two workers, each in a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    worker = ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, words in (("scheduler", scheduler), ("one", worker), ("two", worker)):
            place = folder / name
            place.mkdir(parents=True)
            line = [sys.executable, "-m", "dask", *words]
            with open(place / "log", "wb") as log:
                env = {**environment, "TMPDIR": str(place)}
                started.append(subprocess.Popen(line, cwd=place, env=env, stdout=log, stderr=log))
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_workers_that_share_the_bucket_alone_give_the_same_run_though_one_is_killed(
    server: Server, tmp_path: Path
):
    long = (*FIT, "--depths", "1", "--seeds", "2", "--max-epochs", "8000", "--patience", "8000")
    plain = server.run("fit", tmp_path / "t.parquet", "--out", tmp_path / "plain", *long)
    assert plain[0] == 0, plain[2]
    words = ("fit", "s3://lab/t.parquet", "--out", "s3://lab/run", *long)
    with cluster(tmp_path / "far", server.environment) as (address, workers):
        with server.start(*words, "--cluster", address) as process:
            until = time.monotonic() + 240
            saved: set[str] = set()
            while len(saved) < 2:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                names = server.names("run.unfinished/.work/")
                saved = {name.split("/")[3] for name in names if name.endswith("/state.json")}
                time.sleep(0.1)
            workers[0].kill()
            out, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors
        assert not list((tmp_path / "far" / "two").glob("shoal-*"))
    assert "The report lies at s3://lab/run/report.html" in out
    assert not server.names("run.unfinished")
    assert not [name for name in server.names("run/") if "/." in name]
    weights = (tmp_path / "plain" / "weights.safetensors").read_bytes()
    assert server.get("run/weights.safetensors") == weights
    (tmp_path / "record.json").write_bytes(server.get("run/record.json"))
    one, other = read_record(tmp_path / "record.json"), read_record(tmp_path / "plain" / "record.json")
    assert one["decision"] == other["decision"]
    curves = [[seed["curve"] for rung in run["rungs"] for seed in rung["seeds"]] for run in (one, other)]
    assert curves[0] == curves[1]
    assert {who for event in one["race"] for who in event["workers"]} == {
        f"{os.uname().nodename} {workers[1].pid}"
    }
    told = [json.loads(line) for line in server.get("run/log.jsonl").splitlines()]
    first = [event["seed"] for event in told if event["stage"] == "train" and event["epoch"] == 1]
    assert sorted(first) == [0, 1]  # none began anew


def test_workers_that_do_not_reach_the_bucket_are_one_sentence(server: Server, tmp_path: Path):
    nowhere = {**server.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with cluster(tmp_path / "far", nowhere) as (address, _):
        words = ("fit", "s3://lab/t.parquet", "--out", "s3://lab/run", *FIT, "--quiet")
        code, _, errors = server.run(*words, "--cluster", address)
    assert code == 2, errors
    told = errors.strip().splitlines()[-1]
    assert told.startswith(f"Error: The worker on {os.uname().nodename} says: s3://lab/run.unfinished/.work/")
    assert "can not be read" in told
    assert not server.names("run")


def test_a_server_that_is_killed_leaves_the_run_here(server: Server, tmp_path: Path):
    words = ("fit", "s3://lab/t.parquet", "--out", "s3://lab/run", *FIT)
    with server.start(*words) as process:
        until = time.monotonic() + 120
        while not server.names("run.unfinished/checkpoints"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        server.process.kill()
        began = time.monotonic()
        _, errors = process.communicate(timeout=240)
        print(f"the end of the run, its server gone, came after {time.monotonic() - began:.0f} s")
    assert process.returncode == 3, errors
    (kept,) = (tmp_path / "here").glob("shoal-*/run")
    assert f"The finished run is kept in {kept}; copy it to s3://lab/run." in errors
    assert {"record.json", "model.json", "checkpoints"} <= {path.name for path in kept.iterdir()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("fit", "s3://lab/t.parquet", "--out", "s3://other/run"),
            "s3://other/run.unfinished can not be written",
        ),
        (("fit", "s3://other/t.parquet", "--out", "run"), "s3://other/t.parquet does not exist."),
        (("fit", "s3://lab/u.parquet", "--out", "run"), "s3://lab/u.parquet does not exist."),
        (("score", "s3://lab/run", "t.csv", "-o", "s.csv"), "RUN s3://lab/run does not exist"),
    ],
)
def test_what_is_not_there_is_told(server: Server, tmp_path: Path, words: tuple[str, ...], expected: str):
    code, _, errors = server.run(*words)
    told = errors.strip().splitlines()[-1]
    assert code == 2, errors
    assert told.startswith(f"Error: {expected}")
    assert not list((tmp_path / "here").iterdir())


def test_a_server_that_is_not_there_is_told(server: Server):
    server.process.kill()
    server.process.wait()
    code, _, errors = server.run("fit", "s3://lab/t.parquet", "--out", "run")
    assert code == 2
    assert errors.startswith("Error: s3://lab/t.parquet can not be read (")
    assert errors.count("\n") == 1


def test_runs_in_a_bucket_are_listed(server: Server):
    assert (
        server.run("fit", "s3://lab/t.parquet", "--out", "s3://lab/runs/one", *FIT, "--depths", "1")[0] == 0
    )
    code, out, errors = server.run("runs", "s3://lab/runs", "--json")
    assert code == 0, errors
    assert '"name": "one"' in out
