"""Small tables of every kind that people have trouble with: each as three inputs or more, and what is right for them.

`READ` are read: what each column is taken for, and what is said about the reading. `REFUSED` have no answer but a sentence,
with a command that works.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

N = 150
RNG = np.random.default_rng(18)
A, B, C = RNG.normal([5, 20, -3], [1, 2, 1], (N, 3)).T
Y = RNG.normal(size=N).round(6)
SHARE = np.random.default_rng(2).permutation(N) / N  # for so many rows in a hundred: SHARE < 0.3
I = np.arange(N)


@dataclass(frozen=True)
class Case:
    """A file called `name`. `columns`: words of the sentence of each column that is looked at; `notes`: of the reading.

    `sentence`: words of the refusal; `options`: of the command line; `cure`: the options of the command that it prints.
    """

    data: bytes
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    name: str = "t.csv"
    sentence: str = ""
    options: Sequence[str] = ()
    cure: Sequence[str] | None = None
    rows: int = N


def written(frame: pl.DataFrame, name: str) -> bytes:
    """A data frame as a file."""
    file = io.BytesIO()
    frame.write_parquet(file) if name.endswith(".parquet") else frame.write_csv(file)
    return file.getvalue()


def table(words: str, name: str = "t.csv", **columns: Iterable[object]) -> Case:
    """A column `x` beside the normal column `y`, with words of its sentence."""
    frame = pl.DataFrame(
        {k: v if isinstance(v, pl.Series) else list(v) for k, v in columns.items()}, strict=False
    )
    return Case(written(frame.with_columns(y=pl.Series(Y)), name), {"x": words}, name=name)


def text(*lines: str, encoding: str = "utf-8") -> bytes:
    """Lines of a file."""
    return ("\n".join(lines) + "\n").encode(encoding)


def rows(*columns: Sequence[object], separator: str = ",") -> list[str]:
    """Lines of cells; numbers with four decimals."""
    cells = [[f"{c:.4f}" if isinstance(c, float) else str(c) for c in column] for column in columns]
    return [separator.join(row) for row in zip(*cells, strict=True)]


def mixed(value: float, share: float, other: np.ndarray) -> np.ndarray:
    """`other`, with `value` in the given share of its rows."""
    return np.where(share > SHARE, value, other)


def with_cells(values: np.ndarray, *cells: float) -> np.ndarray:
    """The values, with some cells replaced."""
    found = values.astype(float)
    found[11 : 11 + 29 * len(cells) : 29] = cells
    return found


NUMBERS = [f"{v:.4f}" for v in A]


def gaps(mark: str) -> Case:
    cells = [mark if i % 7 == 3 else v for i, v in enumerate(NUMBERS)]
    return Case(
        text("x,y", *rows(cells, Y.tolist())),
        {"x": "a number: log-density in its unit; 14.0% of the cells are missing"},
    )


DIGITS = np.random.default_rng(3).integers(0, 10, N)
NORMAL = np.random.default_rng(4).normal(size=N).round(4)
COUNTS = np.random.default_rng(5).poisson(5, N).astype(float)
FILLED = mixed(float(COUNTS[SHARE >= 0.2].mean()), 0.2, COUNTS)

READ: dict[str, dict[str, Case]] = {
    "marks of missing cells": {
        mark: gaps(mark)
        for mark in (
            *(
                "",
                "NA",
                "<NA>",
                "#DIV/0!",
                "#N/A",
                "#REF!",
                "#NAME?",
                "--",
                ".",
                "-",
                "?",
                "NULL",
                "None",
                "NaN",
                "NaT",
            ),
            *(
                "n.a.",
                "n/d",
                "#VALEUR!",
                "#¡DIV/0!",
                "#NV",
                "Err:502",
                "—",
                "***",
                "No data",
                "-1.#IND",
                "\\N",
                ' NA "'[:4],
            ),
        )
    },
    "sentinels": {
        "-999": table("30.0% of the rows hold -999,", x=mixed(-999, 0.3, NORMAL)),
        "-9999 in Parquet": table("30.0% of the rows hold -9999,", "t.parquet", x=mixed(-9999, 0.3, NORMAL)),
        "9999": table("20.0% of the rows hold 9999,", x=mixed(9999, 0.2, NORMAL)),
        "-1": table("30.0% of the rows hold -1,", x=mixed(-1, 0.3, NORMAL)),
        "-1 below counts": table(
            "step 1; 30.0% of the rows hold -1,", x=mixed(-1, 0.3, np.random.default_rng(6).poisson(40, N))
        ),
        "99 above ages": table(
            "step 1; 10.0% of the rows hold 99,",
            x=mixed(99, 0.1, np.random.default_rng(7).integers(18, 60, N)),
        ),
        "999 above few whole numbers": table(
            "step 1; 10.0% of the rows hold 999,", x=mixed(999, 0.1, DIGITS)
        ),
        "-999 in 4 rows": table("2.7% of the rows hold -999,", x=with_cells(NORMAL, *[-999] * 4)),
        "-999 in tenths": table("step 0.1; 4.0% of the rows hold -999,", x=mixed(-999, 0.04, A.round(1))),
        "-999 and 9999": table(
            "hold -999, which has a probability of its own; 10.0% of the rows hold 9999",
            x=mixed(-999, 0.2, mixed(9999, 0.3, NORMAL)),
        ),
        "-888 and -999": table("hold -999, which has", x=mixed(-888, 0.1, mixed(-999, 0.4, NORMAL))),
        "float32": table(
            "30.0% of the rows hold -999,",
            "t.parquet",
            x=pl.Series(mixed(-999, 0.3, NORMAL), dtype=pl.Float32),
        ),
    },
    "zeros": {
        "rain": table("60.0% of the rows hold 0,", x=mixed(0.0, 0.6, np.exp(NORMAL))),
        "rain in tenths": table(
            "step 0.1; 60.0% of the rows hold 0,", x=mixed(0.0, 0.6, 1 + np.exp(NORMAL).round(1))
        ),
        "nearly all": table("94.0% of the rows hold 0,", x=mixed(0.0, 0.94, np.exp(NORMAL))),
        "of both signs": table(
            "60.0% of the rows hold 0,", x=mixed(-0.0, 0.3, mixed(0.0, 0.6, np.exp(NORMAL)))
        ),
    },
    "clipped and filled": {
        "below": table("of the rows hold -0.8,", x=np.maximum(NORMAL, -0.8)),
        "above, in Parquet": table("of the rows hold 1,", "t.parquet", x=np.minimum(NORMAL, 1)),
        "at both ends": table("of the rows hold 100, which", x=np.clip(50 + 60 * NORMAL, 0, 100)),
        "a mean": table(
            f"20.0% of the rows hold {NORMAL.mean():.6g},", x=mixed(float(NORMAL.mean()), 0.2, NORMAL)
        ),
        "a mean among counts": table(
            f"step 1; 20.0% of the rows hold {FILLED[SHARE < 0.2][0]:.6g},", x=FILLED
        ),
        "a median among counts": table("step 1; 20.0% of the rows hold 4.5,", x=mixed(4.5, 0.2, COUNTS)),
    },
    "whole numbers and stray cells": {
        "whole": table("with noise of its step 1", x=DIGITS),
        "whole as float in Parquet": table("with noise of its step 1", "t.parquet", x=DIGITS.astype(float)),
        "one stray": table("step 1; off its lattice: the value 3.001", x=with_cells(DIGITS, 3.001)),
        "two stray": table(
            "step 1; off its lattice: the values 3.001, 7.5", x=with_cells(DIGITS, 3.001, 7.5)
        ),
        "one stray value twice": table(
            "step 1; off its lattice: the value 3.001", x=with_cells(DIGITS, 3.001, 3.001)
        ),
        "two stray, float32": table(
            "step 1; off its lattice: the values 0.25, 7.5",
            "t.parquet",
            x=pl.Series(with_cells(DIGITS, 0.25, 7.5), dtype=pl.Float32),
        ),
        "a stray among halves": table(
            "step 0.5; off its lattice: the value 3.001", x=with_cells(DIGITS / 2, 3.001)
        ),
        "a stray among tenths": table(
            "step 0.1; off its lattice: the value 4.3333", x=with_cells(A.round(1), 4.3333)
        ),
        "a stray among 0 and 1": table(
            "step 1; off its lattice: the value 0.5", x=with_cells(DIGITS % 2, 0.5)
        ),
        "a stray and a gap": table(
            "step 1; off its lattice: the value 2.5; 0.7%", x=with_cells(DIGITS, 2.5, np.nan)
        ),
    },
}
REFUSED: dict[str, dict[str, Case]] = {}
