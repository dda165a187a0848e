"""normflows' invertible 1x1 convolution, on grey pixels in three channels: the weight goes singular."""

import normflows as nf
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from failures._peer import Peer, normflows
from failures._study import Case, alone

CHANNELS, DEPTH, WIDTH = 3, 4, 16


class Net(nn.Module):
    """A small conditioner for pixels of 1 x 1."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shifts of the channels that change."""
        return self.net(x.flatten(1))[..., None, None]


def flow(seed: int, remedied: bool, lu: bool = False) -> Peer:
    """Additive couplings, then one 1x1 convolution next to the data; the remedy is in the rows."""
    del remedied
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(DEPTH):
        layers += [
            nf.flows.AffineCouplingBlock(Net(2, 1), scale=False),
            nf.flows.Permute(CHANNELS, mode="shuffle"),
        ]
    layers.append(nf.flows.Reverse(nf.flows.Invertible1x1Conv(CHANNELS, use_lu=lu)))
    shape = (CHANNELS, 1, 1)
    return normflows(nf.NormalizingFlow(nf.distributions.DiagGaussian(shape, trainable=False), layers), shape)


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of scikit-learn's digits, each written into three channels, in deviations."""
    grey = load_digits().images[:, 2:6, 2:6].reshape(-1, 1)
    x = np.repeat((grey - grey.mean()) / grey.std(), CHANNELS, axis=1)
    x = x[np.random.default_rng(0).permutation(len(x))]
    return x[:20000], x[20000:21000]


CASE = Case(
    name="singular_convolution",
    library="normflows",
    what="an invertible 1x1 convolution on grey pixels in three channels",
    threads=("https://github.com/openai/glow/issues/40",),
    says='"Input is not invertible": the learned 1x1 weight goes singular',
    make=flow,
    rows=rows,
    steps=1000,
    every=50,
    rate=4e-2,
    remedy="dequantization",
    applied="the noise stays at 0.01 deviations instead of fading to 1e-8",
    noise=0.01,
    anneal=(0.3, 1e-8),
)

if __name__ == "__main__":
    alone(CASE, 0)
