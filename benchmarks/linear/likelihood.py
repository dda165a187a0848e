"""(d) Remark 3 for linear flows: k pairs by maximum likelihood on samples of N(0, Σ), against `shoal.linear.gaussian`.

The likelihood of the samples is a function of their covariance S (the mean is known): training minimises
KL(N(0, S) || N(0, T T^T)), in closed form and over all samples at once, which is the kindest case for it.
"""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from shoal.theory import linear

from .fit import RATES, descend
from .matrices import condition, couplings_product
from .summary import SEED, median_of, opened, show

PAIRS, SIZES, SEEDS, KINDS = (1, 2, 3, 4, 8), (8, 16), (0, 1, 2), ("condition 1e2", "condition 1e4", "ar(1)")
SAMPLES, STEPS, RESTARTS = 20_000, 10_000, 4
EFFORT = 20  # descent steps of `gaussian`


def covariances(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Σ with unit geometric mean of its eigenvalues, and the covariance S of samples, about the known mean."""
    rng = np.random.default_rng([SEED, KINDS.index(kind), n, seed])
    if kind == "ar(1)":
        true = scipy.linalg.toeplitz(0.9 ** np.arange(n))
    else:
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        true = (q * np.exp(np.linspace(-0.5, 0.5, n) * np.log(float(kind.split()[1])))) @ q.T
    x = rng.normal(size=(SAMPLES, n)) @ np.linalg.cholesky(true).T
    return true, x.T @ x / SAMPLES


def kl(covariance: np.ndarray, t: np.ndarray) -> float:
    """KL(N(0, Σ) || N(0, T T^T)) = sum (λ - 1 - log λ) / 2, λ the eigenvalues of T^{-1} Σ T^{-T}."""
    white = np.linalg.solve(t, np.linalg.cholesky(covariance))
    off = np.linalg.eigvalsh(white @ white.T - np.eye(len(t)))
    return float(np.sum(off - np.log1p(off)) / 2)


def run(folder: Path, fresh: bool, quick: bool) -> None:
    """Trained from random starts, and without training."""
    sizes = SIZES[:1] if quick else SIZES
    config = {
        "kinds": KINDS,
        "sizes": sizes,
        "seeds": SEEDS,
        "pairs": PAIRS,
        "samples": SAMPLES,
        "steps": STEPS,
        "restarts": RESTARTS,
        "optimizer": "Adam, all samples at once, the learning rate falls to 0 along a cosine",
        "learning_rates": RATES,
        "dtype": "float64",
        "effort_steps": EFFORT,
        "initialisation": "blocks N(0, 1 / (4 k d)), log-scales 0",
    }
    what = (
        "linear flows of k pairs on samples of a Gaussian: `kl` to the samples' own Gaussian (0 at maximum likelihood), "
        "`kl_true` to the distribution, `kl_floor` that of the exact maximum-likelihood Gaussian"
    )
    record = opened("d", what, config, folder=folder, fresh=fresh)
    for n in sizes:
        cases = [(kind, seed, *covariances(kind, n, seed)) for kind in KINDS for seed in SEEDS]
        for k in PAIRS:
            for start, make in (("random", trained), ("gaussian", untrained)):
                if record.has(start=start, n=n, pairs=k):
                    continue
                before = time.perf_counter()
                made = make([sample for _, _, _, sample in cases], k)
                seconds = time.perf_counter() - before
                record.add(
                    *(
                        {
                            "start": start,
                            "kind": kind,
                            "seed": seed,
                            "n": n,
                            "pairs": k,
                            "kl": kl(sample, t),
                            "kl_true": kl(true, t),
                            "kl_floor": kl(true, np.linalg.cholesky(sample)),
                            "worst_condition": worst,
                            "condition_of_covariance": condition(true),
                            "seconds_of_all": seconds,
                        }
                        for (kind, seed, true, sample), (t, worst) in zip(cases, made, strict=True)
                    )
                )
                print(f"d: {start}, n = {n}, {k} pairs, {seconds:.1f} s", flush=True)
    fields = ("kl", "kl_true", "kl_floor", "worst_condition")
    summary = [
        {"kind": kind, "n": n, "start": start, "pairs": k}
        | {f: median_of(record.rows, f, kind=kind, n=n, start=start, pairs=k) for f in fields}
        for kind in KINDS
        for n in sizes
        for start in ("random", "gaussian")
        for k in PAIRS
    ]
    record.save(summary=summary)
    lines = [
        [row["kind"], str(row["n"]), row["start"], str(row["pairs"]), *(row[f] for f in fields)]
        for row in summary
    ]
    show(
        "(d) maximum likelihood on samples, median of seeds",
        ["covariance", "n", "start", "pairs", *fields],
        lines,
    )


def untrained(samples: list[np.ndarray], k: int) -> list[tuple[np.ndarray, float]]:
    """T and its worst layer's condition, from `shoal.linear.gaussian` with 2 k layers."""
    made = [linear.gaussian(np.zeros(len(s)), s, layers=2 * k, effort=linear.Effort(EFFORT)) for s in samples]
    return [(g.factors.matrix(), g.conditions.largest) for g in made]


def trained(samples: list[np.ndarray], k: int) -> list[tuple[np.ndarray, float]]:
    """The likeliest of the restarts for each sample covariance."""
    n = len(samples[0])
    d, count = n // 2, len(samples) * RESTARTS
    rng = np.random.default_rng([SEED, n, k])
    blocks = rng.normal(size=(count, 2 * k, d, d)) / np.sqrt(4 * k * d)
    roots = np.repeat(np.stack([np.linalg.cholesky(s) for s in samples]), RESTARTS, axis=0)
    with jax.enable_x64(True):
        start = (jnp.asarray(blocks), jnp.zeros(blocks.shape[:3]))
        rates = jnp.tile(jnp.array(RATES, jnp.float64), count // len(RATES))
        blocks, logs = map(np.asarray, descend(start, jnp.asarray(roots), rates, STEPS, negative_likelihood))
    chosen = []
    for i, sample in enumerate(samples):
        made = [couplings_product(blocks[j], logs[j]) for j in range(i * RESTARTS, (i + 1) * RESTARTS)]
        chosen.append(min(made, key=lambda one, s=sample: kl(s, one[0])))
    return chosen


def negative_likelihood(params: Any, root: Any) -> Any:
    """|T^{-1} S^{1/2}|_F^2 / 2 + log det T, T = L U L U ...; the inverses of the layers are applied in turn."""
    blocks, logs = params
    d = blocks.shape[-1]

    def pair(parts: Any, layer: Any) -> Any:
        (top, rest), (b, s) = parts, layer
        rest = jnp.exp(-s[0])[:, None] * (rest - b[0] @ top)
        top = jnp.exp(-s[1])[:, None] * (top - b[1] @ rest)
        return (top, rest), None

    grouped = (blocks.reshape(-1, 2, d, d), logs.reshape(-1, 2, d))
    (top, rest), _ = jax.lax.scan(pair, (root[:d], root[d:]), grouped)
    return 0.5 * (jnp.sum(top**2) + jnp.sum(rest**2)) + jnp.sum(logs)
