"""From a table to the three parts that the ladder works on, in units of each column's deviation.

The deviation is the standard one, but of the middle of the column where its ends are so far out that they decide it.

Splitting looks at the raw rows; noise on lattice columns comes after it, in all parts alike; means and deviations are
those of the training part. All of it is float64 on the host, so rescaling a column changes nothing that is trained.

A row of weight w counts as w equal rows do, in means and deviations too; a row of weight 0 is in no part.
"""

from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.bijections import Support
from shoal.distributions import Categorical, Filling, Turns
from shoal.records.fit import StreamRecord
from shoal.selection._bounds import support_of, turns_of, unbounded
from shoal.tables import FRACTIONS, Lattice, Table, dequantize, detect_lattice, hashed_parts, split
from shoal.training import RowSource

PARTS = ("train", "validation", "test")
MIDDLE = (0.05, 0.95)  # the share of a column that is its middle: 3.29 deviations of a normal one
HEAVY = 3.0  # a column whose standard deviation is so many times that of its middle is measured by the middle
RESOLUTION = 1e-3  # of a column's deviation: coarser values in float32 are refused
LIMITS = {"float32": (1e-30, 1e37), "float64": (1e-150, 1e150)}  # least range and largest value of a column


@dataclass(frozen=True)
class Part:
    """Rows of one part: `x` and `context` standardised, `weights`, and their positions in the table.

    `beside`: what each row's log p has beyond the flow's: the log-probability of its codes, less the log-density of the
    numbers that were drawn where it has none, and what bounds and circles add; None where a table is plain.
    """

    x: FloatArray
    context: FloatArray | None
    weights: FloatArray | None
    rows: IntArray
    beside: FloatArray | None = None


@dataclass(frozen=True)
class Prepared:
    """A table ready for the ladder; `values` are the table's with noise on the lattice columns where asked for.

    `mass`, `filling`: of a table with discrete variables: the law of its codes, and of numbers that rows lack. `support`,
    `turns`: of one with columns that keep to intervals, or are periodic: `parts`, `mean`, `scale` are of numbers without.
    `redrawn`: the training rows with several draws of the numbers that they lack. `source`: where the training rows of a
    large table lie in blocks; of one that is read in pieces the parts hold a sample, `rows` says how many it has.
    """

    table: Table
    values: FloatArray
    lattices: tuple[Lattice, ...]
    dequantized: bool
    parts: dict[str, Part]
    mean: FloatArray
    scale: FloatArray
    context_mean: FloatArray | None
    context_scale: FloatArray | None
    mass: Categorical | None = None
    filling: Filling | None = None
    support: Support | None = None
    turns: Turns | None = None
    redrawn: Part | None = None
    source: RowSource | None = None
    rows: int | None = None
    stream: StreamRecord | None = None

    @property
    def states(self) -> int:
        """How many columns of the context, the last ones, are one-hot codes."""
        return 0 if self.mass is None else sum(self.mass.sizes)

    def standardised(self, whole: FloatArray) -> FloatArray:
        """Numbers and those of the context, side by side, in standard units."""
        beside = whole.shape[1] - len(self.mean)  # the last entries of the context's units belong to codes
        if not beside or self.context_mean is None or self.context_scale is None:
            return (whole - self.mean) / self.scale
        mean = np.append(self.mean, self.context_mean[:beside])
        return (whole - mean) / np.append(self.scale, self.context_scale[:beside])

    @property
    def steps(self) -> Part:
        """The rows of training steps: the training rows, several times where numbers that they lack are drawn."""
        return self.parts["train"] if self.redrawn is None else self.redrawn

    @property
    def epochs(self) -> tuple[int, int]:
        """The rows of an epoch, and the epochs of one pass."""
        return (len(self.steps.x), 1) if self.source is None else (self.source.size, self.source.blocks)

    def to_train(self) -> dict[str, FloatArray | RowSource | None]:
        """The arguments of `fit` that are the rows of training steps."""
        if self.source is not None:
            return {"data": self.source}
        return {"data": self.steps.x, "context": self.steps.context, "weights": self.steps.weights}

    def user_log_prob(self, part: str, logs: FloatArray, rows: IntArray | slice = slice(None)) -> FloatArray:
        """log p of rows of a part in the user's units, from that of the standardised rows under a flow."""
        beside = self.parts[part].beside
        return logs - float(np.sum(np.log(self.scale))) + (0.0 if beside is None else beside[rows])

    @property
    def log_volume(self) -> float:
        """The mean, over the validation rows, of what log p of standardised rows has beyond that in the user's units."""
        part = self.parts["validation"]
        beside = 0.0 if part.beside is None else np.average(part.beside, weights=part.weights)
        return float(np.sum(np.log(self.scale)) - beside)


