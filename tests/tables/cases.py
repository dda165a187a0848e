"""Small tables of every kind that people have trouble with: each as three inputs or more, and what is right for them.

`READ` are read: what each column is taken for, and what is said about the reading. Those of `cases_refused` have no answer
but a sentence, with a command that works.
"""

import datetime as dt
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
    rows: int = N
    sentence: str = ""
    options: str = ""
    cure: str = ""


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
        "places of stations": table(
            "with noise up to the middles between its 49 values", x=np.resize(NORMAL[:50] / 7, N)
        ),
        "a stray and a gap": table(
            "step 1; off its lattice: the value 2.5; 0.7%", x=with_cells(DIGITS, 2.5, np.nan)
        ),
    },
}
DATES = [dt.date(2021, 3, 1) + dt.timedelta(int(i) * 7919 % 700) for i in I]
TIMES = [dt.datetime(2021, 3, 1, 9) + dt.timedelta(seconds=int(i) * 79_193 % 9_000_000) for i in I]


def dates(form: str, words: str, cells: Sequence[dt.date] = DATES) -> Case:
    return table(words, x=[cell.strftime(form) for cell in cells])


READ["dates and times"] = {
    "ISO": dates("%Y-%m-%d", "a date (YYYY-MM-DD): log-density in days, with noise of its step 1"),
    "German": dates("%d.%m.%Y", "a date (DD.MM.YYYY)"),
    "American": dates("%m/%d/%Y", "a date (MM/DD/YYYY)"),
    "British": dates("%d/%m/%Y", "a date (DD/MM/YYYY)"),
    "with names of months": dates("%d-%b-%Y", "a date (DD-Mon-YYYY)"),
    "written out": dates("%B %d, %Y", "a date (Month DD, YYYY)"),
    "of digits": dates("%Y%m%d", "a date (YYYYMMDD)"),
    "times of digits with a zone": dates("%Y%m%dT%H%M%SZ", "a date (YYYYMMDDThhmmssZ)", TIMES),
    "times of digits, to minutes": dates("%Y%m%dT%H%M", "a date (YYYYMMDDThhmm)", TIMES),
    "in Parquet": table("a date: log-density in days, with noise of its step 1", "t.parquet", x=DATES),
    "times": dates("%Y-%m-%d %H:%M:%S", "a date (YYYY-MM-DD hh:mm:ss)", TIMES),
    "times with a T and a Z": dates("%Y-%m-%dT%H:%M:%SZ", "a date (YYYY-MM-DDThh:mm:ssZ)", TIMES),
    "times with a zone": dates("%Y-%m-%d %H:%M:%S+02:00", "a date (YYYY-MM-DD hh:mm:ss+02:00)", TIMES),
    "German times": dates("%d.%m.%Y %H:%M", "a date (DD.MM.YYYY hh:mm)", TIMES),
    "American times": dates("%m/%d/%Y %I:%M %p", "a date (MM/DD/YYYY hh:mm AM)", TIMES),
    "times in Parquet": table("a date: log-density in days", "t.parquet", x=TIMES),
    "times with a zone in Parquet": table(
        "a date: log-density in days", "t.parquet", x=pl.Series(TIMES).dt.replace_time_zone("Europe/Berlin")
    ),
    "the first of each month": table(
        "a date (DD/MM/YYYY)", x=[f"01/{1 + i % 12:02d}/{2010 + i % 7}" for i in range(N)]
    ),
    "the first of each month, American": table(
        "a date (MM/DD/YYYY)", x=[f"{1 + i % 12:02d}/01/{2010 + i % 7}" for i in range(N)]
    ),
    "gaps": table(
        "step 1; 14.7% of the cells", x=["" if i % 7 == 0 else str(d) for i, d in enumerate(DATES)]
    ),
    "no day": table(
        "step 1; 14.7% of the cells", x=["0000-00-00" if i % 7 == 0 else str(d) for i, d in enumerate(DATES)]
    ),
    "a day for none": table(
        "14.7% of the rows hold 1900-01-01,",
        x=["1900-01-01" if i % 7 == 0 else str(d) for i, d in enumerate(DATES)],
    ),
}
FLAGS = {
    "True/False": "False, True",
    "yes/no": "no, yes",
    "t/f": "f, t",
    "0/1": "0, 1",
    "Y/N": "N, Y",
    "on/off": "off, on",
}
READ["codes and many words"] = {
    **{
        letter: table(f"a category of 3 values ({letter}1, ", x=[f"{letter}{1 + i % 3}" for i in range(N)])
        for letter in "CTAsh"
    },
    "a category of too many": table(
        "an identifier, left out: it has 110 different values", x=[f"w{i % 110}" for i in range(N)]
    ),
    "distinct": table("an identifier, left out: its values do not repeat", x=[f"w{i}" for i in range(N)]),
}
READ["flags"] = {
    **{
        name: table(f"a category of 2 values ({levels})", x=[name.split("/")[i % 3 > 0] for i in range(N)])
        for name, levels in FLAGS.items()
    },
    "booleans in Parquet": table(
        "a category of 2 values (false, true)", "t.parquet", x=[i % 3 > 0 for i in I.tolist()]
    ),
    "0.0 and 1.0 in Parquet": table(
        "a category of 2 values (0, 1)", "t.parquet", x=(I % 3 > 0).astype(float)
    ),
    "a mark or nothing": table(
        "a category of 1 values (x): log-probabilities; 33.3%", x=["x" if i % 3 else "" for i in I]
    ),
    "1 or nothing": table(
        "a category of 1 values (1): log-probabilities; 33.3%", x=["1" if i % 3 else "" for i in I]
    ),
    "in two spellings": table(
        "a category of 2 values (false, true)", x=[("True", "False", "true")[i % 3] for i in I]
    ),
}
LEFT = "an identifier, left out"
LONG = [10**16 + 7919 * int(i) ** 2 for i in I]
READ["ids"] = {
    "17 digits": table(LEFT, x=LONG),
    "19 digits in Parquet": table(LEFT, "t.parquet", x=[1_582_218_195_625_938_945 + 37 * int(i) for i in I]),
    "20 digits": table(LEFT, x=[str(10**19 + n) for n in LONG]),
    "20 digits, unsigned, in Parquet": table(
        LEFT, "t.parquet", x=pl.Series([10**19 + 37 * int(i) for i in I], dtype=pl.UInt64)
    ),
    "as float": table(LEFT, x=[f"{n}.0" for n in LONG]),
    "as float64 in Parquet": table(
        LEFT, "t.parquet", x=[1.582218195625938945e18 + 512.0 * int(i % 99) for i in I]
    ),
    "UUIDs": table(LEFT, x=[f"{i * 7919:08x}-1f0e-4c3a-9d2b-{i * 104_729:012x}" for i in I]),
    "leading zeros": table(LEFT, x=[f"{i * 7919 % 99_991:06d}" for i in I]),
    "called id": Case(
        text("user_id,y", *rows((I * 7919 % 99_991).tolist(), Y.tolist())), {"user_id": LEFT, "y": "a number"}
    ),
    "codes of 19 digits that repeat": table(
        "a category of 3 values (1582218195625938945, 15",
        x=[1_582_218_195_625_938_945 + int(i % 3) for i in I],
    ),
}


