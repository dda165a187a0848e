#!/usr/bin/env python3
"""Writes the models of this version of Shoal that every later version must load: tests/flows/models/vX.Y.Z/.

Run it once per release, after the version number is set:

    python scripts/make_model_fixtures.py

A folder per flow: what `shoal.save` writes, and `expected.json` with log_prob at a few points. The flows together hold
every class that Shoal registers. The models of a version that exist are never written again.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import shoal
from shoal import bijections as b
from shoal import distributions as d
from shoal import flows
from shoal.flows._files import save
from shoal.flows._tree import _CLASSES

TARGET = Path(__file__).resolve().parent.parent / "tests" / "flows" / "models"
DIM, ROWS, HIDDEN = 3, 6, (4,)
SHAPE, SIZE = (4, 4, 1), 16
RESULTS = {"Estimate", "Outcome"}  # what is computed with a flow, never a part of one


def randomized(part, seed: int, spread: float = 0.3):
    """The same module with normal noise added to every floating array."""
    arrays, rest = eqx.partition(part, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(arrays)
    rng = np.random.default_rng(seed)
    noisy = [a + jnp.asarray(spread * rng.standard_normal(a.shape), a.dtype) for a in leaves]
    return eqx.combine(jax.tree.unflatten(structure, noisy), rest)


def mixed() -> d.Flow:
    """Every layer that the recipes do not use, in a `Chain`, with named columns and a mixture as the base."""
    keys = jr.split(jr.key(6), 4)
    partitions = [b.ArrayPartition(b.Partition(DIM, [i])) for i in (0, 2)]
    couplings = [
        b.dense_coupling(p, b.Affine(b.ExponentialScale()), hidden=HIDDEN, key=keys[0]) for p in partitions
    ]
    layers = [
        b.Scan([randomized(c, 7 + i) for i, c in enumerate(couplings)]),
        randomized(b.LULinear(DIM, spread=0.5, key=keys[1]), 9),
        b.Permutation([2, 0, 1]),
        b.SignFlip(DIM, (1,)),
        randomized(b.ActNorm(DIM), 10),
        b.Inverse(
            randomized(
                b.dense_coupling(b.alternating(DIM), b.Affine(b.SigmoidScale()), hidden=(), key=keys[2]), 11
            )
        ),
        b.Standardize(jnp.asarray([10.0, -3.0, 0.5]), jnp.asarray([2.0, 0.25, 30.0])),
    ]
    base = randomized(d.Mixture(jnp.zeros(2), jnp.zeros((2, DIM)), jnp.zeros((2, DIM))), 12)
    return d.Flow(base, b.Chain(layers), columns=("carat", "σ", 'a "b", c'))


def float64() -> d.Flow:
    """Written with float64 on, a diagonal normal as the base."""
    inner = randomized(flows.realnvp(jr.key(13), DIM, 2, hidden=HIDDEN), 14)
    return d.Flow(randomized(d.DiagonalNormal(jnp.zeros(DIM), jnp.zeros(DIM)), 15), inner.bijection)


def with_context() -> d.Flow:
    """A standardised context of two named columns, depth 3: a pair and a single layer."""
    inner = flows.realnvp(jr.key(5), DIM, 3, hidden=HIDDEN, context_dim=2, activation="tanh")
    bijection = b.StandardizedContext(
        randomized(inner.bijection, 5), jnp.asarray([0.25, -0.5]), jnp.asarray([2.0, 0.5])
    )
    return d.Flow(inner.base, bijection, context_columns=("temperature", "pressure"))


def chain(*layers: b.AbstractBijection) -> d.Flow:
    """The layers with noise on their parameters, after a standard normal."""
    return d.Flow(d.StandardNormal(DIM), randomized(b.Chain(layers), 16, 0.1))


def written() -> d.Flow:
    """Couplings with the conditioners that are held and written down."""
    held = b.HeldConditioner(b.DenseConditioner(1, 4, hidden=HIDDEN, key=jr.key(0)), 0.5, norm=b.GramBound())
    knots = b.KnotConditioner(jnp.ones(1), jnp.asarray([-1.0, 0.5]), jnp.ones((2, 2)), jnp.zeros(2))
    partition, affine = b.Partition(DIM, [1]), b.Affine(b.ExponentialScale())
    made = randomized(b.Coupling(partition, affine, held), 17)
    return d.Flow(d.StandardNormal(DIM), b.Chain([made, b.Coupling(partition, affine, knots)]))


def planar() -> d.Flow:
    """The planar family, reflections and a dense matrix."""
    k = jr.split(jr.key(18), 5)
    layers = [b.Planar(DIM, key=k[0]), b.Radial(DIM, key=k[1]), b.Sylvester(DIM, 2, key=k[2])]
    return chain(*layers, b.Householder(DIM, 2, key=k[3]), b.DenseLinear(DIM, key=k[4]))


def residual() -> d.Flow:
    """Residual layers, one for each log-det and norm; estimates next to the data, whose bits choose the draws."""
    log_dets = b.ExactLogDet(), b.PowerSeries(12), b.RussianRoulette(b.Noise(jr.key(19)))
    norms, k = (b.ExactNorm(), b.HoelderBound(), b.GramBound()), jr.key(20)
    return chain(
        *(
            b.Residual(DIM, hidden=HIDDEN, log_det=log_det, norm=norm, key=k)
            for log_det, norm in zip(log_dets, norms, strict=True)
        )
    )


def layerwise() -> d.Flow:
    """Layerwise layers, one for each kind of slope and matrix."""
    k = jr.key(21)
    linear = b.SingularValues(DIM, 0.1, 10.0, key=k), b.DiagonalPlusLowRank(DIM, 0.1, 10.0, rank=1, key=k)
    leaky = b.SmoothLeakyReLU(0.1), b.TrainedLeakyReLU(DIM), b.LeakySoftsign(0.3)
    pairs = zip((*linear, linear[0]), leaky, strict=True)
    return chain(*(b.Layerwise(a, s, key=k) for a, s in pairs))


def continuous() -> d.Flow:
    """Continuous layers, one for each way to step, to differentiate and to take the trace (an estimate next to the data)."""
    exact = b.FFJORD(DIM, hidden=HIDDEN, steps=b.AdaptiveSteps(1e-6, 1e-6, 64), key=jr.key(22))
    fixed = b.FFJORD(
        DIM,
        hidden=HIDDEN,
        trace=b.HutchinsonTrace(b.Noise(jr.key(23))),
        steps=b.FixedSteps(8),
        adjoint=b.BacksolveAdjoint(),
        key=jr.key(24),
    )
    return chain(exact, fixed)


def fronts() -> d.Flow:
    """An autoregressive layer behind marginals, whitening and log tails, on a mixture."""
    rng = np.random.default_rng(37)
    rows, held = (
        flows.Sample(rng.standard_t(3.0, (n, DIM)) @ rng.normal(size=(DIM, DIM))) for n in (400, 60)
    )
    front = flows.Fronts(rows, held).set("marginals+gaussian+mixture")
    made = front.around(randomized(flows.nsf(jr.key(38), DIM, 1, hidden=HIDDEN, bins=4), 39))
    assert isinstance(made, d.Flow)
    return made


def images() -> d.Dequantized:
    """Glow on images of four levels, with a variational dequantization."""
    inner = flows.glow(jr.key(25), SHAPE, 1, scales=2, mixing="plain", hidden=HIDDEN, levels=4)
    noise = flows.realnvp(jr.key(26), SIZE, 1, hidden=HIDDEN, context_dim=SIZE)
    variational = d.VariationalDequantization(randomized(noise, 27, 0.1), 4)
    return d.Dequantized(randomized(inner, 28, 0.1), 4, dequantization=variational, key=jr.key(29))


def padded(padding: d.AbstractPadding) -> d.Padded:
    """Data of one coordinate less than the flow."""
    return d.Padded(randomized(flows.realnvp(jr.key(30), DIM, 2, hidden=HIDDEN), 31), padding, key=jr.key(32))


def whole() -> d.Mixed:
    """Two discrete variables and two numbers, one periodic, which may be lacking, and one above 0, on a gated mixture."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, [3, 2], (40, 2))
    mass = d.Categorical(codes, (3, 2), key=jr.key(37))
    curves = b.marginals(rng.normal(size=(100, 2)))
    above = b.Support(2, low=(-float("inf"), 0.0), high=float("inf"))
    filling = d.Filling(curves, jnp.array([1.0, 0.0]), jnp.array([2.0, 0.5]), (1, -1), above)
    inner = randomized(flows.realnvp(jr.key(39), 2, 2, hidden=HIDDEN, context_dim=5), 40)
    parts = (rng.normal(size=shape) for shape in ((3,), (3, 2), (3, 2, 2), (3, 2), (3, 5)))
    base = d.GaussianMixture(*(jnp.asarray(part, jnp.float32) for part in parts))
    flow = d.Flow(base, b.Chain([inner.bijection, above]))
    return d.Mixed(mass, flow, filling, d.Turns((4.0, 0.0), (0.5, 0.0)), key=jr.key(41))


