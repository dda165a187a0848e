"""Dense spectra of a RealNVP, 64 coordinates, 1,000 points: Shoal against torch.func.jacrev + SVD on the same zuko flow.

Same weights, same dtype, warm, interleaved in one process; the peer's chunk size is the fastest of a sweep.
"""

import argparse
import math
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import torch
import zuko
from zuko.flows import Flow as ZukoFlow
from zuko.flows import GeneralCouplingTransform
from zuko.lazy import UnconditionalDistribution

from shoal.bijections import (
    AbstractScaleMap,
    Affine,
    Chain,
    Coupling,
    Inverse,
    Scan,
    dense_coupling,
    halves,
)
from shoal.conditioning import from_bijection, singular_values
from shoal.records import system_info, write_record

ROOT = Path(__file__).resolve().parents[2]
DIM, DEPTH, WIDTH, POINTS, SEED = 64, 8, 256, 1000, 0
BOUND = math.log(1e3)


class SoftClip(AbstractScaleMap):
    """log s = raw / (1 + |raw| / log 1e3): zuko's default."""

    range: tuple[float, float] = eqx.field(static=True, default=(-BOUND, BOUND))

    def log_scale(self, raw):
        return raw / (1 + jnp.abs(raw) / BOUND)

    def raw_unchecked(self, log_scale):
        return log_scale / (1 - jnp.abs(log_scale) / BOUND)


def peer() -> ZukoFlow:
    """RealNVP in zuko, weights a third larger than at the start, so that the map is no near-identity."""
    torch.manual_seed(SEED)
    first = torch.arange(DIM) < DIM // 2
    base = UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(DIM), torch.ones(DIM), buffer=True
    )
    flow = ZukoFlow(
        [
            GeneralCouplingTransform(DIM, 0, mask=~first if i % 2 else first, hidden_features=(WIDTH, WIDTH))
            for i in range(DEPTH)
        ],
        base,
    )
    for p in flow.parameters():
        p.data *= 4 / 3
        p.requires_grad_(False)
    return flow


def same_in_shoal(flow: ZukoFlow):
    """The flow's weights in Shoal's couplings, inverted: zuko multiplies by the scale on the way from data to latent."""
    layers = [_layer(t) for t in flow.transform.transforms]
    return Inverse(Scan([Chain(layers[i : i + 2]) for i in range(0, DEPTH, 2)]))


def _layer(transform) -> Coupling:
    linears = [m for m in transform.hyper if hasattr(m, "weight")]
    weights = [np.asarray(m.weight) for m in linears]
    biases = [np.asarray(m.bias) for m in linears]
    # zuko's outputs: (shift, raw) of each moved coordinate, side by side; Shoal's: all raw, then all shifts
    order = np.r_[np.arange(1, DIM, 2), np.arange(0, DIM, 2)]
    kept_first = bool(transform.mask[0])
    partition = halves(DIM) if kept_first else halves(DIM).swapped()
    layer = dense_coupling(
        partition, Affine(SoftClip()), hidden=(WIDTH, WIDTH), activation="relu", key=jr.key(0)
    )
    where = lambda l: (
        l.conditioner.weights,
        l.conditioner.biases,
        l.conditioner.last,
        l.conditioner.bias,
        l.conditioner.skip,
    )
    old = where(layer)
    return eqx.tree_at(
        where,
        layer,
        (
            tuple(jnp.asarray(w) for w in weights[:-1]),
            tuple(jnp.asarray(b).reshape(o.shape) for b, o in zip(biases[:-1], old[1], strict=True)),
            jnp.asarray(weights[-1][order]),
            jnp.asarray(biases[-1][order]).reshape(old[3].shape),
            jnp.zeros_like(old[4]),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", default=str(ROOT / "results" / "spectrum.json"))
    options = parser.parse_args()
    flow = peer()
    whole = from_bijection(same_in_shoal(flow))
    x = np.random.default_rng(SEED).standard_normal((POINTS, DIM)).astype(np.float32)
    points = torch.from_numpy(x)
    inverse = lambda v: flow.transform(None)(v)

    def theirs(chunk: int) -> np.ndarray:
        jacobian = torch.func.vmap(torch.func.jacrev(inverse), chunk_size=chunk)(points)
        return torch.linalg.svdvals(jacobian).numpy()

    def ours() -> np.ndarray:
        return singular_values(whole.at("inverse", "float32").jacobian(x))

    def seconds(function) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    a, b = ours(), theirs(64)
    gap = float(np.max(np.abs(a - b) / b[:, :1]))
    sweep = {
        chunk: min(seconds(lambda c=chunk: theirs(c)) for _ in range(2))
        for chunk in (8, 16, 32, 64, 125, 250, 500, 1000)
    }
    best = min(sweep, key=lambda c: sweep[c])
    pairs = [(seconds(ours), seconds(lambda: theirs(best))) for _ in range(options.rounds)]
    ratios = sorted(t / o for o, t in pairs)
    record = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m speed.spectrum",
        "seed": SEED,
        "versions": system_info(("shoal", "jax", "jaxlib", "equinox", "torch", "zuko", "numpy")),
        "config": {
            "dim": DIM,
            "depth": DEPTH,
            "width": WIDTH,
            "points": POINTS,
            "dtype": "float32",
            "rounds": options.rounds,
            "torch_threads": torch.get_num_threads(),
        },
        "rows": [
            {
                "largest_difference": gap,
                "ours_ms": 1e3 * float(np.median([o for o, _ in pairs])),
                "peer_ms": 1e3 * float(np.median([t for _, t in pairs])),
                "peer_chunk": best,
                "peer_sweep_ms": {str(c): 1e3 * s for c, s in sweep.items()},
                "ratio_median": float(np.median(ratios)),
                "ratio_low": ratios[0],
                "ratio_high": ratios[-1],
            }
        ],
    }
    write_record(record, Path(options.out))
    print(record["rows"][0])
    assert jax.config.jax_enable_x64 is False


if __name__ == "__main__":
    main()
