"""The bayesflow adapter on both back ends, each in a process of its own, as Keras takes one: the benchmark's entry."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters import checks

pytestmark = checks.needs("bayesflow")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_parity_of_a_trained_approximator(backend: str) -> None:
    """Its own log p in float64, of a second approximator that was made in float64 and given the same weights."""
    command = [sys.executable, "-W", "ignore", "-m", "foreign_libraries", "--here", f"bayesflow on {backend}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
        env=os.environ | {"KERAS_BACKEND": backend},
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["parity"] < 1e-6
    block = ["DualCoupling", "RandomPermutation", "ActNorm"]
    assert found["layers"] == [*block * 3, "Standardize"]
    assert found["condition_q99"] > 1.5
    assert (
        found["log_likelihood"] > -2.9
    )  # it was trained: the prior has -2.84 nats at best, less what it misses