def indexed(name: str, cells: Iterable[object], file: str = "t.csv") -> Case:
    frame = pl.DataFrame({name: list(cells), "y": Y, "z": B})
    saved = name.startswith(("Unnamed", "__index"))
    return Case(
        written(frame, file),
        {"y": "a number"} | ({} if saved else {name: LEFT}),
        saved * "pandas index",
        file,
    )


SHUFFLED = np.random.default_rng(9).permutation(3 * N)[:N]
READ["index columns"] = {
    "Unnamed: 0": indexed("Unnamed: 0", SHUFFLED),
    "Unnamed: 0 in Parquet": indexed("Unnamed: 0", I, "t.parquet"),
    "Unnamed: 0 as float": indexed("Unnamed: 0", SHUFFLED.astype(float)),
    "index": indexed("index", SHUFFLED),
    "level_0": indexed("level_0", SHUFFLED),
    "in order": indexed("n", I + 1),
    "with rows left out": indexed("n", np.sort(np.random.default_rng(1).permutation(200)[:N])),
    "in another order": indexed("n", np.random.default_rng(1).permutation(N)),
    "saved by pandas": indexed("__index_level_0__", SHUFFLED, "t.parquet"),
    "saved twice": Case(
        written(pl.DataFrame({"Unnamed: 0.1": I, "Unnamed: 0": SHUFFLED, "y": Y, "z": B}), "t.csv"),
        {"y": "a number"},
        "column 'Unnamed: 0' is a pandas index and was left out",
    ),
}
