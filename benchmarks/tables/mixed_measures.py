"""How near sampled rows are to real ones: association of pairs of columns, and a classifier that tells them apart."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from .mixed_rows import Columns, MixedRows
from .prepare import Rows

FOLDS, LEAST = 5, 20


def cells(columns: Columns, rows: MixedRows) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows in the table's units, one number a column, NaN where a number is missing; and which columns are categories.

    A category is the place of its level (the last: missing), a number is rounded back to its lattice, an atom is itself.
    """
    found, code, value = [], iter(rows.codes.T), iter(rows.values.T)
    for c in columns.all:
        state = next(code) if c.states > 1 else np.zeros(len(rows), int)
        if not c.is_number:
            found.append(state.astype(float))
            continue
        numbers = c.rounded(next(value) * c.deviation + c.mean)
        for i, atom in enumerate(c.atoms):
            numbers = np.where(state == i + 1, atom, numbers)
        found.append(np.where(state > len(c.atoms), np.nan, numbers))
    return np.array(found).T, np.array([not c.is_number for c in columns.all])


def cramer(a: Rows, b: Rows) -> float:
    """Cramér's V of two categories: sqrt(chi² / (n (min(r, c) - 1))); 0 where one is constant."""
    first, second = (np.unique(x, return_inverse=True)[1] for x in (a, b))
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1)
    least = min(counts.shape) - 1
    if not least:
        return 0.0
    expected = np.outer(counts.sum(1), counts.sum(0)) / len(a)
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / len(a) / least))


def ratio(category: Rows, number: Rows) -> float:
    """The correlation ratio: the root of the share of the number's variance that lies between the levels."""
    place = np.unique(category, return_inverse=True)[1]
    counts = np.bincount(place)
    means = np.bincount(place, number) / counts
    whole = number.var()
    return (
        float(np.sqrt((counts * (means - number.mean()) ** 2).sum() / len(number) / whole)) if whole else 0.0
    )


def spearman(a: Rows, b: Rows) -> float:
    """The correlation of the ranks; 0 where one is constant."""
    first, second = (rankdata(x) - (len(x) + 1) / 2 for x in (a, b))
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size else 0.0


def association(table: Rows, categories: NDArray[np.bool_]) -> Rows:
    """The measure of each pair of columns over the rows that have both; NaN where fewer than 20 do."""
    found = []
    for i, j in combinations(range(table.shape[1]), 2):
        both = table[np.isfinite(table[:, [i, j]]).all(1)][:, [i, j]].T
        if both.shape[1] < LEAST:
            found.append(np.nan)
        elif categories[i] and categories[j]:
            found.append(cramer(*both))
        elif categories[i] or categories[j]:
            found.append(ratio(*(both if categories[i] else both[::-1])))
        else:
            found.append(spearman(*both))
    return np.array(found)


def association_error(columns: Columns, real: MixedRows, made: MixedRows) -> float:
    """The mean over the pairs of the absolute difference; a pair that the made rows lack counts its real value."""
    (a, categories), (b, _) = cells(columns, real), cells(columns, made)
    first, second = association(a, categories), association(b, categories)
    return float(np.nanmean(np.abs(first - np.nan_to_num(second))))


def detection(columns: Columns, real: MixedRows, made: MixedRows, seed: int = 0) -> float:
    """The area under the curve of gradient-boosted trees between real and made rows, each row judged by the four fifths
    that it is not in: 0.5 is chance, 1 tells all."""
    (a, categories), (b, _) = cells(columns, real), cells(columns, made)
    rows, label = np.vstack([a, b]), np.repeat([0, 1], [len(a), len(b)])
    for j in np.flatnonzero(categories):  # levels that occur, counted from 0
        rows[:, j] = np.unique(rows[:, j], return_inverse=True)[1]
    trees = HistGradientBoostingClassifier(categorical_features=categories, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    said = cross_val_predict(trees, rows, label, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(label, said))
