"""Adversarial random forests (Watson et al. 2023): arfpy grows them, their density and their samples are computed here.

arfpy 0.1.1 has no likelihood; its `forge` does not run beside pandas 3, and its pruning asks for `numpy.in1d`, which
NumPy 2.4 dropped (it is given its successor, `isin`). So only `arf` and `forde` of it are called. From `forde`'s leaves:
the density of a row is the mean over the trees of the sum over the leaves that the row can be in, of a leaf's share of
the training rows times the product over the columns of a normal cut to the leaf's bounds or of the state's share. A row
without gaps is in one leaf a tree; a number that is not there is integrated out: the row is in all leaves that differ by
it alone. Where arfpy gives no spread, a deviation is at least 1e-3.

Chosen by validation: `min_node_size` of 400, 100, 30, 10, 5 in turn with 10 trees as long as the budget seems to last,
then the best one on normal scores of the numbers (`_margins.py`), then arfpy's 30 trees, where there is time; the
pseudocount of the shares (`forde`'s `alpha`, over the states within the leaf's bounds); and a share of independent
columns, without which a row beyond a leaf's states has no probability.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_ndtr, ndtr, ndtri

from ..clock import Clock
from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from . import mixed_independent
from ._margins import from_scores, margins, scored_rows
from ._mixed import MixedEstimate, filled, gated, held_out

NODES, TREES, FLOOR, NEXT = (400, 100, 30, 10, 5), (10, 30), 1e-3, 2.5
ALPHAS, SHARES, MARGINS = (0.01, 0.1, 1.0), (1e-4, 1e-3, 1e-2, 0.1), 0.1


@dataclass(frozen=True)
class Leaves:
    """All leaves of a forest: the number of trees, a leaf's share of the rows, for each column of numbers mean, deviation
    and bounds (leaves, k), for each code counts and which states lie within the bounds (leaves, size); the trees' nodes."""

    number: int
    shares: Rows
    mean: Rows
    deviation: Rows
    low: Rows
    high: Rows
    counts: list[Rows]
    within: list[Rows]
    trees: list[Any]

    def probabilities(self, alpha: float) -> list[Rows]:
        """Shares of the states with a pseudocount."""
        made = [c + alpha * w for c, w in zip(self.counts, self.within, strict=True)]
        return [m / m.sum(1, keepdims=True) for m in made]


