"""Five short trained flows of five libraries in whose audits no layer is named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from failures._peer import Peer, freia, nflows, normflows
from failures._train import train
from shoal import adapters
from shoal.conditioning import audit
from shoal.records import to_plain

DIM, WIDTH, STEPS, RATE = 4, 32, 150, 1e-3


def rows(dim: int = DIM, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bent normal variable in `dim` dimensions, three at least."""
    z = np.random.default_rng(seed).standard_normal((3000, max(dim, DIM)))
    x = np.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2 - 1, 0.3 * z[:, 2] + z[:, 3], *z[:, 3:].T], axis=1)[:, :dim]
    return x[:2000], x[2000:]


def net(inputs: int, outputs: int) -> nn.Module:
    """A conditioner."""
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, outputs))


def nflows_splines(dim: int = DIM, seed: int = 0) -> Any:
    """Rational-quadratic spline couplings."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import ResidualNet
    from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform

    mask = torch.tensor([(-1.0) ** i for i in range(dim)])
    made = lambda i, o: ResidualNet(i, o, hidden_features=WIDTH, num_blocks=1)
    parts = [
        PiecewiseRationalQuadraticCouplingTransform(mask * (-1) ** k, made, tails="linear", tail_bound=4.0)
        for k in range(4)
    ]
    flow = Flow(CompositeTransform(parts), StandardNormal([dim]))
    return trained(nflows(flow, (dim,)), seed)


def normflows_splines(dim: int = DIM, seed: int = 0) -> Any:
    """Autoregressive rational-quadratic splines."""
    import normflows as nf

    layers = [nf.flows.AutoregressiveRationalQuadraticSpline(dim, 1, WIDTH) for _ in range(3)]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=False), layers)
    return trained(normflows(flow, (dim,)), seed)


def freia_blocks(dim: int = DIM, seed: int = 0) -> Any:
    """All-in-one blocks."""
    import FrEIA.framework as framework
    import FrEIA.modules as modules

    inn = framework.SequenceINN(dim)
    for _ in range(3):
        inn.append(modules.AllInOneBlock, subnet_constructor=net)
    return trained(freia(inn, (dim,)), seed)


def zuko_maf(dim: int = DIM, seed: int = 0) -> Any:
    """A masked autoregressive flow."""
    import zuko

    flow = zuko.flows.MAF(dim, transforms=3, hidden_features=(WIDTH,))
    x = torch.as_tensor(rows(dim, seed)[0], dtype=torch.float32)
    optimizer = torch.optim.Adam(flow.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -flow().log_prob(x[torch.randint(len(x), (256,), generator=generator)]).mean()
        loss.backward()
        optimizer.step()
    return flow


def shoal_realnvp(dim: int = DIM, seed: int = 0) -> Any:
    """A RealNVP of Shoal."""
    import jax.random as jr

    from shoal import flows
    from shoal.training import Settings, fit

    x = rows(dim, seed)[0].astype(np.float32)
    flow = flows.realnvp(jr.key(seed), dim, 6, hidden=(WIDTH,))
    settings = Settings(max_epochs=15, batch_size=128)
    result = fit(flow, x[:1600], validation=x[1600:], key=jr.key(1), settings=settings)
    return result.flow


FLOWS: dict[str, Callable[..., Any]] = {
    "nflows": nflows_splines,
    "normflows": normflows_splines,
    "FrEIA": freia_blocks,
    "zuko": zuko_maf,
    "Shoal": shoal_realnvp,
}


def trained(peer: Peer, seed: int) -> Any:
    """The module after a short training."""
    return train(peer, rows(peer.shape[0], seed)[0], steps=STEPS, every=STEPS, rate=RATE).peer.module.eval()


def healthy(library: str) -> dict[str, Any]:
    """One flow, trained and audited."""
    torch.manual_seed(0)
    flow = FLOWS[library]()
    found = audit(flow if library == "Shoal" else adapters.to_map(flow), rows()[1][:128])
    return {
        "what": (FLOWS[library].__doc__ or "").strip().rstrip("."),
        "layers": len(found.layers),
        "reach": [to_plain(r) for r in found.reach],
        **to_plain(found.diagnosis),
    }


if __name__ == "__main__":
    for name in FLOWS:
        print(name, healthy(name)["sentence"])
