"""Independent columns: frequencies of the states, and a mixture of Gaussians for each column of numbers."""

import numpy as np

from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._mixed import MixedEstimate, frequencies, gated
from .mixture import fitted


def train(columns: Columns, rows: MixedRows, budget: float, seed: int) -> MixedEstimate:
    """The product of the margins; each mixture gets the same share of the budget."""
    shares, rng = frequencies(columns, rows), np.random.default_rng(seed)
    margins, sizes = [], []
    for value in rows.values.T:
        there = value[np.isfinite(value)][:, None]
        model, facts = fitted(there, budget / rows.values.shape[1], seed)
        margins.append(model)
        sizes.append(facts["k"])

    def log_prob(x: MixedRows) -> Rows:
        found = sum((np.log(p)[x.codes[:, j]] for j, p in enumerate(shares)), np.zeros(len(x)))
        for value, model in zip(x.values.T, margins, strict=True):
            there = np.isfinite(value)
            if there.any():
                found[there] += model.score_samples(value[there][:, None])
        return found

    def sample(n: int) -> MixedRows:
        codes = np.array([rng.choice(len(p), n, p=p) for p in shares], np.int64).reshape(len(shares), n).T
        drawn = [rng.permutation(model.sample(n)[0][:, 0]) for model in margins]  # they come part by part
        return gated(columns, codes, np.array(drawn).T)

    return MixedEstimate(log_prob, sample, {"k": sizes})