def grown(columns: Columns, rows: MixedRows, trees: int, node: int, seed: int) -> Leaves:
    """arfpy's forest and its leaves."""
    if not hasattr(np, "in1d"):
        setattr(np, "in1d", np.isin)  # noqa: B010
    from arfpy import arf

    np.random.seed(seed)  # noqa: NPY002 - arfpy draws from the global generator
    values = filled(rows, np.random.default_rng(seed))
    frame = pd.DataFrame(values, columns=[f"v{j}" for j in range(values.shape[1])])
    for j, size in enumerate(columns.sizes):
        frame[f"s{j}"] = pd.Categorical.from_codes(rows.codes[:, j], categories=range(size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = arf.arf(frame, num_trees=trees, min_node_size=node, verbose=False, random_state=seed)
        found = model.forde()
    return leaves(columns, model, found, len(rows))


def leaves(columns: Columns, model: Any, found: Any, rows: int) -> Leaves:
    """`forde`'s frames as arrays, one line a leaf."""
    bounds = model.bnds.set_index(["tree", "nodeid"])
    listed = bounds[~bounds.index.duplicated()]
    order = listed.index
    number = pd.Series(np.arange(len(order)), order)

    def table(frame: pd.DataFrame, key: str, names: list[str]) -> Rows:
        wide = frame.pivot(index=["tree", "nodeid"], columns="variable", values=key)
        return wide.reindex(index=order, columns=names).to_numpy(float)

    v = [f"v{j}" for j in range(len(columns.numbers))]
    s = [f"s{j}" for j in range(len(columns.sizes))]
    flat = model.bnds
    mean, deviation = (table(found["cnt"], key, v) for key in ("mean", "sd"))
    edges = {key: table(flat, key, v + s) for key in ("min", "max")}
    counts, within = [], []
    for j, size in enumerate(columns.sizes):
        part = found["cat"][found["cat"]["variable"] == f"s{j}"]
        place = number.loc[pd.MultiIndex.from_frame(part[["tree", "nodeid"]])].to_numpy()
        shares = np.zeros((len(order), size))
        shares[place, part["value"].to_numpy(int)] = part["prob"]
        counts.append(shares * listed["cvg"].to_numpy(float)[:, None] * rows)
        low, high = (edges[key][:, len(v) + j, None] for key in ("min", "max"))
        within.append(((np.arange(size) > low) & (np.arange(size) <= high)).astype(float))
    trees = []
    for t, tree in enumerate(model.clf.estimators_):
        nodes = tree.tree_
        place = np.full(nodes.node_count, -1)
        place[number.loc[t].index.to_numpy(int)] = number.loc[t].to_numpy()
        trees.append((nodes.children_left, nodes.children_right, nodes.feature, nodes.threshold, place))
    deviation = np.maximum(np.nan_to_num(deviation), FLOOR)
    share = listed["cvg"].to_numpy(float)
    k = len(v)
    return Leaves(
        len(trees), share, mean, deviation, edges["min"][:, :k], edges["max"][:, :k], counts, within, trees
    )


def reached(tree: Any, x: Rows) -> tuple[Any, Any]:
    """Pairs (row, leaf): every leaf that a row can be in; where the split's number is not there, both ways are gone."""
    left, right, feature, threshold, place = tree
    row, node = np.arange(len(x)), np.zeros(len(x), int)
    done: list[tuple[Any, Any]] = []
    while len(row):
        leaf = left[node] < 0
        done.append((row[leaf], place[node[leaf]]))
        row, node = row[~leaf], node[~leaf]
        value = x[row, feature[node]]
        gone, lower = np.isnan(value), value <= threshold[node]
        to_left, to_right = gone | lower, gone | ~lower
        # A node whose leaf was pruned has the same child twice.
        to_right &= ~(to_left & (left[node] == right[node]))
        row, node = (
            np.concatenate([row[to_left], row[to_right]]),
            np.concatenate([left[node[to_left]], right[node[to_right]]]),
        )
    return tuple(np.concatenate(parts) for parts in zip(*done, strict=True))


def log_density(forest: Leaves, rows: MixedRows, alpha: float) -> Rows:
    """Log-densities of rows under the forest."""
    x = np.hstack([rows.values, rows.codes]).astype(np.float32)  # as scikit-learn walks its trees
    logs = [np.log(np.maximum(p, 1e-300)) for p in forest.probabilities(alpha)]
    a, b = (forest.low - forest.mean) / forest.deviation, (forest.high - forest.mean) / forest.deviation
    size = np.log(forest.deviation) + log_mass(a, b) + 0.5 * np.log(2 * np.pi)
    found = np.full(len(rows), -np.inf)
    for tree in forest.trees:
        row, leaf = reached(tree, x)
        row, leaf = row[leaf >= 0], leaf[leaf >= 0]
        terms = np.log(forest.shares[leaf] / forest.number)
        for j, log in enumerate(logs):
            terms += log[leaf, rows.codes[row, j]]
        z = (rows.values[row] - forest.mean[leaf]) / forest.deviation[leaf]
        terms += np.nan_to_num(-0.5 * z * z - size[leaf]).sum(1)
        np.logaddexp.at(found, row, terms)
    return found


def log_mass(a: Rows, b: Rows) -> Rows:
    """log(Φ(b) - Φ(a)), also in the upper tail."""
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    high, low = log_ndtr(b), log_ndtr(a)
    return high + np.log1p(-np.exp(np.minimum(low - high, -1e-12)))


def drawn(columns: Columns, forest: Leaves, alpha: float, n: int, rng: np.random.Generator) -> MixedRows:
    """Rows of the forest."""
    leaf = rng.choice(len(forest.shares), n, p=forest.shares / forest.shares.sum())
    codes = np.zeros((n, len(forest.counts)), np.int64)
    for j, p in enumerate(forest.probabilities(alpha)):
        codes[:, j] = (rng.random((n, 1)) > np.cumsum(p, 1)[leaf][:, :-1]).sum(1)
    mean, deviation = forest.mean[leaf], forest.deviation[leaf]
    a, b = (forest.low[leaf] - mean) / deviation, (forest.high[leaf] - mean) / deviation
    flip = a > 0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    place = ndtri(np.clip(ndtr(a) + rng.random(a.shape) * (ndtr(b) - ndtr(a)), 1e-300, 1 - 1e-16))
    return gated(columns, codes, mean + deviation * np.where(flip, -place, place))


class Search:
    """The best forest so far, by validation; `spaces`: fitting and validation rows as they are and as normal scores, and
    what the change adds to a log-density; `base`: log-densities of the validation rows under independent columns."""

    def __init__(self, columns: Columns, spaces: dict[str, Any], base: Rows, clock: Clock, seed: int) -> None:
        self.columns, self.spaces, self.base, self.clock, self.seed = columns, spaces, base, clock, seed
        self.best, self.forest, self.facts = -np.inf, None, {}

    def one(self, trees: int, node: int, space: str) -> float:
        """Grows a forest, tries pseudocounts and shares, and gives the seconds used."""
        began = self.clock.used()
        fit, validation, add = self.spaces[space]
        forest = grown(self.columns, fit, trees, node, self.seed)
        for alpha in ALPHAS:
            scores = log_density(forest, validation, alpha) + add
            for share in SHARES:
                mean = float(np.logaddexp(np.log1p(-share) + scores, np.log(share) + self.base).mean())
                if mean > self.best:
                    said = {"trees": trees, "node": node, "numbers": space, "alpha": alpha, "share": share}
                    self.best, self.forest, self.facts = mean, forest, {**said, "validation": mean}
        return self.clock.used() - began

    def run(self, rows: int) -> None:
        """Node sizes in turn, then normal scores, then more trees, as long as the budget seems to last."""
        took = 0.0
        for node in (n for n in NODES if 20 * n <= rows):
            if NEXT * took > self.clock.left():
                break
            took = self.one(TREES[0], node, "plain")
        if self.clock.left() > took:
            self.one(TREES[0], self.facts["node"], "scores")
        if self.clock.left() > TREES[1] / TREES[0] * took:
            self.one(TREES[1], self.facts["node"], self.facts["numbers"])


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The best forest that the budget finds, with a share of independent columns."""
    clock, (fit, validation) = Clock(budget), held_out(rows, seed)
    models = margins(fit.values, MARGINS * budget, seed)
    beside = mixed_independent.law(columns, fit, models, seed)
    (fit_z, _), scored = scored_rows(models, fit), scored_rows(models, validation)
    spaces = {"plain": (fit, validation, 0.0), "scores": (fit_z, *scored)}
    search = Search(columns, spaces, beside.log_prob(validation), clock, seed)
    search.run(len(fit))
    forest, facts, rng = search.forest, search.facts, np.random.default_rng(seed)
    assert forest is not None
    alpha, share, plain = facts["alpha"], facts["share"], facts["numbers"] == "plain"

    def log_prob(x: MixedRows) -> Rows:
        z, more = (x, 0.0) if plain else scored_rows(models, x)
        found = log_density(forest, z, alpha) + more
        return np.logaddexp(np.log1p(-share) + found, np.log(share) + beside.log_prob(x))

    def sample(n: int) -> MixedRows:
        one, other = drawn(columns, forest, alpha, n, rng), beside.sample(n)
        values = one.values if plain else from_scores(models, one.values)
        rare = rng.random((n, 1)) < share
        return MixedRows(np.where(rare, other.codes, one.codes), np.where(rare, other.values, values))

    return MixedEstimate(log_prob, sample, facts)
