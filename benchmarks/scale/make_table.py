"""Writes a Parquet folder of many rows, for what is said about tables larger than memory.

    python -m scale.make_table FOLDER --rows 20_000_000

Eight columns x0 to x7: correlated normal numbers, of which x1 is bent by x0, x2 and x3 are skewed, x4 is wide where x5 is
large, x6 has two modes, and x7 is rounded to hundredths. File i of 10^6 rows depends on the seed and on i alone.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

FILE_ROWS = 1_000_000
COLUMNS = 8
MIXING = np.tril(np.full((COLUMNS, COLUMNS), 0.35), -1) + np.eye(COLUMNS)


def rows_of(seed: int, file: int, rows: int) -> np.ndarray:
    """The first `rows` rows of a file: (rows, 8)."""
    rng = np.random.default_rng([seed, file])
    x = rng.normal(size=(rows, COLUMNS)) @ MIXING.T
    x[:, 1] += 0.5 * x[:, 0] ** 2
    x[:, 2] = np.exp(0.6 * x[:, 2])
    x[:, 3] = np.logaddexp(0.0, 2.0 * x[:, 3])
    x[:, 4] *= np.exp(0.3 * x[:, 5])
    x[:, 6] += np.where(rng.random(rows) < 0.3, 4.0, 0.0)
    x[:, 7] = np.round(5.0 + x[:, 7], 2)
    return x


def make_table(folder: Path, rows: int, *, seed: int = 0) -> None:
    """Writes the folder, one file at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, start in enumerate(range(0, rows, FILE_ROWS)):
        x = rows_of(seed, file, min(FILE_ROWS, rows - start))
        frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(COLUMNS)})
        frame.write_parquet(folder / f"part-{file:05d}.parquet")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make_table(given.folder, given.rows, seed=given.seed)


if __name__ == "__main__":
    main()
