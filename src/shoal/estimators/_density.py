"""`FlowDensity`: the ladder as a scikit-learn density estimator.

Log-densities are computed in float64 whatever the precision of the weights, in pieces of few sizes, so that a row's value
does not depend on the rows beside it. A fitted estimator is pickled as its parameters and the bytes of the files that
`shoal.save` writes.
"""

import operator
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
import polars as pl

from shoal._compiling import quickly
from shoal._errors import InputError, NumericalFailure, one_line
from shoal._pieces import in_pieces, piece
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike, Key
from shoal.conditioning import compute
from shoal.distributions import AbstractFlow, Mixed, log_prob_of_cells
from shoal.estimators._few_rows import few_rows_normal
from shoal.estimators._offsets import counted, find_offsets
from shoal.flows import Family, checked, family, load, save
from shoal.records import RECORD, FitRecord, read_record, write_record
from shoal.selection import fit_depth, ladder
from shoal.tables import MINIMUM_ROWS, Schema, Table, as_source, as_table
from shoal.training import Settings

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        '`shoal.FlowDensity` needs scikit-learn: run `pip install "shoal[sklearn]"`.', name="sklearn"
    ) from error

Options: TypeAlias = dict[str, Any]  # of `ladder` and `fit_depth`
LEAST_ROWS = 200  # a tenth of them are validation rows: fewer than 20 can not tell a flow from a normal
SMALLEST, LARGEST = 64, 8192  # rows that go through a program together
SEEDS = 2**31 - 1
FILES = "files"  # of a fitted estimator's state: name -> bytes


