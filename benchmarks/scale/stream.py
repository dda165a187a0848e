"""A table larger than memory, by `shoal fit` and `shoal score` as processes: memory, seconds, rows a second, kills.

    cd benchmarks && python -m scale.stream [--rows 20_000_000] [--limit 5m] [--folder FOLDER] [--only fit,whole,score,kills]

**fit**: a Parquet folder of eight columns (`scale.make_table`) under a time limit: the process's largest memory, the seconds
of both passes over the files, training rows a second. **whole**: a tenth of it, as one file that is read whole into memory.
**score**: all rows under the fitted flow. **kills**: 10^5 rows of it, epochs as the limit: streamed and in memory beside
each other, and a run that SIGKILL ends `KILLS` times, while rows are shuffled, while a checkpoint is written and at random
moments, and that goes on each time by --resume: losses that differ, files that are left. Writes `results/stream.json`; parts
that are not asked for keep their figures. FOLDER (`build/scale`) keeps the table.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from resume import RESULTS, ROOT, Record

from scale.make_table import make_table
from shoal.records import system_info
from shoal.records.fit import read_run

KILLS, KILL_ROWS = 20, 100_000
# Files whose appearance is the moment of the first kills, five each: rows are shuffled, a checkpoint is written.
MOMENTS, EACH, LOOK = ("*.shuffling/*", "**/.unfinished-*"), 5, 0.001
ALWAYS = ["--depths", "1", "--fronts", "gaussian", "--max-epochs", "6", "--batch-size", "256", "--quiet"]


def shoal(
    *words: str | Path, kill_after: float | None = None, kill_at: tuple[Path, str] | None = None
) -> dict[str, Any]:
    """One call of the command: exit code, seconds, the largest memory in MiB.

    It is killed after so many seconds, or once the folder `kill_at` has a new file or folder that the pattern names.
    """
    began, clock = time.monotonic(), time.time()
    command = [sys.executable, "-c", "from shoal.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if kill_after is not None:
        until = began + kill_after
        while process.poll() is None and time.monotonic() < until:
            if kill_at is not None and any(changed(place) > clock for place in kill_at[0].glob(kill_at[1])):
                break
            time.sleep(LOOK)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
    said = process.stderr.read() if process.stderr is not None else ""
    _, status, usage = (
        os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode, None)
    )
    code = os.waitstatus_to_exitcode(status) if process.returncode is None else process.returncode
    memory = None if usage is None else usage.ru_maxrss / 1024
    return {"code": code, "seconds": time.monotonic() - began, "memory_mib": memory, "said": said[-400:]}


def changed(place: Path) -> float:
    """When a file or folder last changed, in seconds since 1970; 0 where it is gone."""
    try:
        return place.stat().st_ctime
    except FileNotFoundError:
        return 0.0


def fitted(run: Path, call: dict[str, Any]) -> dict[str, Any]:
    """What the record of a run says beside the call."""
    record = read_run(run)
    assert record is not None
    stream = record.data.stream
    passes = {} if stream is None else {"pass_1": stream.reading_seconds, "pass_2": stream.shuffling_seconds}
    delivered = None if record.delivered is None else record.delivered.name
    test = None if record.test is None else record.test.log_likelihood
    batch = record.config["batch_size"]
    seen = max((s.steps or 0 for rung in record.rungs for s in rung.seeds), default=0) * batch
    more = {"rows_per_second": record.rows_per_second, "delivered": delivered, "test": test}
    more |= {"training_rows_seen": seen, "validation_rows": record.data.parts["validation"]}
    return {**call, **passes, "rows": record.data.rows, **more}


def curves(run: Path) -> list[Any]:
    """The losses of all seeds of a run."""
    record = read_run(run)
    assert record is not None
    return [(s.curve.train, s.curve.validation) for rung in record.rungs for s in rung.seeds]


def kills(folder: Path, table: Path, count: int) -> dict[str, Any]:
    """Streamed, in memory, and killed again and again: losses that differ and files that are left."""
    part = folder / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    frame = pl.read_parquet(sorted(table.glob("*.parquet"))[0]).head(KILL_ROWS)
    for i in range(4):
        frame.slice(i * KILL_ROWS // 4, KILL_ROWS // 4).write_parquet(part / f"{i}.parquet")
    runs = {}
    for name in ("disk", "memory", "again"):
        for place in (name, f"{name}.unfinished"):
            shutil.rmtree(folder / place, ignore_errors=True)
    for place in ("disk", "memory"):
        runs[place] = shoal("fit", part, "--out", folder / place, "--stream", place, *ALWAYS)
        assert runs[place]["code"] == 0, runs[place]
    seconds, ended, again = runs["disk"]["seconds"], [], folder / "again"
    words = ("fit", part, "--out", again, "--stream", "disk", *ALWAYS)
    rng = np.random.default_rng(0)
    growing = folder / "again.unfinished"
    while len(ended) < count:
        resume = ["--resume"] if growing.exists() else []
        moment = len(ended) // EACH
        if moment < len(MOMENTS):
            at = growing / "checkpoints", MOMENTS[moment]
            call = shoal(*words, *resume, kill_after=2 * seconds, kill_at=at)
        else:
            call = shoal(*words, *resume, kill_after=float(rng.uniform(0.15, 0.95) * seconds))
        if call["code"] == -signal.SIGKILL:
            ended.append({**call, "left": left(growing)})
        print(len(ended), call["code"], f"{call['seconds']:.0f} s", flush=True)
        if again.exists():
            shutil.rmtree(again)
    if not again.exists():
        shoal(*words, *(["--resume"] if (folder / "again.unfinished").exists() else []))
    return {
        "rows": KILL_ROWS,
        "memory_equals_disk": curves(folder / "disk") == curves(folder / "memory"),
        "killed": sum(e["code"] == -signal.SIGKILL for e in ended),
        "killed_while_rows_were_shuffled": sum(any("shuffling" in f for f in e["left"]) for e in ended),
        "killed_in_a_save": sum(any(".unfinished-" in f for f in e["left"]) for e in ended),
        "again_equals_disk": curves(folder / "disk") == curves(again),
        "temporary_files_left": [f for f in left(again) if any(p.startswith(".") for p in Path(f).parts)],
        "calls": ended,
    }


def left(folder: Path) -> list[str]:
    """The files in a folder of a run."""
    return (
        sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        if folder.exists()
        else []
    )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--limit", default="5m")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "scale")
    parser.add_argument("--only", default="fit,whole,score,kills")
    parser.add_argument("--kills", type=int, default=KILLS)
    given = parser.parse_args()
    folder, only = given.folder, given.only.split(",")
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "what": "tables larger than memory",
        "command": "python -m scale.stream",
        "versions": system_info(),
        "config": {"rows": given.rows, "limit": given.limit, "seed": 0},
    }
    record = Record(RESULTS / "stream.json", head, dict.fromkeys(("fit", "whole", "score", "kills")))
    table = folder / f"rows-{given.rows}"
    if not table.exists():
        make_table(folder / "making", given.rows)
        (folder / "making").rename(table)
    limit = ["--time-limit", given.limit, "--overwrite", "--quiet"]
    if "fit" in only:
        record.save(fit=fitted(folder / "run", shoal("fit", table, "--out", folder / "run", *limit)))
    if "whole" in only:
        tenth = folder / "tenth.parquet"
        pl.scan_parquet(table / "*.parquet").head(given.rows // 10).sink_parquet(tenth)
        call = shoal("fit", tenth, "--out", folder / "whole", "--stream", "off", *limit)
        record.save(whole=fitted(folder / "whole", call))
    if "score" in only:
        record.save(score=shoal("score", folder / "run", table, "-o", folder / "scored.parquet"))
        (folder / "scored.parquet").unlink(missing_ok=True)
    if "kills" in only:
        record.save(kills=kills(folder, table, given.kills))
    for name in only:
        print(name, {k: v for k, v in record[name].items() if k != "calls"})


if __name__ == "__main__":
    main()