FLOWS: dict[str, Callable[[], Any]] = {
    "nice": lambda: randomized(flows.nice(jr.key(0), DIM, 2, hidden=HIDDEN), 0),
    "realnvp": lambda: randomized(flows.realnvp(jr.key(1), DIM, 4, hidden=HIDDEN), 1),
    "spline": lambda: randomized(flows.spline(jr.key(2), DIM, 2, hidden=HIDDEN, bins=4), 2),
    "maf": lambda: randomized(flows.maf(jr.key(3), DIM, 2, hidden=(4, 4)), 3),
    "iaf": lambda: randomized(flows.iaf(jr.key(4), DIM, 2, hidden=HIDDEN, activation="relu"), 4),
    "context": with_context,
    "nsf": lambda: randomized(flows.nsf(jr.key(33), DIM, 2, hidden=HIDDEN, bins=4), 34),
    "written": written,
    "planar": planar,
    "residual": residual,
    "layerwise": layerwise,
    "continuous": continuous,
    "fronts": fronts,
    "images": images,
    "uniform": lambda: d.Dequantized(images().density, 4, key=jr.key(35)),
    "gaussian-padding": lambda: padded(d.GaussianPadding(1)),
    "zero-padding": lambda: padded(d.ZeroPadding(1)),
    "dequantized-padding": lambda: padded(d.ZeroDequantizedPadding(1, 0.1)),
    "clamped-padding": lambda: padded(d.GaussianClampedPadding(1)),
    "mixed": mixed,
    "whole": whole,
    "float64": float64,
}


