"""Tables that have no density as they are: the sentence, and the command that it prints."""

import datetime as dt
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from tests.tables.cases import (
    COUNTS,
    DATES,
    DIGITS,
    NUMBERS,
    SHARE,
    TIMES,
    A,
    B,
    Case,
    I,
    N,
    Y,
    with_cells,
    written,
)

PARTS = np.random.default_rng(11).dirichlet([2, 3, 4, 5], N)
SOILS = 100 * PARTS[:, :3] / PARTS[:, :3].sum(axis=1, keepdims=True)
WEIGHTS = np.where(I % 5 == 0, -0.4, 1.3)
WORDS = ["uv"[i % 2] for i in range(N)]
ONES = np.ones(N)
P3 = "column 'p3' is 100 - p1 - p2"
Columns = Mapping[str, Iterable[object]]


def refused(sentence: str, cure: str, columns: Columns, options: str = "", name: str = "t.csv") -> Case:
    cells = {k: v if isinstance(v, pl.Series) else list(v) for k, v in columns.items()}
    return Case(
        written(pl.DataFrame(cells, strict=False), name),
        name=name,
        sentence=sentence,
        cure=cure,
        options=options,
    )


def parts(values: np.ndarray, **others: Iterable[object]) -> Columns:
    return {f"p{i + 1}": values[:, i].tolist() for i in range(values.shape[1])} | others


def weighted(sentence: str, weights: np.ndarray, name: str = "t.csv") -> Case:
    return refused(sentence, "--drop w", {"x": A, "y": B, "w": weights}, "--weights w", name)


def gaps(values: np.ndarray, share: float) -> np.ndarray:
    return np.where(RNG.random(N) < share, np.nan, values)


def odd(sentence: str, cells: Iterable[object], name: str = "t.csv") -> Case:
    return refused(sentence, "--drop x", {"x": cells, "y": Y, "z": A}, "", name)


