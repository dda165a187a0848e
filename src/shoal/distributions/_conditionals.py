"""One column of a row given all others, under a law of whole rows: which cells are unlikely, and what stands in gaps.

p(x_j | rest) = p(row) / (sum over the states of column j + integral over its numbers). The integral is by the trapezoidal
rule on nodes at quantiles of the column and, closer and closer, around one number of each row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import jax
import numpy as np
from scipy.special import ndtr

from shoal._errors import InputError
from shoal._pieces import in_pieces
from shoal._scalars import BoolArray, FloatArray, IntArray
from shoal.distributions._flow import AbstractFlow
from shoal.distributions._mixed import Mixed
from shoal.tables import Schema
from shoal.tables._column import Column

Law: TypeAlias = AbstractFlow | Mixed
ROWS = 4096  # that go through a program together
SAMPLED = 4096  # rows of the law, from which the nodes are
NODES, NEAR = 64, 32  # at quantiles, and around a number
OUTER = 2.0 ** np.arange(5)  # of the column's middle half: how far beyond the outer ones further nodes are
WIDEST = 3.6  # deviations of a normal one at whose quantiles the outer nodes are
CLOSEST = 1e-4  # of the column's middle half: the distance of the nearest node
BLOCK = 512  # rows with all their options at a time
WIDER = 4.0  # times the gap beside: a gap between nodes that gets more of them
SMALLEST = 1e-4  # of such a gap: the least step into it
SWEEPS = 10  # over the columns of a row with gaps
DRAWS = 16  # of numbers that a row lacks


@dataclass(frozen=True)
class Options:
    """What a column may hold in each of the rows: `rows` (R, O, n), `logs` (R, O) of their p(row), `width` (R, O).

    A state without a number has the width 1, a node the length that it stands for.
    """

    rows: FloatArray
    logs: FloatArray
    width: FloatArray

    @property
    def log_masses(self) -> FloatArray:
        """log of p(row) times width: (R, O)."""
        with np.errstate(divide="ignore"):
            return self.logs + np.log(self.width)

    @property
    def log_total(self) -> FloatArray:
        """log of the sum over all options: (R,)."""
        return np.logaddexp.reduce(self.log_masses, axis=1)

    @property
    def shares(self) -> FloatArray:
        """The probability of each option given the rest, NaN where none has any: (R, O)."""
        with np.errstate(invalid="ignore"):
            return np.exp(self.log_masses - self.log_total[:, None])


@dataclass
class Conditionals:
    """The conditional laws of a table's columns. Rows are (codes, numbers), as `Schema.encode` has them.

    `law`: with `schema`; `seed`: of everything that is drawn; `context`: (rows, c) of a law that has one, that of the rows
    that are asked about, which may be set anew for others; `among`: the contexts of rows that are drawn, `SAMPLED` of them
    (None: those at `sampled_rows` of `context`). Inside, a row's context stands behind it, and stays as it is.
    """

    law: Law
    schema: Schema
    seed: int = 0
    context: FloatArray | None = None
    among: FloatArray | None = None
    drawn: FloatArray = field(init=False)
    grids: dict[str, tuple[FloatArray, float]] = field(
        init=False, default_factory=dict
    )  # found once a column

    def __post_init__(self) -> None:
        key = jax.random.key(self.seed)
        if self.law.context_shape is None:
            self.drawn = np.asarray(self.law.sample(key, (SAMPLED,)), np.float64)
            return
        if self.context is None or not len(self.context):
            raise InputError("the law has a context; give rows of it as `context`.")
        some = self.context[sampled_rows(len(self.context), self.seed)] if self.among is None else self.among
        self.drawn = np.hstack([np.asarray(self.law.sample(key, (), some), np.float64), some])

    def log_prob(self, rows: FloatArray) -> FloatArray:
        """log p of each row, numbers that it lacks drawn `DRAWS` times. A row has its context behind it."""
        law, key, n = self.law, jax.random.key(self.seed), self.law.shape[0]
        ways: list[tuple[BoolArray, Callable[..., object]]] = [(np.ones(len(rows), bool), law.log_prob)]
        if isinstance(law, Mixed) and law.filling is not None:
            lacking = self._lacking(rows)
            estimate = lambda x, c: law.log_prob_estimate(key, x, c, samples=DRAWS).value
            ways = [(~lacking, law.log_prob), (lacking, estimate)]
        found = np.empty(len(rows))
        for which, run in ways:
            if which.any():
                some = rows[which]
                context = None if law.context_shape is None else some[:, n:]
                found[which] = in_pieces(run, ROWS, some[:, :n], context)[0]
        return np.where(np.isnan(found), -np.inf, found)  # a node outside the column's interval

    def _wide(self, rows: FloatArray) -> FloatArray:
        return rows if self.context is None else np.hstack([rows, self.context])

    def _lacking(self, rows: FloatArray) -> BoolArray:
        """Which rows have a missing cell or an atom in a column of numbers."""
        gates = [gate for gate in self.schema.gates() if gate >= 0]
        return (rows[:, gates] != 0).any(axis=1)

    def surprises(self, rows: FloatArray) -> FloatArray:
        """How much less likely each cell is than what the rest of its row lets expect, in nats: (rows, columns).

        -log p(x_j | rest) less its mean under that law, the entropy; the columns are `schema.names`.
        """
        columns, rows = self._columns(), self._wide(rows)
        found = np.empty((len(rows), len(columns)))
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            own = self.log_prob(some)
            for j, column in enumerate(columns):
                options = self.options(column, some, self._centres(column, some), gone=True)
                p = options.shares
                with np.errstate(divide="ignore", invalid="ignore"):
                    entropy = -np.where(p > 0, p * np.log(p / options.width), 0.0).sum(axis=1)
                    found[start : start + BLOCK, j] = options.log_total - own - entropy
        return found

    def complete(self, rows: FloatArray) -> BoolArray:
        """Which rows have a word or a number in every column."""
        return ~np.asarray(np.any([self._gaps(c, rows) for c in self._columns()], axis=0))

    def completed(self, rows: FloatArray, block: int = 0) -> FloatArray:
        """The rows with a draw in place of each missing cell, given the rest: `SWEEPS` rounds of Gibbs sampling.

        As if a cell were missing whatever it held, given the others. `block`: of a table whose rows come in several.
        """
        seed = [self.seed, block] if block else self.seed
        rng, rows = np.random.default_rng(seed), self._wide(rows)
        made, whole = rows.copy(), self.drawn[self.complete(self.drawn)]
        gaps = {c.name: self._gaps(c, rows) for c in self._columns()}
        for c in self._columns():
            given = whole if len(whole) else self.drawn
            place = self._places(c)
            many = np.ix_(np.flatnonzero(gaps[c.name]), place)
            made[many] = given[rng.integers(0, len(given), len(many[0]))][:, place]
        several = np.sum([g.astype(int) for g in gaps.values()], axis=0) > 1
        for sweep in range(SWEEPS):
            for c in self._columns():
                index = np.flatnonzero(gaps[c.name] & (several | (sweep == 0)))
                for start in range(0, len(index), BLOCK):
                    some = index[start : start + BLOCK]
                    made[some] = self._redrawn(c, made[some], rng)
        return made[:, : self.law.shape[0]]

    def options(self, column: Column, rows: FloatArray, near: FloatArray | None, *, gone: bool) -> Options:
        """All that a column may hold in rows: its states, with `gone` also the missing one, and nodes of its numbers.

        **Arguments:** `near`: of each row numbers (R, m) around which there are more nodes.
        """
        states, place = self._states(column, gone), self._places(column)
        nodes = self._nodes(column, near, len(rows)) if column.is_continuous else np.empty((len(rows), 0))
        options = np.repeat(rows[:, None, :], len(states) + nodes.shape[1], axis=1)
        width = np.ones(options.shape[:2])
        if column.states:
            options[:, :, place[0]] = [*states, *[0] * nodes.shape[1]]
        if column.is_continuous:
            options[:, :, place[-1]] = 0.0
            options[:, len(states) :, place[-1]] = nodes
            half = 0.5 * np.diff(nodes, axis=1)
            width[:, len(states) :] = np.pad(half, ((0, 0), (1, 0))) + np.pad(half, ((0, 0), (0, 1)))
        logs = self.log_prob(options.reshape(-1, rows.shape[1])).reshape(width.shape)
        return Options(options, logs, width)

    def _redrawn(self, column: Column, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The rows with another draw of the column, given the rest; numbers by nodes around a first draw."""
        options, chosen = self._drawn_options(column, rows, None, rng)
        every = np.arange(len(rows))
        if column.is_continuous:
            near = self._number(column, options.rows[every, chosen])[:, None]
            options, chosen = self._drawn_options(column, rows, near, rng)
        made = options.rows[every, chosen]
        if column.is_continuous:
            skipped, place = len(self._states(column, False)), self._places(column)[-1]
            nodes, at = options.rows[:, skipped:, place], np.maximum(chosen - skipped, 0)
            below = 0.5 * (nodes[every, at] - nodes[every, np.maximum(at - 1, 0)])
            above = 0.5 * (nodes[every, np.minimum(at + 1, nodes.shape[1] - 1)] - nodes[every, at])
            moved = nodes[every, at] - below + (below + above) * rng.random(len(rows))
            made[:, place] = np.where(chosen >= skipped, moved, made[:, place])
        return np.where(np.isfinite(options.log_total)[:, None], made, rows)

    def _drawn_options(
        self, column: Column, rows: FloatArray, near: FloatArray | None, rng: np.random.Generator
    ) -> tuple[Options, IntArray]:
        """All options, and a draw among them for each row."""
        options = self.options(column, rows, near, gone=False)
        p = np.nan_to_num(options.shares)
        below = np.cumsum(p, axis=1) < rng.random((len(rows), 1)) * p.sum(axis=1, keepdims=True)
        return options, np.minimum(below.sum(axis=1), p.shape[1] - 1)

    def _nodes(self, column: Column, near: FloatArray | None, count: int) -> FloatArray:
        """Nodes of the column's numbers for each of `count` rows, in ascending order."""
        low, high = column.support
        if column.period is not None:  # one turn, as the law has it
            low, high = column.center - 0.5 * column.period, column.center + 0.5 * column.period
            near = None if near is None else low + np.mod(near - low, column.period)
        if column.name not in self.grids:
            self.grids[column.name] = self._grid(column)
        nodes, reach = self.grids[column.name]
        found = np.broadcast_to(nodes, (count, len(nodes)))
        if near is not None:
            steps = reach * np.geomspace(CLOSEST, 1.0, NEAR // 2)
            around = near[:, :, None] + np.concatenate([-steps[::-1], [0.0], steps])
            found = np.concatenate([found, around.reshape(count, -1)], axis=1)
        return np.sort(np.clip(found, low, high), axis=1)

    def _grid(self, column: Column) -> tuple[FloatArray, float]:
        """Nodes for all rows, and the length in which the distances around a number are."""
        if column.period is not None:
            half = 0.5 * column.period
            return np.linspace(column.center - half, column.center + half, NODES), 0.5 * half
        numbers = self._known(column)
        first, middle, last = np.quantile(numbers, [0.25, 0.5, 0.75])
        reach = max(last - first, 1e-12 * abs(middle), float(np.finfo(np.float32).tiny))
        inner = np.quantile(numbers, ndtr(np.linspace(-WIDEST, WIDEST, NODES)))
        beyond = reach * OUTER
        return _bridged(
            np.concatenate([inner[0] - beyond[::-1], np.unique(inner), inner[-1] + beyond])
        ), reach

    def _known(self, column: Column) -> FloatArray:
        """The column's numbers among the rows of the law."""
        place = self._places(column)
        numbers = self.drawn[:, place[-1]]
        numbers = numbers[self.drawn[:, place[0]] == 0] if column.states else numbers
        return numbers if len(numbers) else np.zeros(1)

    def _columns(self) -> tuple[Column, ...]:
        return tuple(c for c in self.schema.columns if c.kind != "identifier")

    def _places(self, column: Column) -> IntArray:
        """Where a column stands in a row: its state, its number."""
        discrete, continuous = self.schema.discrete, self.schema.continuous
        found = [i for i, c in enumerate(discrete) if c.name == column.name]
        found += [len(discrete) + i for i, c in enumerate(continuous) if c.name == column.name]
        return np.array(found)

    def _states(self, column: Column, gone: bool) -> list[int]:
        """The states of a column without a number, but for a word never seen, and but for the missing one unless `gone`."""
        if column.kind == "category":
            return list(range(len(column.levels) + (gone and column.missing > 0)))
        return list(range(1, column.states - (column.missing > 0 and not gone)))

    def _gaps(self, column: Column, rows: FloatArray) -> BoolArray:
        """Which rows have a missing cell in the column."""
        if not column.missing:
            return np.zeros(len(rows), bool)
        return rows[:, self._places(column)[0]] == column.missing_state

    def _number(self, column: Column, rows: FloatArray) -> FloatArray:
        """The column's number in each row; where there is none, that of some row of the law."""
        place = self._places(column)
        if not column.states:
            return rows[:, place[-1]]
        return np.where(rows[:, place[0]] == 0, rows[:, place[-1]], np.median(self._known(column)))

    def _centres(self, column: Column, rows: FloatArray) -> FloatArray | None:
        """Of each row the column's own number, and the likeliest one given the rest: (R, 2)."""
        if not column.is_continuous:
            return None
        own = self._number(column, rows)
        options = self.options(column, rows, own[:, None], gone=False)
        skipped = len(self._states(column, False))
        best = options.rows[np.arange(len(rows)), skipped + np.argmax(options.logs[:, skipped:], axis=1)]
        return np.stack([own, best[:, self._places(column)[-1]]], axis=1)


def sampled_rows(rows: int, seed: int) -> IntArray:
    """The places of `SAMPLED` rows of a table, drawn with replacement."""
    return np.random.default_rng(seed).integers(0, rows, SAMPLED)


def _bridged(nodes: FloatArray) -> FloatArray:
    """Ascending nodes, with more of them in gaps much wider than those beside them, each step half longer than the last."""
    gaps, added = np.diff(nodes), [nodes]
    steps = 2.0 * (1.5 ** np.arange(1, 40) - 1.0)  # 1, 5/2, 19/4, ... of the gap beside
    for i, gap in enumerate(gaps):
        for end, sign, beside in ((i, 1, gaps[max(i - 1, 0)]), (i + 1, -1, gaps[min(i + 1, len(gaps) - 1)])):
            if gap > WIDER * beside:
                far = max(beside, SMALLEST * gap) * steps
                added.append(nodes[end] + sign * far[far < 0.5 * gap])
    return np.unique(np.concatenate(added))
