"""Shoal's command line as it stands in this checkout: `shoal fit` and `shoal score` in processes of their own.

The budget is `--time-limit`, wall seconds, imports and compilation included. Rows are noised already, so `--dequantize off`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shoal.records import read_record, to_plain
from shoal.records.fit import FitRecord

from ..prepare import Rows
from ._base import Estimate

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-c", "import sys; from shoal.cli import main; sys.exit(main())"]


def shoal(*words: object) -> None:
    """Runs a command of Shoal; its last words are the error's."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(f"shoal {words[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")


def write(path: Path, rows: Rows) -> Path:
    """Rows as a CSV file."""
    head = ",".join(f"c{j}" for j in range(rows.shape[1]))
    np.savetxt(path, rows, delimiter=",", header=head, comments="", fmt="%.9g")
    return path


def scores(path: Path) -> Rows:
    """The column of log-likelihoods of a scored CSV file."""
    return pl.read_csv(path)["log_prob"].to_numpy()


def trainings(run: Path) -> list[dict[str, Any]]:
    """Of every training: epochs, and how far an epoch fell below the best one before it, on validation rows.

    `fall`: of the means; `fall_winsorised`: of the statistic that training goes by.
    """
    rows = pl.read_parquet(run / "metrics.parquet").sort("family", "depth", "seed", "epoch")
    falls = {
        name: (pl.col(column).cum_max() - pl.col(column)).max()
        for name, column in (("fall", "validation_mean"), ("fall_winsorised", "validation"))
    }
    found = rows.group_by("family", "depth", "seed", maintain_order=True)
    return found.agg(epochs=pl.len(), **falls).rename({"family": "chain"}).to_dicts()


def facts(run: Path) -> dict[str, Any]:
    """What the record says of the rung that is delivered: family, depth, condition numbers, round trips."""
    record = read_record(run / "record.json", FitRecord)
    said = {"sentence": record.decision.sentence, "seconds": record.seconds, "trainings": trainings(run)}
    said["next_layer"] = to_plain(record.next_layer)
    if (rung := record.delivered) is None:
        return said
    keys = ("family", "depth", "parameters", "condition", "round_trip")
    return {**said, **{k: to_plain(getattr(rung, k)) for k in keys}}


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The run that `shoal fit` delivers; its folder lives as long as the estimate."""
    kept = tempfile.TemporaryDirectory()
    folder = Path(kept.name)
    run = folder / "run"
    limits = ("--dequantize", "off", "--time-limit", f"{int(budget)}s", "--seed", seed)
    shoal("fit", write(folder / "train.csv", rows), "--out", run, "--parts", "90,10,0", *limits)

    def log_prob(x: Rows) -> Rows:
        with tempfile.TemporaryDirectory(dir=kept.name) as place:
            table, scored = write(Path(place) / "rows.csv", x), Path(place) / "scores.csv"
            shoal("score", run, table, "-o", scored)
            return scores(scored)

    def sample(n: int) -> Rows:
        with tempfile.TemporaryDirectory(dir=kept.name) as place:
            made = Path(place) / "samples.csv"
            shoal("sample", run, "-n", n, "-o", made)
            return np.loadtxt(made, delimiter=",", skiprows=1, ndmin=2)

    return Estimate(log_prob, facts(run), sample)
