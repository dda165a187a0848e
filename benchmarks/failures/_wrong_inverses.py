"""Nineteen maps whose inverse is none: rounded, stale, cached, ended early, turned the wrong way, in six libraries."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import torch
from torch import Tensor, nn

from failures._healthy_maps import (
    WIDTH,
    drawn,
    nflows_couplings,
    nflows_flow,
    normflows_couplings,
    risen,
    zuko_maf,
)
from failures._known import (
    Asked,
    Bisected,
    Elementwise,
    Known,
    Linear,
    callables,
    coupled,
    matrix,
    moved,
    ours,
    sampled,
)
from shoal import adapters, flows
from shoal.bijections import AbstractBijection, LULinear, layers_of
from shoal.distributions import Flow

STALE = 1e-4  # of every weight: a step of training


def _rounded_inverse(n: int, seed: int) -> Asked:
    a = matrix(np.random.default_rng(seed), n, 5.0)
    return callables([Linear(a, np.round(np.linalg.inv(a), 4))], n, seed, alone=True)


def _fifth_digit(n: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    return callables([coupled(rng, n), coupled(rng, n, True, off=2e-5), coupled(rng, n)], n, seed)


def _stale_shift(n: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    return callables([coupled(rng, n, stale=1 + 1e-3), coupled(rng, n, True)], n, seed)


def _stale(family: Any) -> Any:
    """Two layers of Shoal; the inverse of the one next to the data has the weights of a step before."""

    def make(n: int, seed: int) -> Asked:
        layers = list(moved(family(n, seed), seed, 0.3))
        older = jax.tree.map(lambda a: a * (1 + STALE) if eqx.is_inexact_array(a) else a, layers[1])
        return ours(layers, [layers[0], older], seed)

    return make


def _lu(n: int, seed: int) -> list[AbstractBijection]:
    keys = jr.split(jr.key(seed), 2)
    return [LULinear(n, key=k) for k in keys]


def singles(flow: Flow) -> list[AbstractBijection]:
    """The layers of a flow of Shoal."""
    return list(layers_of(flow.bijection))


def _nflows_scale(n: int, seed: int) -> Asked:
    from nflows.transforms import AffineCouplingTransform

    class Off(AffineCouplingTransform):
        """An inverse with the wrong scale in the fifth digit."""

        def _coupling_transform_inverse(self, inputs: Tensor, transform_params: Tensor) -> Any:
            scale, shift = self._scale_and_shift(transform_params)
            log_det = torch.log(scale).sum(1)
            return (inputs - shift) / (scale * (1 + 3e-5)), -log_det

    torch.manual_seed(seed)
    parts = nflows_couplings(n)
    wrong = nflows_couplings(n)[0]
    wrong.__class__ = Off
    return sampled(adapters.to_map(drawn(nflows_flow([wrong, *parts], n), seed)), seed)


def _normflows_permutation(n: int, seed: int) -> Asked:
    import normflows as nf

    class Rolled(nf.flows.Flow):
        """Both directions roll the coordinates the same way."""

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return z.roll(1, 1), z.new_zeros(len(z))

        def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return z.roll(1, 1), z.new_zeros(len(z))

    torch.manual_seed(seed)
    parts = normflows_couplings(n, 2)
    base = nf.distributions.DiagGaussian(n, trainable=False)
    return sampled(adapters.to_map(drawn(nf.NormalizingFlow(base, [*parts, Rolled()]), seed)), seed)


def _freia_sign(n: int, seed: int) -> Asked:
    import FrEIA.framework as framework
    import FrEIA.modules as modules

    class Sheared(modules.InvertibleModule):
        """The shear is added in both directions."""

        def __init__(self, dims_in: Any, dims_c: Any = None):
            super().__init__(dims_in, dims_c)
            self.net = nn.Linear(n // 2, n - n // 2)

        def forward(self, x: Any, rev: bool = False, jac: bool = True) -> Any:
            kept, rest = x[0][:, : n // 2], x[0][:, n // 2 :]
            return (torch.cat([kept, rest + self.net(kept)], 1),), x[0].new_zeros(len(x[0]))

        def output_dims(self, input_dims: Any) -> Any:
            return input_dims

    torch.manual_seed(seed)
    inn = framework.SequenceINN(n)
    net = lambda i, o: nn.Sequential(nn.Linear(i, WIDTH), nn.Tanh(), nn.Linear(WIDTH, o))
    inn.append(modules.AllInOneBlock, subnet_constructor=net)
    inn.append(Sheared)
    return sampled(adapters.to_map(drawn(inn, seed)), seed)


def _zuko_bisection(n: int, seed: int) -> Asked:
    from zuko.lazy import LazyComposedTransform, UnconditionalTransform
    from zuko.transforms import MonotonicTransform

    torch.manual_seed(seed)
    early = UnconditionalTransform(MonotonicTransform, risen, bound=20.0, eps=1e-2)
    flow = LazyComposedTransform(zuko_maf(n), early)
    return sampled(adapters.to_map(drawn(flow, seed), shape=(n,)), seed)


def _distrax_lambda(n: int, seed: int) -> Asked:
    import distrax

    off = distrax.Lambda(jnp.sinh, lambda y: jnp.arcsinh(y) * (1 + 3e-5))
    shear = distrax.Block(distrax.ScalarAffine(jnp.arange(float(n)), jnp.geomspace(1.0, 2.0, n)), 1)
    base = distrax.MultivariateNormalDiag(jnp.zeros(n), jnp.ones(n))
    flow = distrax.Transformed(base, distrax.Chain([shear, distrax.Block(off, 1)]))
    return sampled(adapters.to_map(flow), seed)


def _flowjax_custom(n: int, seed: int) -> Asked:
    from flowjax.bijections import AbstractBijection as Foreign
    from flowjax.bijections import Affine, Chain
    from jaxtyping import Array

    class Doubled(Foreign):
        """x = z + tanh(z) / 2 by four steps of a fixed point back."""

        shape: tuple[int, ...] = (n,)
        cond_shape: None = None

        def transform_and_log_det(self, x: Array, condition: Any = None) -> Any:
            return x + jnp.tanh(x) / 2, jnp.log1p((1 - jnp.tanh(x) ** 2) / 2).sum()

        def inverse_and_log_det(self, y: Array, condition: Any = None) -> Any:
            x = y
            for _ in range(4):
                x = y - jnp.tanh(x) / 2
            return x, -jnp.log1p((1 - jnp.tanh(x) ** 2) / 2).sum()

    first = Affine(jnp.arange(float(n)), jnp.geomspace(0.5, 1.0, n))
    return sampled(adapters.to_map(Chain([first, Doubled()])), seed)


def nflows_with(wrong: Any, n: int, seed: int) -> Asked:
    """nflows couplings with this layer next to the data."""
    torch.manual_seed(seed)
    return sampled(adapters.to_map(drawn(nflows_flow([wrong, *nflows_couplings(n)], n), seed)), seed)


def _stale_cache(n: int, seed: int) -> Asked:
    from nflows.transforms import Transform

    a = matrix(np.random.default_rng(seed), n, 4.0)

    class Cached(Transform):
        """Its inverse is that of the weight as it was when it was asked for the first time."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(a, dtype=torch.float32))
            self.register_buffer("cached", torch.linalg.inv(self.weight.detach()))

        def forward(self, inputs: Tensor, context: Any = None) -> Any:
            log_det = torch.linalg.slogdet(self.weight)[1]
            return inputs @ self.weight.T, log_det.expand(len(inputs))

        def inverse(self, inputs: Tensor, context: Any = None) -> Any:
            log_det = -torch.linalg.slogdet(self.weight)[1]
            return inputs @ self.cached.T, log_det.expand(len(inputs))

    torch.manual_seed(seed)
    found = nflows_flow([Cached(), *nflows_couplings(n)], n)
    with torch.no_grad():
        found._transform._transforms[0].weight.mul_(1 + 1e-3)
    return sampled(adapters.to_map(found.eval()), seed)