def prepare(
    table: Table,
    *,
    seed: int,
    dequantize_columns: bool,
    dtype: str,
    parts: tuple[float, float, float] = FRACTIONS,
    hashed: bool = False,
) -> Prepared:
    """Split, dequantize, standardise. `hashed`: a row's part follows from its values alone, as for pieces of a table.

    **Raises:** `InputError` for columns that are constant in the training part or that `dtype` can not hold or resolve, and
    for too few distinct rows.
    """
    used = np.arange(table.rows) if table.weights is None else np.flatnonzero(table.weights)
    names, k = (*table.names, *table.context_names), len(table.names)
    rows, whole = raw_rows(table, used, dtype)
    divided = split_by_hash if hashed else split
    chosen = divided(rows, seed, parts, label=table.source)
    index = {name: used[rows] for name, rows in zip(PARTS, chosen, strict=True)}
    lattices = (
        detect_lattice(table.values[used], table.names) if table.schema is None else table.schema.lattices()
    )
    noisy, whole, extra = on_the_line(whole, table, lattices if dequantize_columns else (), (seed,))
    mean, scale = _all_moments(whole, index["train"], table)
    _check_resolution(whole[used], scale, names, table.source, dtype)
    hot = one_hot(table)
    standard = np.hstack([(whole - mean) / scale, hot])
    made = {
        name: Part(
            standard[rows, :k],
            standard[rows, k:] if standard.shape[1] > k else None,
            None if table.weights is None else table.weights[rows],
            rows,
            None if extra is None else extra[rows],
        )
        for name, rows in index.items()
    }
    mean, scale = np.append(mean, np.zeros(hot.shape[1])), np.append(scale, np.ones(hot.shape[1]))
    return Prepared(
        table=table,
        values=noisy[:, :k],
        lattices=lattices,
        dequantized=dequantize_columns and bool(lattices),
        parts=made,
        mean=mean[:k],
        scale=scale[:k],
        context_mean=mean[k:] if len(mean) > k else None,
        context_scale=scale[k:] if len(mean) > k else None,
        support=support_of(table),
        turns=turns_of(table),
    )


def raw_rows(table: Table, used: IntArray, dtype: str) -> tuple[FloatArray, FloatArray]:
    """The `used` rows with their context and codes, by which parts are told; and all numbers, codes left aside."""
    beside = np.empty((table.rows, 0)) if table.context is None else table.context
    codes = np.empty((table.rows, 0)) if table.codes is None else table.codes.astype(np.float64)
    whole: FloatArray = np.hstack([table.values, beside])
    _check_range(whole[used], (*table.names, *table.context_names), table.source, dtype)
    return np.hstack([whole, codes])[used], whole


