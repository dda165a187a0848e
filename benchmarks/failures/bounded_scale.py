"""nflows' RealNVP with its default scale in (0.001, 1.001), which can not expand on the way to the latent."""

import numpy as np
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from torch import Tensor

from failures._peer import Peer, nflows
from failures._study import Case, alone

DIM, DEPTH, WIDTH, NARROW = 4, 48, 32, 0.02


class BothWays(AffineCouplingTransform):
    """The coupling with a scale in (0.74, 1.35)."""

    def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = transform_params.chunk(2, dim=1)
        return torch.exp(0.3 * torch.tanh(raw)), shift


def net(inputs: int, outputs: int) -> ResidualNet:
    """A conditioner that begins at 0."""
    made = ResidualNet(inputs, outputs, hidden_features=WIDTH, num_blocks=1)
    torch.nn.init.zeros_(made.final_layer.weight)
    torch.nn.init.zeros_(made.final_layer.bias)
    return made


def flow(seed: int, remedied: bool, depth: int = DEPTH) -> Peer:
    """The layers of nflows' SimpleRealNVP, with the library's default scale or another one."""
    torch.manual_seed(seed)
    mask = torch.ones(DIM)
    mask[::2] = -1
    coupling = BothWays if remedied else AffineCouplingTransform
    parts = [coupling(mask * (-1) ** i, net) for i in range(depth)]
    return nflows(Flow(CompositeTransform(parts), StandardNormal([DIM])), (DIM,))


def rows() -> tuple[np.ndarray, np.ndarray]:
    """(a, a, a^2 / 2, 0), each but the first with noise of 0.02, in deviations: narrow in three directions."""
    rng = np.random.default_rng(0)
    a, noise = rng.standard_normal(4000), NARROW * rng.standard_normal((3, 4000))
    x = np.stack([a, a + noise[0], a**2 / 2 + noise[1], noise[2]], axis=1)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1.0 / np.sqrt(2.0))
    return x[:3000], x[3000:]


CASE = Case(
    name="bounded_scale",
    library="nflows",
    what="48 couplings with the default scale in (0.001, 1.001), rows that are narrow in three directions",
    threads=("https://github.com/bayesiains/nflows/issues/49",),
    says='the default affine scale is at most 1.001, "very restrictive"',
    make=flow,
    rows=rows,
    steps=200,
    every=10,
    rate=5e-3,
    audits=6,
    remedy="bounded scale",
    applied="couplings with the scale exp(0.3 tanh(raw)), in (0.74, 1.35)",
)

if __name__ == "__main__":
    alone(CASE, 0)