SLIP = parts(np.where(np.outer(I == 11, [0, 0, 1]), 90, SOILS))
RNG = np.random.default_rng(12)
SPENT = RNG.gamma(2, 1, (N, 4)).round(6) * (RNG.random((N, 4)) > 0.85)
TOTAL = {f"s{i + 1}": SPENT[:, i] for i in range(4)} | {"t": SPENT.sum(axis=1).round(6), "y": Y}
FEET = {"m": pl.Series(B, dtype=pl.Float32), "ft": pl.Series(3.28084 * B, dtype=pl.Float32), "y": Y}
FAR = with_cells(A, 1e10)
C2 = B.round(2)
BAD = ["bad" if i == 11 else v for i, v in enumerate(NUMBERS)]
WORSE = ["worse" if i == 21 else v for i, v in enumerate(NUMBERS[::-1])]
REFUSED: dict[str, dict[str, Case]] = {
    "parts of a whole": {
        "percentages": refused(f"{P3} in every row, so that", "--drop p3", parts(SOILS)),
        "percentages in Parquet": refused(f"{P3} in every row", "--drop p3", parts(SOILS), name="t.parquet"),
        "of ten digits": refused(f"{P3} in every row", "--drop p3", parts(SOILS.round(10))),
        "each rounded": refused(
            f"{P3}, up to rounding in every row", "--drop p3", parts(SOILS.round(2), y=Y)
        ),
        "rounded to whole ones": refused(f"{P3}, up to rounding", "--drop p3", parts(SOILS.round(0), y=Y)),
        "fractions": refused("'p3' is 1 - p1 - p2 in every row", "--drop p3", parts(SOILS / 100, y=Y)),
        "four of four digits": refused(
            "'p4' is 1 - p1 - p2 - p3, up to rounding", "--drop p4", parts(PARTS.round(4))
        ),
        "with a slip": refused(f"{P3} in all rows but row 13, so", "--drop p3", SLIP),
    },
    "columns that follow from others": {
        "a sum": refused("'t' is a + b in every row", "--drop t", {"a": A, "b": B, "t": A + B}),
        "a sum, rounded": refused(
            *(
                "'t' is a + b, up to rounding",
                "--drop t",
                {"a": A.round(2), "b": C2, "t": (A + B).round(2), "y": Y},
            )
        ),
        "a sum of counts": refused(
            *(
                "'t' is a + b in every row",
                "--drop t",
                {"a": COUNTS, "b": DIGITS, "t": COUNTS + DIGITS, "y": Y},
            )
        ),
        "beside words": refused(
            "'d' is a - b in every", "--drop d", {"a": A, "b": B, "d": A - B, "k": WORDS}
        ),
        "Fahrenheit": refused("'f' is 32 + 1.8 c in every row", "--drop f", {"c": A, "f": 32 + 1.8 * A}),
        "Fahrenheit, rounded": refused(
            *(
                "'f' is 32 + 1.8 c, up to rounding",
                "--drop f",
                {"c": C2, "f": (32 + 1.8 * C2).round(2), "y": Y},
            )
        ),
        "Kelvin": refused(
            "'k' is 273.15 + c in every row", "--drop k", {"c": C2, "k": (C2 + 273.15).round(2)}
        ),
        "float32": refused("'ft' is 3.28084 m, up to rounding", "--drop ft", FEET, name="t.parquet"),
        "a product": refused(
            "column 't' is a * b in every row",
            "--drop t",
            {"a": B, "b": np.exp(Y), "t": B * np.exp(Y), "y": A},
        ),
        "a product in cents": refused(
            "column 't' is a * b in every row",
            "--drop t",
            {"a": C2, "b": 1 + DIGITS, "t": (C2 * (1 + DIGITS)).round(2)},
        ),
        "a quotient": refused(
            "column 'q' is a * b^-1, up to rounding",
            "--drop q",
            {"a": B, "b": np.exp(Y), "q": (B * np.exp(-Y)).round(3)},
        ),
        "twice": refused("columns 'a' and 'b' are identical in every row", "--drop b", {"a": A, "b": A}),
        "twice, far off": refused(
            "'b' is 1 + 2 a in every row", "--drop b", {"a": FAR, "b": 1 + 2 * FAR, "y": Y}
        ),
        "twice in most rows": refused(
            *(
                "columns 'a' and 'b' are equal in 60.0% of the rows",
                "--drop b",
                {"a": A, "b": np.where(SHARE < 0.6, A, B)},
            )
        ),
        "a total of parts that are mostly 0": refused(
            "'t' is s1 + s2 + s3 + s4 in every row, so", "--drop t", TOTAL
        ),
        "twice, with gaps in many others": refused(
            "'b' is 2 a in every row that holds them, so",
            "--drop b",
            {f"g{i}": gaps(RNG.normal(size=N), 0.4) for i in range(9)}
            | {"a": gaps(A, 0.4), "b": gaps(2 * A, 0.4)},
        ),
        "one of two that are never there together": refused(
            "columns 'b' and 'c' are identical in every row that holds them, so",
            "--drop c",
            {"a": np.where(SHARE < 0.5, B, np.nan), "b": np.where(SHARE < 0.5, np.nan, A), "c": A},
        ),
        "percentages beside gaps": refused(
            f"{P3} in every row, so",
            "--drop p3",
            {f"g{i}": gaps(RNG.normal(size=N), 0.5) for i in range(9)} | dict(parts(SOILS)),
        ),
        "from the context": refused(
            "'x' is -2 + 0.5 c in every row",
            "--drop x --context c",
            {"x": A, "y": B, "c": 2 * A + 4},
            "--context c",
        ),
        "with the context": refused(
            "'y' is c - x in every row", "--drop y --context c", {"x": A, "y": B, "c": A + B}, "--context c"
        ),
    },
    "bad weights": {
        "negative": weighted("'w', row 2: found the weight -0.4; give weights of 0 or more, or use", WEIGHTS),
        "negative in Parquet": weighted("'w', row 1: found the weight -0.4", WEIGHTS, "t.parquet"),
        "a bit below 0": weighted("'w', row 13: found the weight -1e-09", with_cells(ONES, -1e-9)),
        "all zero": weighted("'w': found the weight 0 in every row", 0 * ONES),
        "missing": weighted("'w', row 13: found the missing value 'NaN'", with_cells(ONES, np.nan)),
        "infinite": weighted("'w', row 13: found the infinite value 'inf'", with_cells(ONES, np.inf)),
        "missing beside words": refused(
            "'w', row 13: found the missing value 'NaN'; remove such rows, or use",
            *("--drop w", {"x": A, "k": WORDS, "w": with_cells(ONES, np.nan)}, "--weights w"),
        ),
        "beside words and a context": refused(
            "'w', row 2: found the weight -0.4",
            *("--drop w --context y", {"x": A, "y": B, "k": WORDS, "w": WEIGHTS}, "--weights w --context y"),
        ),
    },
    "cells that do not fit": {
        "no date among dates": odd(
            "'x', row 13: found '2021-02-31' among dates; write all dates of the column in one form, or use",
            ["2021-02-31" if i == 11 else str(d) for i, d in enumerate(DATES)],
        ),
        "dates in two forms": odd(
            "among dates; write all dates",
            [d.strftime("%d.%m.%Y" if i % 3 else "%Y-%m-%d") for i, d in enumerate(DATES)],
        ),
        "days that can be months": odd(
            "row 3: found '02/03/2010' among dates whose days can all be months; write years first",
            [f"{1 + i % 12:02d}/{1 + i * 2 % 11:02d}/2010" for i in range(N)],
        ),
        "dates with a day of the week": odd(
            "found 'Mon, 01 Mar 2021', a date in a form that is not read, in most rows; write it as",
            [(DATES[0] + dt.timedelta(i)).strftime("%a, %d %b %Y") for i in range(N)],
        ),
        "two currencies": odd(
            "a number with a sign or unit that not all of them have",
            [f"{v:.4f} {'EUR' if i % 3 else 'USD'}" for i, v in enumerate(A)],
        ),
        "degrees and minutes": odd(
            "an angle in degrees and minutes, in most rows; write degrees with decimals",
            [f"{i % 90}°{i * 7 % 60:02d}'{i % 60:02d}\"" for i in range(N)],
        ),
        "powers of ten": odd("a number times a power of ten, in most rows", [f"{v:.4f} x 10^3" for v in A]),
        "two units": odd(
            "a number with a unit, in most rows; write numbers alone, in one unit",
            [f"{1000 * v:.0f}g" if i % 20 else f"{v:.4f}kg" for i, v in enumerate(A)],
        ),
        "thousands of dollars": odd(
            "a number of thousands or more, in most rows; write numbers out", [f"${v:.3f}K" for v in A]
        ),
        "Arabic digits": odd(
            "row 2: found '١٠٠', a number in other digits than 0 to 9",
            [str(100 + i).translate({48 + k: 0x660 + k for k in range(10)}) for i in range(N)],
        ),
        "years of two digits": odd(
            "row 2: found '01.03.21', a date with a year of two digits, in most rows",
            [(DATES[0] + dt.timedelta(i)).strftime("%d.%m.%y") for i in range(N)],
        ),
        "times of the day": odd("a time without a date", [t.strftime("%H:%M:%S") for t in TIMES]),
        "times of the day in Parquet": odd("a time without a date", [t.time() for t in TIMES], "t.parquet"),
        "thousands by underscores": odd(
            "a number with groups of digits", [f"{1001 * i + 10_000:_d}" for i in range(N)]
        ),
        "thousands by a letter": odd("a number of thousands", [f"{v:.3f}k" for v in A]),
        "exponents of Fortran": odd("a number with an exponent D", [f"{v:.4e}".replace("e", "D") for v in A]),
        "below a limit": odd(
            "row 13: found the text '<0.5' among numbers; mend it, or write NA if it is missing, or use",
            ["<0.5" if i == 11 else v for i, v in enumerate(NUMBERS)],
        ),
        "in two columns": refused(
            "column 'x', row 13: found the text 'bad'", "--drop x,z", {"x": BAD, "z": WORSE, "y": Y}
        ),
        "infinite": odd(
            "column 'x', row 13: found the infinite value 'inf'; remove such rows, or", with_cells(A, np.inf)
        ),
        "none": odd("column 'x' holds nothing, as all of its cells are missing; use", [None] * N),
        "one value": odd("column 'x' holds one value in every row; use", [1] * N),
        "durations": odd(
            "are not modelled; write them", [dt.timedelta(seconds=i) for i in range(N)], "t.parquet"
        ),
    },
}
