"""The process of one cell, on a core that no other cell of the machine has: what a job of the leaderboard's runner is.

A cell keeps a process of its own wherever the runner sends it, because its budget is processor seconds of that process, and
its memory is given back with it. The core is the first whose lock in the temporary folder is free, so that cells that
several workers of one machine start never share one.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal.records import held

from .sources import ROOT

LOOK = 0.2  # seconds between looks at a process and at the stop file
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def compute(
    module: str, arm: str, rows: str, budget: float, seed: int, stop: str
) -> tuple[dict[str, Any], Any]:
    """The row of a cell, whatever comes of it, and its log-likelihoods.

    **Arguments:** `module`: what the process runs; `rows`: the file of the split's rows; `stop`: a file that ends the
    process once it is there.
    """
    with tempfile.TemporaryDirectory() as place, own_core() as core:
        out = Path(place) / "cell"
        command = [sys.executable, "-W", "ignore", "-m", module, *map(str, (arm, rows, budget, seed, out))]
        code, said = call(command, core, 100 * budget + 7200, place, Path(stop))
        written, stored = out.with_suffix(".json"), out.with_suffix(".npy")
        row = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
        values = np.load(stored) if stored.exists() else None
    late = code in (None, -signal.SIGXCPU, -signal.SIGKILL)
    status = "ok" if code == 0 else "scored" if row else "timeout" if late else "failed"
    last = said.strip().splitlines()[-1:] if code != 0 else []
    message = {"message": last[0][-600:]} if last else {}
    return {"status": status, "seed": seed, "budget": budget, **message, **row}, values


@contextmanager
def own_core() -> Iterator[int | None]:
    """A core that this process may use and no other cell has; None where cores can not be chosen. Waits for one."""
    if not hasattr(os, "sched_getaffinity"):
        yield None
        return
    while True:
        for core in sorted(os.sched_getaffinity(0)):
            lock = held(Path(tempfile.gettempdir()) / f"shoal-core-{core}.lock", "taken")
            try:
                lock.__enter__()
            except InputError:
                continue
            try:
                yield core
            finally:
                lock.__exit__(None, None, None)
            return
        time.sleep(LOOK)


def call(
    command: Sequence[str], core: int | None, limit: float, place: str, stop: Path
) -> tuple[int | None, str]:
    """The exit status (None after the limit, or once it was stopped) and the standard error of a command on one core."""
    folder = Path(__file__).resolve().parents[1]
    paths = [str(folder), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)}
    pin = ["taskset", "-c", str(core)] if core is not None else []
    until = time.monotonic() + limit
    with open(Path(place) / "err", "w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*pin, *command], env=environment, cwd=place, stdout=errors, stderr=errors, start_new_session=True
        )
        while (code := process.poll()) is None:
            if time.monotonic() > until or stop.exists():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                break
            time.sleep(LOOK)
        errors.seek(0)
        return code, errors.read()