class FlowDensity(DensityMixin, BaseEstimator):
    r"""The density of a table as a scikit-learn estimator: the ladder's choice, or a flow of a depth that is given.

    `fit(X)` estimates a density $p$; `score_samples(X)` is $\log p$ of each row, `score(X)` its mean, so that `GridSearchCV`
    and `cross_val_score` compare by held-out likelihood; `sample(n)` draws rows. Fewer than 200 rows (of a weight above 0)
    get no layer: their density is a normal, its correlations shrunk, its variances widened, with logarithmic tails.

    **Arguments:**

    - `depth`: None: `shoal.ladder` chooses. A whole number: a flow of so many layers behind the front that is likeliest on
      validation rows (0: that front alone), trained without a choice.
    - `families`: of flows, names or `shoal.flows.Family` values. `fronts`: what stands between data and layers (None: those
      of `shoal.ladder`).
    - `time_limit`: seconds of a `fit`, compiling included (None: none).
    - `random_state`: a whole number, from which everything random of a `fit` follows; a NumPy `RandomState`, or None for
      another fit each time.
    - `max_epochs`: passes over the rows (None: by their number). `learning_rate` (None: 0.003). `hidden`: widths of the
      conditioners' layers (None: the family's own).
    - `validation_fraction`: the share of the rows that training is stopped and flows are compared by. There is no test part:
      hold rows out beside `fit`, as with every estimator.

    - `kinds`: None: every column holds numbers that have a density. `{}`, or kinds of some columns by name (x0, x1, ... of
      an array): columns are taken for what they are (words, flags, dates, counts, shares of zeros, missing cells), as
      `shoal fit` does; log p is then that of a whole row, and `sample` gives a data frame of the same library, or an array
      of floats, NaN where a cell is missing. It takes 100 rows or more.

    **Attributes** of a fitted one: `flow_` (in the units of X, with its column names), `depth_` (its layers), `record_` (the
    ladder's record, from which `shoal.report.write_report` draws a page; None where the ladder did not choose), `schema_`
    (what the columns are; None without `kinds`), `n_features_in_`, `feature_names_in_`.

    A column of whole numbers, or of another lattice, gets the ladder's uniform noise of one step while it is fitted; log p
    is a density in the column's units all the same. Whole numbers beyond 2^53, which float64 can not tell apart, are counted
    from the least one of their column (`offsets_`), and `flow_` is of these; `sample` gives whole numbers where all are.
    """

    flow_: AbstractFlow | Mixed
    schema_: Schema | None
    depth_: int
    offsets_: dict[int, int]
    record_: FitRecord | None
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self,
        *,
        depth: int | None = None,
        families: Sequence[str | Family] | str | Family = ("nsf",),
        fronts: Sequence[str] | str | None = None,
        time_limit: float | int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        max_epochs: int | None = None,
        learning_rate: float | None = None,
        hidden: Sequence[int] | None = None,
        validation_fraction: float = 0.1,
        kinds: Mapping[str, str] | None = None,
    ):
        self.depth = depth
        self.families = families
        self.fronts = fronts
        self.time_limit = time_limit
        self.random_state = random_state
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.hidden = hidden
        self.validation_fraction = validation_fraction
        self.kinds = kinds

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> "FlowDensity":
        """Estimate the density of the rows of `X`.

        **Arguments:** `X`: (rows, columns), finite numbers, an array or a data frame; `y`: not used; `sample_weight`:
        (rows,), 0 or more: a row of weight w counts as w equal rows do.
        **Returns:** itself. **Raises:** ValueError, one sentence: what scikit-learn finds wrong with `X`; a column that is
        constant, follows from others or, without `kinds`, has a value that many rows share, so that there is no density; a
        parameter that can not be. `NumericalFailure` where no flow was finite. Ctrl-C is raised again when what was done
        until then is in place.
        """
        options = self._options()
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        if weights is not None and weights.size and not weights.any():
            raise InputError(
                "`sample_weight`: every weight is zero; give at least one row a weight above zero."
            )
        table = self._table(X, weights)
        options["seed"] = int(check_random_state(self.random_state).randint(SEEDS))
        interrupted = False
        few = (table.rows if weights is None else int((weights > 0).sum())) < LEAST_ROWS
        if few and self.schema_ is None:
            self._fit_few(table)
        elif self.depth is None:
            interrupted = self._fit_ladder(table, options)
        else:
            interrupted = self._fit_depth(table, options)
        if interrupted:
            raise KeyboardInterrupt
        return self

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """log p of each row, (rows,), natural logarithm, in the units of the columns that were fitted.

        Of families that add coordinates (anode, anf) it is the lower bound that they train on.

        **Raises:** `NotFittedError` before `fit`; ValueError for rows that do not fit the fitted columns.
        """
        check_is_fitted(self, "flow_")
        if self.schema_ is not None:
            rows = self.schema_.rows(as_source(X))
            logs = np.asarray(log_prob_of_cells(self.flow_, rows.values, None, rows.lattices), np.float64)
            return np.where(rows.outside, -np.inf, logs)
        x = self._rows(X, reset=False)
        run = lambda rows: compute(_log_prob, self.flow_, rows, precision="float64")
        return in_pieces(run, piece(len(x), SMALLEST, LARGEST), x)[0]

    def score(self, X: ArrayLike, y: object = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]  (None there)
        """The mean of `score_samples`, in nats a row; `y` is not used."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Any:
        """Rows drawn from the density, (n_samples, columns); with `kinds` as they were fitted. `random_state` None: other
        ones each time.

        **Raises:** `NotFittedError` before `fit`; `InputError` for less than one row.
        """
        check_is_fitted(self, "flow_")
        count = _whole(n_samples, "n_samples", 1)
        key = jax.random.key(check_random_state(random_state).randint(SEEDS))
        size = piece(count, SMALLEST, LARGEST)
        parts = [
            compute(_sample, self.flow_, jax.random.fold_in(key, i), np.zeros(size), precision="float64")
            for i in range(-(-count // size))
        ]
        rows = np.concatenate(parts)[:count]
        if self.schema_ is not None:
            return self._frame(self.schema_, rows)
        first = np.array([self.offsets_.get(i, 0) for i in range(rows.shape[1])])
        return np.rint(rows).astype(np.int64) + first if first.all() else rows + first

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        flow, record = state.pop("flow_", None), state.pop("record_", None)
        if flow is None:
            return state
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save(flow, folder)
            if record is not None:
                write_record(record, folder / RECORD)
            return {**state, FILES: {path.name: path.read_bytes() for path in folder.iterdir()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.get(FILES)
        self.__dict__.update({name: value for name, value in state.items() if name != FILES})
        if files is None:
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, content in files.items():
                (folder / Path(file).name).write_bytes(content)
            self.flow_ = load(folder)
            self.record_ = read_record(folder / RECORD, FitRecord) if RECORD in files else None

    def _table(self, X: ArrayLike, weights: FloatArray | None) -> Table:
        """The checked table of `X`; sets what is known of its columns."""
        if self.kinds is None:
            self.schema_ = None
            x = self._rows(X, ensure_min_samples=2)
            names = getattr(self, "feature_names_in_", None)
            columns = None if names is None else tuple(names)
            return as_table(x, columns, weights=weights, minimum_rows=2, distinct=True)
        table = as_table(X, kinds=self.kinds, weights=weights, minimum_rows=MINIMUM_ROWS, distinct=True)
        self.schema_, self._library = table.schema, type(X).__module__.partition(".")[0]
        vars(self).pop("feature_names_in_", None)
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.array([str(name) for name in X.columns], object)
        self.n_features_in_ = np.shape(X)[1]
        return table

    def _frame(self, schema: Schema, rows: FloatArray) -> Any:
        """Rows as the data frame or the array that was fitted has them."""
        states = len(schema.discrete)
        found = schema.decode(rows[:, :states].astype(int), np.asarray(rows[:, states:], np.float64))
        if self._library == "polars":
            return pl.DataFrame(found)
        if self._library != "pandas":
            return np.stack([column.cast(pl.Float64).to_numpy() for column in found.values()], axis=1)
        import pandas as pd  # it was there when its frame was fitted

        return pd.DataFrame({name: column.to_numpy() for name, column in found.items()})

    def _rows(self, X: ArrayLike, *, reset: bool = True, ensure_min_samples: int = 1) -> FloatArray:
        if reset:
            self.offsets_ = find_offsets(X)
        X = counted(X, self.offsets_)
        try:
            return np.asarray(
                validate_data(self, X, dtype=np.float64, reset=reset, ensure_min_samples=ensure_min_samples)
            )
        except ValueError as error:
            if not hasattr(X, "columns"):
                raise
            cure = "FlowDensity(kinds={}) takes words, flags, dates and missing cells for what they are."
            raise InputError(f"{one_line(error)}. {cure}") from error

    def _options(self) -> Options:
        """The parameters, checked, as `ladder` and `fit_depth` take them."""
        if self.depth is not None:
            _whole(self.depth, "depth", 0)
        share = self.validation_fraction
        if not 0 < share < 1:
            raise InputError(f"`validation_fraction` must lie between 0 and 1; got {share!r}.")
        families = (self.families,) if isinstance(self.families, (str, Family)) else tuple(self.families)
        fronts = (self.fronts,) if isinstance(self.fronts, str) else self.fronts
        for name in fronts or ():
            checked(name)
        given = {"max_epochs": self.max_epochs, "learning_rate": self.learning_rate}
        settings = {name: value for name, value in given.items() if value is not None}
        limit = self.time_limit
        if isinstance(limit, int) and not isinstance(limit, bool):
            limit = float(limit)
        Settings(**settings, time_limit=limit)
        return {
            "families": tuple(family(kind) for kind in families),
            "fronts": None if fronts is None else tuple(fronts),
            "time_limit": limit,
            "hidden": None if self.hidden is None else tuple(self.hidden),
            "parts": (1.0 - share, share, 0.0),
            "settings": settings,
        }

    def _fit_few(self, table: Table) -> None:
        if self.depth:
            warnings.warn(
                f"FlowDensity(depth={self.depth}): fewer than {LEAST_ROWS} rows of a weight above 0 are too few for layers; "
                "the density is a normal without any.",
                stacklevel=3,
            )
        self.flow_, self.depth_, self.record_ = few_rows_normal(table), 0, None

    def _fit_ladder(self, table: Table, options: Options) -> bool:
        result = ladder(table, **options)
        decision = result.record.decision
        if result.flow is None or decision.kept is None:
            if result.interrupted:
                raise KeyboardInterrupt
            raise NumericalFailure(decision.sentence)
        self.flow_, self.record_ = result.flow, result.record
        self.depth_ = result.record.rungs[decision.kept].depth
        return result.interrupted

    def _fit_depth(self, table: Table, options: Options) -> bool:
        depth = _whole(self.depth, "depth", 0)
        done = fit_depth(table, depth, **options)
        if done.depth != depth and not done.interrupted:
            warnings.warn(
                f"FlowDensity(depth={depth}): no training reached the end of an epoch with a finite likelihood; the density "
                "is the front without layers. Give a longer `time_limit`, or none.",
                stacklevel=3,
            )
        self.flow_, self.depth_, self.record_ = done.flow, done.depth, None
        return done.interrupted


def _whole(value: Any, name: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise InputError(f"`{name}` must be a whole number of at least {least}; got {value!r:.40}.")
    return number


@quickly
def _log_prob(flow: AbstractFlow | Mixed, x: Array) -> Array:
    return flow.log_prob(x)


@quickly
def _sample(flow: AbstractFlow | Mixed, key: Key, rows: Array) -> Array:
    return flow.sample(key, rows.shape)
