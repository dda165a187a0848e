"""Two-dimensional data repeated to 24 columns, nflows' masked autoregressive flow: the likelihood explodes."""

import numpy as np
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, ReversePermutation
from sklearn.datasets import make_moons

from failures._peer import Peer, nflows
from failures._study import Case, alone

DIM, DEPTH, WIDTH = 24, 5, 64


def flow(seed: int, remedied: bool, depth: int = DEPTH, width: int = WIDTH) -> Peer:
    """Autoregressive layers that begin at the identity up to a factor, and reversals in turn; the remedy is in the rows."""
    del remedied
    torch.manual_seed(seed)
    parts = []
    for _ in range(depth):
        layer = MaskedAffineAutoregressiveTransform(DIM, width, num_blocks=2)
        torch.nn.init.zeros_(layer.autoregressive_net.final_layer.weight)
        torch.nn.init.zeros_(layer.autoregressive_net.final_layer.bias)
        parts += [layer, ReversePermutation(DIM)]
    return nflows(Flow(CompositeTransform(parts), StandardNormal([DIM])), (DIM,))


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Two moons twelve times side by side, in deviations."""
    x = np.tile(make_moons(2500, noise=0.05, random_state=0)[0], (1, DIM // 2))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x[:2000], x[2000:]


CASE = Case(
    name="repeated_data",
    library="nflows",
    what="two moons repeated to 24 columns, five autoregressive layers",
    threads=("https://github.com/bayesiains/nflows/issues/22",),
    says="2-D data repeated to 24-D: the likelihood explodes",
    make=flow,
    rows=rows,
    steps=225,
    every=25,
    rate=1e-3,
    remedy="dequantization",
    applied="normal noise of 0.01 deviations on every training batch",
    noise=0.01,
    audits=1,
    points=64,
)

if __name__ == "__main__":
    alone(CASE, 0)