def on_the_line(
    whole: FloatArray, table: Table, lattices: tuple[Lattice, ...], seed: tuple[int, ...]
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """The numbers with noise on the lattice columns; these without bounds; and what log p has beyond that of the latter.

    `seed`: of the noise; what follows its first number tells pieces of a table apart.
    """
    first, *piece = seed
    if lattices:
        whole = dequantize(whole, lattices, np.random.SeedSequence([first, 1, *piece]))
    places = np.random.SeedSequence([first, 3, *piece])
    return whole, *unbounded(whole, table, turns_of(table), support_of(table), places)


def split_by_hash(
    values: FloatArray, seed: int, fractions: tuple[float, float, float], *, label: str
) -> tuple[IntArray, IntArray, IntArray]:
    """`split` where a row's part follows from its values alone. **Raises:** `InputError` if a part would be empty."""
    part = hashed_parts(values, seed, fractions)
    train, validation, test = (np.flatnonzero(part == i) for i in range(3))
    if not (train.size and validation.size and (test.size or not fractions[2])):
        raise InputError(f"{label}: too few distinct rows for training, validation and test parts.")
    return train, validation, test


def one_hot(table: Table) -> FloatArray:
    """1 at the state of each discrete variable, 0 elsewhere: (rows, sum of their states)."""
    sizes = () if table.schema is None else table.schema.sizes
    if table.codes is None or not sizes:
        return np.empty((table.rows, 0))
    parts = [table.codes[:, [j]] == np.arange(size) for j, size in enumerate(sizes)]
    return np.hstack(parts).astype(np.float64)


def _all_moments(whole: FloatArray, train: IntArray, table: Table) -> tuple[FloatArray, FloatArray]:
    """Means and deviations of the training rows, of each column over the rows that hold a number in it."""
    names = (*table.names, *table.context_names)
    weights = None if table.weights is None else table.weights[train]
    if table.present is None or table.present[train].all():
        return _moments(whole[train], weights, names, table.source)
    found = []
    for j, name in enumerate(names):
        there = table.present[train, j] if j < len(table.names) else np.ones(len(train), bool)
        if not there.any():
            raise InputError(
                f"{table.source}: column {name!r} holds no number in the training part; leave it out."
            )
        rows = whole[train[there], j : j + 1]
        found.append(_moments(rows, None if weights is None else weights[there], (name,), table.source))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def _moments(
    values: FloatArray, weights: FloatArray | None, names: tuple[str, ...], source: str
) -> tuple[FloatArray, FloatArray]:
    start = np.median(values, axis=0)  # sums of differences from it round by far less than sums of the values
    gaps = values - start
    gap = np.average(gaps, axis=0, weights=weights)
    mean, scale = start + gap, np.sqrt(np.average((gaps - gap) ** 2, axis=0, weights=weights))
    flat = (np.ptp(values, axis=0) == 0) | ~(scale > 0)  # rounding can give a constant a deviation
    if flat.any():
        name = names[int(np.argmax(flat))]
        raise InputError(f"{source}: column {name!r} is constant in the training part; leave it out.")
    middle, size = _middle(values, weights)
    heavy = (size > 0) & (scale > HEAVY * size)
    return np.where(heavy, middle, mean), np.where(heavy, size, scale)


def _middle(values: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Median and deviation of the middle of each column, by (weighted) quantiles."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    w = np.ones(len(values)) if weights is None else weights
    share = np.cumsum(w[order], axis=0) - 0.5 * w[order]
    at = lambda q: np.array([np.interp(q, s / w.sum(), v) for s, v in zip(share.T, ordered.T, strict=True)])
    return at(0.5), (at(MIDDLE[1]) - at(MIDDLE[0])) / 3.29


def _check_range(values: FloatArray, names: tuple[str, ...], source: str, dtype: str) -> None:
    least, largest = LIMITS[dtype]
    size, spread = np.abs(values).max(axis=0), np.ptp(values, axis=0)
    beyond = (size > largest) | ((spread < least) & (spread > 0))
    if beyond.any():
        i = int(np.argmax(beyond))
        found = f"reaches {size[i]:.6g}" if size[i] > largest else f"varies by no more than {spread[i]:.3g}"
        wider = ", or use dtype float64" if dtype == "float32" and LIMITS["float64"][0] < spread[i] else ""
        raise InputError(
            f"{source}: column {names[i]!r} {found}, beyond what {dtype} can hold; give it in another unit{wider}."
        )


def _check_resolution(
    values: FloatArray, scale: FloatArray, names: tuple[str, ...], source: str, dtype: str
) -> None:
    if dtype != "float32":
        return
    largest = np.quantile(np.abs(values), 0.99, axis=0)  # a row far out is told from others by far less
    coarse = largest * np.finfo(np.float32).eps > RESOLUTION * scale
    if coarse.any():
        i = int(np.argmax(coarse))
        raise InputError(
            f"{source}: column {names[i]!r} varies by {scale[i]:.3g} around values up to {largest[i]:.6g}, "
            "which float32 can not tell apart; subtract an offset, or use dtype float64."
        )