def _float16_inverse(n: int, seed: int) -> Asked:
    a = matrix(np.random.default_rng(seed), n, 5.0)
    rng = np.random.default_rng(seed + 1)
    half = np.linalg.inv(a).astype(np.float16).astype(np.float64)
    return callables([coupled(rng, n), Linear(a, half), coupled(rng, n, True)], n, seed)


def _narrow_bisection(n: int, seed: int) -> Asked:
    return callables([Elementwise(jnp.sinh, jnp.arcsinh), Bisected(40, 2.5)], n, seed)


def _short_bisection(n: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    return callables([coupled(rng, n), Bisected(14), coupled(rng, n, True)], n, seed)


def _known(name: str, what: str, make: Any, layer: int | None = None) -> Known:
    return Known(name, what, make, "inverse", layer)


INVERSES = (
    _known("rounded-inverse", "a matrix whose inverse was rounded to 4 digits", _rounded_inverse, 0),
    _known("fifth-digit", "three couplings, the inverse of one wrong by 2e-5", _fifth_digit, 1),
    _known("stale-shift", "a coupling whose inverse has the shift of other weights", _stale_shift, 0),
    _known(
        "stale-realnvp",
        "Shoal: an affine coupling whose inverse has older weights",
        _stale(lambda n, s: singles(flows.realnvp(jr.key(s), n, 2, hidden=(WIDTH,)))),
        1,
    ),
    _known(
        "stale-spline",
        "Shoal: a spline coupling whose inverse has older weights",
        _stale(lambda n, s: singles(flows.spline(jr.key(s), n, 2, hidden=(WIDTH,)))),
        1,
    ),
    _known(
        "stale-maf",
        "Shoal: an autoregressive layer whose inverse has older weights",
        _stale(lambda n, s: singles(flows.maf(jr.key(s), n, 2, hidden=(WIDTH,)))),
        1,
    ),
    _known("stale-lu", "Shoal: an LU layer whose inverse has older weights", _stale(_lu), 1),
    _known(
        "stale-radial",
        "Shoal: a radial layer whose inverse has older weights",
        _stale(lambda n, s: singles(flows.radial(jr.key(s), n, 2))),
        1,
    ),
    _known("nflows-scale", "nflows: a coupling whose inverse is wrong by 3e-5", _nflows_scale, -1),
    _known(
        "normflows-permutation",
        "normflows: a permutation that rolls the same way in both directions",
        _normflows_permutation,
        -1,
    ),
    _known("freia-sign", "FrEIA: a shear that is added in both directions", _freia_sign, 0),
    _known("zuko-bisection", "zuko: a bisection that ends at 1e-2", _zuko_bisection, 0),
    _known("distrax-lambda", "distrax: a Lambda whose inverse is wrong by 3e-5", _distrax_lambda, 0),
    _known("flowjax-custom", "flowjax: a fixed point that ends after four steps", _flowjax_custom, 1),
    _known("stale-cache", "nflows: a matrix whose inverse was cached before a step", _stale_cache, -1),
    _known("float16-inverse", "a matrix whose inverse is kept in float16", _float16_inverse, 1),
    _known("narrow-bisection", "a bisection whose interval ends at 2.5", _narrow_bisection, 1),
    _known("short-bisection", "a bisection that ends after 14 steps", _short_bisection, 1),
    _known(
        "stale-layerwise",
        "Shoal: a layerwise layer whose inverse has older weights",
        _stale(lambda n, s: singles(flows.layerwise(jr.key(s), n, 2))),
        1,
    ),
)
