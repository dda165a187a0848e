"""Independent columns: frequencies of the states, and a mixture of Gaussians for each column of numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._margins import log_margins, margins
from ._mixed import MixedEstimate, frequencies, gated


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The product of the margins that the budget finds."""
    return law(columns, rows, margins(rows.values, budget, seed), seed)


def law(columns: Columns, rows: MixedRows, models: Sequence[Any], seed: int) -> MixedEstimate:
    """The product of the states' frequencies and of margins of the numbers."""
    shares, rng = frequencies(columns, rows), np.random.default_rng(seed)

    def log_prob(x: MixedRows) -> Rows:
        found = log_margins(models, x.values)
        for j, p in enumerate(shares):
            found += np.log(p)[x.codes[:, j]]
        return found

    def sample(n: int) -> MixedRows:
        codes = np.array([rng.choice(len(p), n, p=p) for p in shares], np.int64).reshape(len(shares), n).T
        drawn = [rng.permutation(model.sample(n)[0][:, 0]) for model in models]  # they come part by part
        return gated(columns, codes, np.array(drawn).T)

    return MixedEstimate(log_prob, sample, {"k": [model.n_components for model in models]})