def write(name: str, folder: Path) -> None:
    """One flow and its log_prob at points that are drawn from a normal and moved into the flow's data space."""
    with jax.enable_x64(name == "float64"):
        flow = FLOWS[name]()
        rng = np.random.default_rng(100)
        context = rng.standard_normal((ROWS, *flow.context_shape)) if flow.context_shape else None
        if isinstance(flow, d.Flow):
            x = np.asarray(flow.to_data(rng.standard_normal((ROWS, *flow.shape)), context))
        else:
            x = np.asarray(flow.sample(jr.key(36), ROWS))
        context = None if context is None else np.asarray(context, x.dtype)
        save(flow, folder)
        expected = {
            "x": x.tolist(),
            "context": None if context is None else context.tolist(),
            "log_prob": np.asarray(flow.log_prob(x, context)).tolist(),
        }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def classes(node) -> Iterator[str]:
    """The names of the classes in a model's tree."""
    if isinstance(node, dict):
        if "class" in node:
            yield node["class"]
        for inner in node.values():
            yield from classes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from classes(inner)


def main() -> None:
    target = TARGET / f"v{shoal.__version__}"
    if target.exists():
        sys.exit(f"{target} exists; the models of a version are written once.")
    held: set[str] = set()
    with tempfile.TemporaryDirectory() as work:
        written = Path(work) / target.name
        for name in FLOWS:
            write(name, written / name)
            held |= set(classes(json.loads((written / name / "model.json").read_text(encoding="utf-8"))))
        missing = sorted(name for name in _CLASSES if ":" not in name and name not in held | RESULTS)
        if missing:
            sys.exit(f"No flow here holds {', '.join(missing)}; add them to FLOWS.")
        shutil.copytree(written, target)
    print(f"Wrote {', '.join(FLOWS)} to {target}")


if __name__ == "__main__":
    main()
