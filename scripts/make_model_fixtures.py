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
from shoal.flows._registry import _CLASSES

TARGET = Path(__file__).resolve().parent.parent / "tests" / "flows" / "models"
DIM, ROWS, HIDDEN = 3, 6, (4,)


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


FLOWS: dict[str, Callable[[], d.Flow]] = {
    "nice": lambda: randomized(flows.nice(jr.key(0), DIM, 2, hidden=HIDDEN), 0),
    "realnvp": lambda: randomized(flows.realnvp(jr.key(1), DIM, 4, hidden=HIDDEN), 1),
    "spline": lambda: randomized(flows.spline(jr.key(2), DIM, 2, hidden=HIDDEN, bins=4), 2),
    "maf": lambda: randomized(flows.maf(jr.key(3), DIM, 2, hidden=(4, 4)), 3),
    "iaf": lambda: randomized(flows.iaf(jr.key(4), DIM, 2, hidden=HIDDEN, activation="relu"), 4),
    "context": with_context,
    "mixed": mixed,
    "float64": float64,
}


def write(name: str, folder: Path) -> None:
    """One flow and its log_prob at points that are drawn from a normal and moved into the flow's data space."""
    with jax.enable_x64(name == "float64"):
        flow = FLOWS[name]()
        rng = np.random.default_rng(100)
        z = rng.standard_normal((ROWS, DIM))
        context = rng.standard_normal((ROWS, *flow.context_shape)) if flow.context_shape else None
        x = np.asarray(flow.to_data(z, context))
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
        missing = sorted(name for name in _CLASSES if ":" not in name and name not in held)
        if missing:
            sys.exit(f"No flow here holds {', '.join(missing)}; add them to FLOWS.")
        shutil.copytree(written, target)
    print(f"Wrote {', '.join(FLOWS)} to {target}")


if __name__ == "__main__":
    main()
