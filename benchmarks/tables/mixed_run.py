"""The leaderboard of mixed tables: categories, missing cells, atoms; every arm on each of 12 tables on one core of its own.

    cd benchmarks && python -m tables.mixed_run [--arms independent,shoal] [--tables diamonds] [--budget 60] [--splits 0]
        [--cluster local:2] [--seed 0] [--again] [--list]

Options and what is kept as for `tables.run`, whose runner this is: budgets are processor seconds of the arm's process
(Shoal's: wall seconds of its command), each cell is stored as soon as it is there, and a run goes on where the last one
stopped. Small tables first. `--budget` takes any number of seconds, 60 without.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from . import mixed, results, run
from .arms import MIXED
from .mixed_rows import save

BUDGET = 60.0


def plan() -> Iterator[tuple[str, int, float]]:
    """Split 0 of every table, those with the fewest numbers first."""
    tables = mixed.drawn()["tables"]
    for name in sorted(tables, key=lambda n: tables[n]["rows"] * tables[n]["columns"]):
        yield name, 0, BUDGET


def stored(table: str, number: int, file: Path) -> None:
    """Writes the rows of a split."""
    save(mixed.prepared(table, number), file)


BOARD = run.Board(
    what="Laws of mixed tables: one arm, every cell.",
    command="python -m tables.mixed_run",
    arms=tuple(MIXED),
    plan=plan,
    stored=stored,
    cell="tables.mixed_cell",
    folder=results.FOLDER.parent / "mixed",
    free=True,
)

if __name__ == "__main__":
    sys.exit(run.main(BOARD, __doc__))
