"""32 affine couplings of normflows, exponential scales: fine in 3 dimensions, NaN in 19."""

import normflows as nf
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from failures._peer import Peer, normflows
from failures._study import Case, alone

DIM, DEPTH, WIDTH = 19, 32, 64


class Bounded(nn.Module):
    """A conditioner whose log-scales (every second output) lie in (-1, 1)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Shifts and log-scales in turn."""
        out = self.net(x)
        return torch.stack([out[:, 0::2], torch.tanh(out[:, 1::2])], 2).flatten(1)


def flow(seed: int, bounded: bool, dim: int = DIM, depth: int = DEPTH, width: int = WIDTH) -> Peer:
    """Couplings and random permutations in turn."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(depth):
        net = nf.nets.MLP([(dim + 1) // 2, width, width, 2 * (dim // 2)], init_zeros=True)
        layers += [
            nf.flows.AffineCouplingBlock(Bounded(net) if bounded else net),
            nf.flows.Permute(dim, mode="shuffle"),
        ]
    base = nf.distributions.DiagGaussian(dim, trainable=False)
    return normflows(nf.NormalizingFlow(base, layers), (dim,))


def rows(dim: int = DIM) -> tuple[np.ndarray, np.ndarray]:
    """The first `dim` pixels of scikit-learn's digits with a deviation above 1, in deviations."""
    pixels = load_digits().data
    x = pixels[:, np.flatnonzero(pixels.std(axis=0) > 1)[:dim]]
    x = x[np.random.default_rng(0).permutation(len(x))]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x[:1350], x[1350:]


CASE = Case(
    name="deep_couplings",
    library="normflows",
    what="32 affine couplings with exponential scales at 19 dimensions (pixels of digits)",
    threads=("https://github.com/VincentStimper/normalizing-flows/issues/73",),
    says="works in 3 dimensions, NaN or inf in 19 with 32 affine couplings",
    make=flow,
    rows=rows,
    steps=60,
    every=4,
    rate=3e-3,
    remedy="bounded scale",
    applied="log-scales of the conditioners through tanh, so that scales lie in (1/e, e)",
    ways=("data",),
)

if __name__ == "__main__":
    alone(CASE, 0)
