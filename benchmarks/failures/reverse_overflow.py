"""32 affine couplings of normflows on 16 pixels: the density is finite on every held-out row, samples are not."""

import numpy as np

from failures import deep_couplings
from failures._peer import Peer
from failures._study import Case, alone

DIM, DEPTH, WIDTH = 16, 32, 64


def flow(seed: int, bounded: bool) -> Peer:
    """As in `deep_couplings`."""
    return deep_couplings.flow(seed, bounded, DIM, DEPTH, WIDTH)


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of digits, as in `deep_couplings`."""
    return deep_couplings.rows(DIM)


CASE = Case(
    name="reverse_overflow",
    library="normflows",
    what="32 affine couplings on 16 pixels, sampled",
    threads=(
        "https://github.com/andreas128/SRFlow/issues/2",
        "https://github.com/rosinality/glow-pytorch/issues/25",
    ),
    says="NaN in the reverse direction only, traced by users to the product of small scales over the layers",
    make=flow,
    rows=rows,
    steps=100,
    every=5,
    rate=1e-3,
    remedy="bounded scale",
    applied="log-scales of the conditioners through tanh, so that scales lie in (1/e, e)",
    ways=("latent",),
    audits=4,
)

if __name__ == "__main__":
    alone(CASE, 0)
