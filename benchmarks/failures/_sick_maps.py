"""Thirty sick maps: wrong inverses, images that depend on chance, a wrong log-det, near-singular layers, runaways."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import torch
from torch import Tensor, nn

from failures._healthy_maps import (
    WIDTH,
    drawn,
)
from failures._known import (
    Asked,
    Known,
    Linear,
    callables,
    coupled,
    matrix,
    moved,
    normal,
    ours,
    rotation,
)
from failures._wrong_inverses import INVERSES, nflows_with, singles
from shoal import adapters, flows
from shoal.conditioning import JaxMap


def _dropout(n: int, seed: int) -> Asked:
    from nflows.transforms import AffineCouplingTransform

    class Net(nn.Module):
        """Dropout by the function, whose default is that of training."""

        def __init__(self, i: int, o: int):
            super().__init__()
            self.first, self.last = nn.Linear(i, WIDTH), nn.Linear(WIDTH, o)

        def forward(self, x: Tensor, context: Any = None) -> Tensor:
            return self.last(nn.functional.dropout(torch.tanh(self.first(x)), 0.2))

    torch.manual_seed(seed)
    signs = torch.tensor([(-1.0) ** i for i in range(n)])
    return nflows_with(AffineCouplingTransform(signs, Net), n, seed)


def _batch_statistics(n: int, seed: int) -> Asked:
    from nflows.transforms import Transform

    class Normed(Transform):
        """Moments of the batch on the way to the latent; those of all data on the way back."""

        def forward(self, inputs: Tensor, context: Any = None) -> Any:
            scale = inputs.std(0)
            return (inputs - inputs.mean(0)) / scale, -torch.log(scale).sum().expand(len(inputs))

        def inverse(self, inputs: Tensor, context: Any = None) -> Any:
            return inputs, inputs.new_zeros(len(inputs))

    return nflows_with(Normed(), n, seed)


def _log_det(n: int, seed: int) -> Asked:
    layers = singles(moved(flows.realnvp(jr.key(seed), n, 2, hidden=(WIDTH,)), seed, 0.3))
    right = ours(layers, layers, seed)

    def lying(direction: Any, sign: float) -> Any:
        function = right.map.function(direction)

        def call(v: Any, context: Any) -> Any:
            image, log_det = function(v, context)
            return image, log_det + sign * 0.1 * jnp.tanh(log_det)

        return call

    return Asked(
        JaxMap(lying("forward", 1.0), lying("inverse", 1.0), n, log_dets=True, name="Lying"), right.x
    )


def _near_singular_convolution(n: int, seed: int) -> Asked:
    import normflows as nf

    torch.manual_seed(seed)
    net = lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear((n + 1) // 2, WIDTH),
        nn.Tanh(),
        nn.Linear(WIDTH, n // 2),
        nn.Unflatten(1, (n // 2, 1, 1)),
    )
    parts = [nf.flows.AffineCouplingBlock(net(), scale=False), nf.flows.Permute(n, mode="swap")]
    flow = drawn(
        nf.NormalizingFlow(
            nf.distributions.DiagGaussian((n, 1, 1), trainable=False), [*parts, nf.flows.Invertible1x1Conv(n)]
        ),
        seed,
    )
    weight = matrix(np.random.default_rng(seed), n, 1e6)
    with torch.no_grad():
        flow.flows[-1].W.copy_(torch.tensor(weight))
    return Asked(adapters.to_map(flow, shape=(n, 1, 1)), normal(n, seed))


def _near_singular_layer(n: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    a = matrix(rng, n, 1e6)
    asked = callables([coupled(rng, n), Linear(a, np.linalg.inv(a)), coupled(rng, n, True)], n, seed)
    return Asked(asked.map, normal(n, seed), asked.arguments)


def _product(n: int, seed: int) -> Asked:
    q = rotation(np.random.default_rng(seed), n)
    a = q @ np.diag(np.geomspace(3.0, 1 / 3.0, n)) @ q.T
    asked = callables([Linear(a, np.linalg.inv(a))] * 8, n, seed)
    return Asked(asked.map, normal(n, seed), asked.arguments)


def _flat_rows(n: int, seed: int) -> np.ndarray:
    """Rows in n - 1 directions, the last column a sum of the others up to 1e-9."""
    z = normal(n, seed)
    z[:, -1] = z[:, :-1].sum(axis=1) / np.sqrt(n - 1) + 1e-9 * z[:, -1]
    return z


def _flat(n: int, seed: int) -> Asked:
    flow = moved(flows.realnvp(jr.key(seed), n, 2, hidden=(WIDTH,)), seed, 0.2)
    return Asked(flow, _flat_rows(n, seed))


def _flat_and_squeezed(n: int, seed: int) -> Asked:
    x = _flat_rows(n, seed)
    values, vectors = np.linalg.eigh(np.cov(x.T) + 1e-14 * np.eye(n))
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    linear = Linear(root, vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T)
    return Asked(linear.forward, x, {"inverse": linear.inverse})


def _shear_away(n: int, seed: int) -> Asked:
    def shear(sign: float) -> Any:
        return lambda v: v.at[1:].add(sign * jnp.expm1(8.0 * jnp.abs(v[:1])))

    z = np.random.default_rng(seed).uniform(-1, 1, (200, n))
    forward = shear(1.0)
    with jax.enable_x64(True):
        x = np.asarray(jax.vmap(forward)(jnp.asarray(z)))
    return Asked(forward, x, {"inverse": shear(-1.0), "max_condition": 1e12, "max_round_trip": 1e6})


def _feeding_scales(n: int, seed: int) -> Asked:
    """Ten couplings whose log-scales grow with the square of what they are given."""

    class Feeding:
        def __init__(self, turned: bool):
            self.turned = turned

        def _run(self, v: Any, sign: float) -> Any:
            v = v[::-1] if self.turned else v
            kept, rest = v[: n // 2], v[n // 2 :]
            v = jnp.concatenate([kept, rest * jnp.exp(sign * 0.04 * (kept @ kept))])
            return v[::-1] if self.turned else v

        def forward(self, z: Any) -> Any:
            """The coupling."""
            return self._run(z, 1.0)

        def inverse(self, x: Any) -> Any:
            """Its inverse."""
            return self._run(x, -1.0)

    asked = callables([Feeding(k % 2 == 1) for k in range(10)], n, seed)
    return Asked(asked.map, 0.7 * normal(n, seed), asked.arguments)


def _overflow(n: int, seed: int) -> Asked:
    one = np.eye(n)
    layers = [Linear(one, one), Linear(1e39 * one, 1e-39 * one), Linear(1e-39 * one, 1e39 * one)]
    return callables(layers, n, seed)


SICK = (
    *INVERSES,
    Known("dropout", "nflows: dropout that no mode turns off", _dropout, "batch", -1),
    Known("batch-statistics", "nflows: moments of the batch", _batch_statistics, "batch", -1),
    Known("log-det", "a log-det that is wrong by a tenth", _log_det, "log-det"),
    Known(
        "near-singular-convolution",
        "normflows: a 1x1 convolution of κ 1e6",
        _near_singular_convolution,
        "layer",
        -1,
    ),
    Known("near-singular-layer", "a matrix of κ 1e6 between couplings", _near_singular_layer, "layer", 1),
    Known("product", "eight layers of κ 9", _product, "product"),
    Known("flat", "Shoal: rows in all directions but one", _flat, "data"),
    Known("flat-and-squeezed", "the map that makes such rows", _flat_and_squeezed, "data"),
    Known("shear-away", "a shear by exp(8 |z|)", _shear_away, "runaway"),
    Known("feeding-scales", "ten couplings whose scales feed on their inputs", _feeding_scales, "runaway"),
    Known("overflow", "a layer that leaves the range of float32", _overflow, "non-finite"),
)
