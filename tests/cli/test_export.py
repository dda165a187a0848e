"""`shoal export`: what it writes, what it says of it, and what it refuses."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import polars as pl
import pytest
from typer.testing import Result

import shoal
from shoal import flows
from shoal.distributions import GaussianPadding, Padded
from shoal.export._onnx import Session
from tests.export.sample_flows import FLOWS, conditional, context_rows

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shoal.save(FLOWS["fronts"](), tmp_path / "run")
    return tmp_path / "run"


def test_onnx(shoal_command: Run, run: Path, tmp_path: Path):
    flow = FLOWS["fronts"]()
    x = np.asarray(flow.sample(jr.key(0), 30))
    pl.DataFrame(x[:, ::-1], schema=["c", "b", "a"]).write_csv(tmp_path / "t.csv")
    done = shoal_command("export", run, "--to", "onnx", "-o", tmp_path / "out", "--data", tmp_path / "t.csv")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [Path(line.split(":")[0]).name for line in lines] == [
        "log_prob.onnx",
        "inverse.onnx",
        "sample.onnx",
    ]
    assert "relative error against float64 at most" in lines[0]
    assert lines[0].endswith("over 542 rows.")
    density = Session((tmp_path / "out" / "log_prob.onnx").read_bytes())
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jax.numpy.float64) if a.dtype.kind == "f" else a, flow)
        wanted = np.asarray(wide.log_prob(x))
    np.testing.assert_allclose(density({"x": x}), wanted, rtol=1e-5, atol=1e-5)


def test_torch(shoal_command: Run, run: Path, tmp_path: Path):
    done = shoal_command("export", run, "--to", "torch", "-o", tmp_path / "out", "--dtype", "float64")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"flow.py", "flow.pt"}
    assert "flow.pt: log_prob, " in done.output


@pytest.mark.long
def test_a_conditional_model_needs_data(shoal_command: Run, tmp_path: Path):
    flow = conditional()
    named = flows.nsf(jr.key(0), 3, 1, hidden=(4,), bins=4, context_dim=2)
    shoal.save(named.with_joint(flow, ("a", "b", "c")), tmp_path / "run")
    done = shoal_command("export", tmp_path / "run", "--to", "onnx", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "is conditional; give a table with its columns and context by --data" in done.output
    rows = np.hstack([np.random.default_rng(0).normal(size=(9, 3)), context_rows(9)])
    pl.DataFrame(rows, schema=[*"abcst"]).write_csv(tmp_path / "t.csv")
    done = shoal_command(
        "export", tmp_path / "run", "--to", "onnx", "-o", tmp_path / "out", "--data", tmp_path / "t.csv"
    )
    assert done.exit_code == 0, done.output


def test_refusals(shoal_command: Run, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    padded = Padded(flows.realnvp(jr.key(0), 3, 1, hidden=(4,)), GaussianPadding(1), key=jr.key(1))
    shoal.save(padded, tmp_path / "padded")
    (tmp_path / "file").write_text("")
    for words, sentence in (
        ((tmp_path / "padded", "--to", "onnx", "-o", "out"), "adds random coordinates to the data"),
        ((run, "--to", "tflite", "-o", "out"), "--to is 'tflite'; it must be one of onnx, torch."),
        ((run, "--to", "onnx", "-o", "file"), "-o file is a file; name a folder."),
        ((run, "--to", "onnx", "-o", "out", "--dtype", "float16"), "--dtype is 'float16'"),
    ):
        done = shoal_command("export", *words)
        assert done.exit_code == 2, done.output
        assert sentence in done.output
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.split(".")[0] == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = shoal_command("export", run, "--to", "onnx", "-o", "out")
    assert done.exit_code == 2
    assert 'needs onnx; install it by `pip install "shoal[onnx]"`' in done.output
    assert not (tmp_path / "out").exists()
