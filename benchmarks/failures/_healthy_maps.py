"""Thirty healthy maps: squashers, trained flows of every family, foreign libraries, and what only looks ill."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import torch
from torch import nn

from failures import healthy
from failures._known import (
    Asked,
    Elementwise,
    Known,
    Linear,
    callables,
    matrix,
    moved,
    normal,
    ours,
    sampled,
    tame,
)
from shoal import adapters, flows
from shoal.bijections import Standardize, Support, layers_of
from shoal.training import Settings, fit

WIDTH, ROWS_HELD = 8, 128


def _squasher(function: Any, back: Any) -> Any:
    return lambda n, seed: callables([Elementwise(function, back)], n, seed, alone=True)


def _to_ball(z: Any) -> Any:
    return z / jnp.sqrt(1 + z @ z)


def _from_ball(x: Any) -> Any:
    return x / jnp.sqrt(1 - x @ x)


def _to_simplex(z: Any) -> Any:
    return jax.nn.softmax(jnp.append(z, 0.0).astype(z.dtype))[:-1]


def _from_simplex(x: Any) -> Any:
    return jnp.log(x) - jnp.log(1 - x.sum())


def _shoal_box(n: int, seed: int) -> Asked:
    parts = moved(layers_of(flows.realnvp(jr.key(seed), n, 2, hidden=(WIDTH,)).bijection), seed, 0.2)
    layers = [*parts, Support(n)]
    return ours(layers, layers, seed)


def _shoal_half_line(n: int, seed: int) -> Asked:
    parts = layers_of(flows.maf(jr.key(seed), n, 2, hidden=(WIDTH,)).bijection)
    above = Support(n, low=-1.0, high=np.inf)
    layers = tame(lambda size: [*moved(parts, seed, size), above], seed)
    return ours(layers, layers, seed)


def _distrax(n: int, seed: int) -> Asked:
    import distrax

    weights = jnp.asarray(0.5 * np.random.default_rng(seed).normal(size=(n, 2)), jnp.float32)

    def conditioner(x: Any) -> Any:
        given = jnp.tanh(jnp.roll(x, 1, -1))
        return jnp.stack([given * weights[:, 0], given * weights[:, 1]], -1)

    affine = lambda p: distrax.ScalarAffine(p[..., 0], log_scale=p[..., 1])
    mask = jnp.arange(n) % 2 == 0
    parts = [distrax.MaskedCoupling(m, conditioner, affine) for m in (mask, ~mask)]
    base = distrax.MultivariateNormalDiag(jnp.zeros(n), jnp.ones(n))
    flow = distrax.Transformed(base, distrax.Chain([distrax.Block(distrax.Tanh(), 1), *parts]))
    return sampled(adapters.to_map(flow), seed)


def _flowjax_exp(n: int, seed: int) -> Asked:
    from flowjax.bijections import Chain, Exp
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    flow = coupling_flow(jr.key(seed), base_dist=StandardNormal((n,)), flow_layers=2, nn_width=WIDTH)
    return sampled(adapters.to_map(Chain([moved(flow.bijection, seed, 0.02), Exp((n,))])), seed)


def _flowjax_maf(n: int, seed: int) -> Asked:
    from flowjax.distributions import StandardNormal
    from flowjax.flows import masked_autoregressive_flow

    base = StandardNormal((n,))
    flow = masked_autoregressive_flow(jr.key(seed), base_dist=base, flow_layers=2, nn_width=WIDTH)
    return sampled(adapters.to_map(moved(flow, seed, 0.2)), seed)


def drawn(module: nn.Module, seed: int, size: float = 0.2) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(size * torch.randn(p.shape, generator=generator))
    return module.eval()


def nflows_couplings(n: int, additive: bool = False, **settings: Any) -> list[Any]:
    """Two couplings of opposite halves."""
    from nflows.nn.nets import ResidualNet
    from nflows.transforms import AdditiveCouplingTransform, AffineCouplingTransform

    kind = AdditiveCouplingTransform if additive else AffineCouplingTransform
    net = lambda i, o: ResidualNet(i, o, WIDTH, num_blocks=1, **settings)
    signs = torch.tensor([(-1.0) ** i for i in range(n)])
    return [kind(signs * s, net) for s in (1, -1)]


def nflows_flow(parts: list[Any], n: int) -> Any:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform

    return Flow(CompositeTransform(parts), StandardNormal([n]))


def _nflows_logit(n: int, seed: int) -> Asked:
    from nflows.transforms import Logit

    torch.manual_seed(seed)
    return sampled(
        adapters.to_map(drawn(nflows_flow([Logit(), *nflows_couplings(n, True)], n), seed, 0.05)), seed
    )


def _nflows_training_mode(n: int, seed: int) -> Asked:
    torch.manual_seed(seed)
    parts = nflows_couplings(n, dropout_probability=0.3, use_batch_norm=True)
    flow = nflows_flow(parts, n).train()
    for _ in range(20):
        flow._transform(torch.randn(64, n))  # running statistics
    return sampled(adapters.to_map(drawn(flow, seed, 0.1).train()), seed)


def normflows_couplings(n: int, depth: int, additive: bool = False) -> list[Any]:
    """Couplings and swaps of halves in turn."""
    import normflows as nf

    outputs = n // 2 if additive else 2 * (n // 2)
    net = lambda: nf.nets.MLP([(n + 1) // 2, WIDTH, outputs])
    parts = []
    for _ in range(depth):
        parts += [nf.flows.AffineCouplingBlock(net(), scale=not additive), nf.flows.Permute(n, mode="swap")]
    return parts


def _normflows_logit(n: int, seed: int) -> Asked:
    import normflows as nf

    torch.manual_seed(seed)
    base = nf.distributions.DiagGaussian(n, trainable=False)
    flow = nf.NormalizingFlow(base, [*normflows_couplings(n, 2, True), nf.transforms.Logit(0.05)])
    return sampled(adapters.to_map(drawn(flow, seed, 0.05)), seed)


def _float16_weights(n: int, seed: int) -> Asked:
    import normflows as nf

    torch.manual_seed(seed)
    base = nf.distributions.DiagGaussian(n, trainable=False)
    flow = drawn(nf.NormalizingFlow(base, normflows_couplings(n, 3)), seed, 0.05)
    return sampled(adapters.to_map(flow.half().float()), seed)


def _zuko(parts: list[Any], n: int, seed: int) -> Asked:
    from zuko.lazy import LazyComposedTransform

    return sampled(adapters.to_map(drawn(LazyComposedTransform(*parts), seed), shape=(n,)), seed)


def zuko_maf(n: int) -> Any:
    """An autoregressive transform of zuko."""
    from zuko.flows import MaskedAutoregressiveTransform

    return MaskedAutoregressiveTransform(n, hidden_features=(WIDTH,))


def _zuko_softclip(n: int, seed: int) -> Asked:
    from zuko.lazy import LazyInverse, UnconditionalTransform
    from zuko.transforms import SoftclipTransform

    torch.manual_seed(seed)
    return _zuko([LazyInverse(UnconditionalTransform(SoftclipTransform, bound=3.0)), zuko_maf(n)], n, seed)


def risen(x: Any) -> Any:
    """x + tanh(x) / 2."""
    return x + torch.tanh(x) / 2


def _zuko_bisection(n: int, seed: int) -> Asked:
    from zuko.lazy import UnconditionalTransform
    from zuko.transforms import MonotonicTransform

    torch.manual_seed(seed)
    return _zuko([zuko_maf(n), UnconditionalTransform(MonotonicTransform, risen, bound=20.0)], n, seed)


def _shoal_trained(family: Any, depth: int) -> Any:
    def make(n: int, seed: int) -> Asked:
        x, held_out = (part.astype(np.float32) for part in healthy.rows(n, seed))
        settings = Settings(max_epochs=15, batch_size=128)
        flow = family(jr.key(seed), n, depth, hidden=(16,))
        found = fit(flow, x[:1600], validation=x[1600:], key=jr.key(seed + 1), settings=settings)
        return Asked(found.flow, np.asarray(held_out[:ROWS_HELD], np.float64))

    return make


def _foreign_trained(library: str) -> Any:
    def make(n: int, seed: int) -> Asked:
        torch.manual_seed(seed)
        flow = healthy.FLOWS[library](n, seed)
        return Asked(
            flow if library == "Shoal" else adapters.to_map(flow), healthy.rows(n, seed)[1][:ROWS_HELD]
        )

    return make


def _stored_inverse(n: int, seed: int) -> Asked:
    rng = np.random.default_rng(seed)
    a = matrix(rng, n, 1e3).astype(np.float32).astype(np.float64)
    stored = np.linalg.inv(a).astype(np.float32).astype(np.float64)
    return callables([Linear(a, stored)], n, seed, alone=True)


def _units(n: int, seed: int) -> Asked:
    parts = moved(layers_of(flows.realnvp(jr.key(seed), n, 2, hidden=(WIDTH,)).bijection), seed, 0.2)
    units = np.geomspace(1e-3, 1e6, n).astype(np.float32)
    layers = [*parts, Standardize(jnp.asarray(3 * units), jnp.asarray(units))]
    return ours(layers, layers, seed)


def _context(n: int, seed: int) -> Asked:
    flow = moved(flows.realnvp(jr.key(seed), n, 2, hidden=(WIDTH,), context_dim=2), seed, 0.2)
    return sampled(flow.to_map(), seed, context=normal(2, seed + 5))


def _large_weights(n: int, seed: int) -> Asked:
    parts = layers_of(flows.realnvp(jr.key(seed), n, 4, hidden=(WIDTH,)).bijection)
    layers = tame(lambda size: moved(parts, seed, 2 * size), seed)
    return ours(layers, layers, seed)


HEALTHY = (
    Known("exp", "exp and log, a half-line", _squasher(jnp.exp, jnp.log)),
    Known(
        "sigmoid", "sigmoid and logit, a box", _squasher(jax.nn.sigmoid, lambda x: jnp.log(x) - jnp.log1p(-x))
    ),
    Known("tanh", "tanh and arctanh, a box", _squasher(jnp.tanh, jnp.arctanh)),
    Known(
        "softplus", "softplus, a half-line", _squasher(jax.nn.softplus, lambda x: x + jnp.log(-jnp.expm1(-x)))
    ),
    Known("ball", "z / sqrt(1 + |z|^2), a ball", _squasher(_to_ball, _from_ball)),
    Known("simplex", "softmax without its last entry, a simplex", _squasher(_to_simplex, _from_simplex)),
    Known("shoal-box", "Shoal: couplings, then Support on (0, 1)", _shoal_box),
    Known("shoal-half-line", "Shoal: autoregressive layers, then Support above -1", _shoal_half_line),
    Known("distrax-tanh", "distrax: masked couplings, then Block(Tanh)", _distrax),
    Known("flowjax-exp", "flowjax: couplings, then Exp", _flowjax_exp),
    Known("nflows-logit", "nflows: Logit next to the data, couplings", _nflows_logit),
    Known("normflows-logit", "normflows: couplings, then Logit", _normflows_logit),
    Known("zuko-softclip", "zuko: Softclip next to the data, an autoregressive layer", _zuko_softclip),
    Known("shoal-realnvp", "Shoal: a trained RealNVP", _shoal_trained(flows.realnvp, 4)),
    Known("shoal-nsf", "Shoal: a trained neural spline flow", _shoal_trained(flows.nsf, 2)),
    Known("shoal-maf", "Shoal: a trained masked autoregressive flow", _shoal_trained(flows.maf, 3)),
    Known("shoal-residual", "Shoal: a trained residual flow", _shoal_trained(flows.residual, 2)),
    Known("nflows-trained", "nflows: trained spline couplings", _foreign_trained("nflows")),
    Known("normflows-trained", "normflows: trained autoregressive splines", _foreign_trained("normflows")),
    Known("freia-trained", "FrEIA: trained all-in-one blocks", _foreign_trained("FrEIA")),
    Known("zuko-trained", "zuko: a trained masked autoregressive flow", _foreign_trained("zuko")),
    Known("zuko-bisection", "zuko: an inverse by bisection to 1e-6, its default", _zuko_bisection),
    Known("flowjax-maf", "flowjax: a masked autoregressive flow with random weights", _flowjax_maf),
    Known("stored-inverse", "a matrix of κ 1e3 with its inverse stored in float32", _stored_inverse),
    Known("units", "Shoal: columns in units from 1e-3 to 1e6, off centre", _units),
    Known(
        "heavy-tails", "sinh and arcsinh: tails like those of a log-normal", _squasher(jnp.sinh, jnp.arcsinh)
    ),
    Known("context", "Shoal: a RealNVP with a context", _context),
    Known("float16-weights", "normflows: couplings whose weights were rounded to float16", _float16_weights),
    Known(
        "training-mode",
        "nflows: dropout and batch norm in training mode, which the adapter leaves",
        _nflows_training_mode,
    ),
    Known("large-weights", "Shoal: couplings with large random weights", _large_weights),
)
