"""Whitening by coupling layers with random rotations, layer by layer, against published bounds and the exact answer.

    python -m hardness.whitening [--fresh] [--out results/whitening.json]

The record is written after every row; a later run with the same configuration goes on where it stopped.
A layer: a Haar rotation, then the affine coupling that is best for a Gaussian: of the moved half x2 it subtracts its
conditional mean given the kept half x1 and divides each coordinate by its conditional deviation, all in closed form. The
loss is KL(N(0, S) || N(0, I)) = (tr S - n - log det S) / 2. Draxler, Schnoerr, Koethe: Whitening convergence rate of
coupling-based normalizing flows, NeurIPS 2022. The exact answer: `shoal.linear.gaussian`, two layers and six, no rotations.
"""

import argparse
import math
import time
from typing import Any

import numpy as np
from resume import RESULTS, Record

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.records import system_info
from shoal.theory.linear import gaussian

DIMENSIONS, CONDITIONS = (4, 16, 64), (1e1, 1e3)
LAYERS, REPEATS, SEED = 64, 20, 0
SMALL = (1e-1, 1e-3, 1e-6)
FLOOR = 1e-10  # loss below which rounding plays a part: no rates are taken there
# Layers of the exact answer; two for n = 64 take minutes a row.
EXACT = {"4": (2, 6), "16": (2, 6), "64": (6,)}


def loss(s: FloatArray) -> float:
    """KL(N(0, S) || N(0, I)), from eigenvalues less 1 so that small losses keep their digits."""
    off = np.linalg.eigvalsh(s - np.eye(len(s)))
    return float(np.sum(off - np.log1p(off)) / 2)


def start(rng: np.random.Generator, n: int, condition: float) -> FloatArray:
    """A covariance with eigenvalues evenly spaced in their logarithm, of trace n, in a random basis."""
    spectrum = np.geomspace(1.0, condition, n)
    q = haar(rng, n)
    return (q * (spectrum * n / spectrum.sum())) @ q.T


def haar(rng: np.random.Generator, n: int) -> FloatArray:
    """A random orthogonal matrix."""
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


def layer(s: FloatArray, q: FloatArray) -> FloatArray:
    """The covariance after the rotation q and the best affine coupling; the first half of the coordinates is kept."""
    kept = len(s) // 2
    t = q @ s @ q.T
    t11, t21 = t[:kept, :kept], t[kept:, :kept]
    rest = t[kept:, kept:] - t21 @ np.linalg.solve(t11, t21.T)
    deviation = np.sqrt(np.diag(rest))
    made = np.zeros_like(t)
    made[:kept, :kept] = t11
    made[kept:, kept:] = rest / deviation[:, None] / deviation
    return (made + made.T) / 2


def spectrum_bound(s: FloatArray) -> float:
    """E loss after a layer <= loss + a/2 [1 - m + log m + log(1 - n b v / ((n - 1) (n + 2) m max))].

    a moved and b kept coordinates, m and v mean and variance of the eigenvalues. The best coupling lowers the loss by half
    the sum of t_ii - 1 - log c_i over moved i, c_i <= t_ii - |t_i,kept|^2 / max; E t_ii = m and
    E t_ij^2 = n v / ((n - 1)(n + 2)) for i != j under a Haar rotation; Jensen. For m = 1 it is the bound of the paper.
    """
    values = np.linalg.eigvalsh(s)
    n, kept = len(s), len(s) // 2
    m, v, top = values.mean(), values.var(), values[-1]
    share = n * kept * v / ((n - 1) * (n + 2) * m * top)
    return loss(s) + (n - kept) / 2 * float(1 - m + math.log(m) + math.log1p(-share))


def loss_bound(value: float, n: int) -> float:
    """The bound for trace n by the loss alone: v >= 2 min (1 - g) (Cartwright and Field 1978), g = exp(-2 loss / n).

    And min / max >= (1 - w) / (1 + w), w = sqrt(1 - g^n): arithmetic mean 1, geometric mean g.
    """
    kept = n // 2
    w = math.sqrt(-math.expm1(-2 * value))
    least = (
        math.exp(-2 * value) / (1 + w) ** 2
    )  # (1 - w) / (1 + w), without a difference of nearly equal numbers
    share = 2 * n * kept / ((n - 1) * (n + 2)) * least * -math.expm1(-2 * value / n)
    return value + (n - kept) / 2 * math.log1p(-share)


def run(n: int, condition: float, layers: int = LAYERS, repeats: int = REPEATS) -> dict[str, Any]:
    """Losses by layer, the bound of each next one, and how many layers they need."""
    losses, bounds = np.zeros((repeats, layers + 1)), np.zeros((repeats, layers))
    for i in range(repeats):
        rng = np.random.default_rng([SEED, n, int(condition), i])
        s = start(rng, n, condition)
        losses[i, 0] = loss(s)
        for j in range(layers):
            bounds[i, j] = spectrum_bound(s)
            s = layer(s, haar(rng, n))
            losses[i, j + 1] = loss(s)
    mean, bound = losses.mean(axis=0), bounds.mean(axis=0)
    used = np.flatnonzero(losses.min(axis=0) > FLOOR)
    last = int(used[-1])
    tail = max(last // 2, 1)
    each = losses[:, 1 : last + 1] / losses[:, :last]
    return {
        "n": n,
        "condition": condition,
        "repeats": repeats,
        "loss": mean,
        "loss_low": losses.min(axis=0),
        "loss_high": losses.max(axis=0),
        "bound_of_next": bound,
        "layers_above_floor": last,
        "excess_error": (losses[:, 1:] - bounds).std(axis=0, ddof=1) / repeats**0.5,
        "bound_by_loss_of_first": loss_bound(float(mean[0]), n),
        "measured_of_first": float(mean[1]),
        "measured_of_first_error": float(losses[:, 1].std(ddof=1) / repeats**0.5),
        "rate_first": float(each[:, 0].mean()),
        "rate_tail": float(np.exp(np.log(each[:, tail:]).mean())) if last > tail else None,
        "rate_bound_tail": 1 - 2 * (n - n // 2) * (n // 2) / ((n - 1) * (n + 2)),
        "layers_to": {f"{x:g}": next((j for j, v in enumerate(mean) if v <= x), None) for x in SMALL},
    }


def exact(n: int, condition: float, layers: int) -> dict[str, Any]:
    """The same Gaussian by `shoal.linear.gaussian`: its loss, and the worst condition of a layer."""
    s = start(np.random.default_rng([SEED, n, int(condition), 0]), n, condition)
    started = time.perf_counter()
    try:
        made = gaussian(np.zeros(n), s, layers)
    except NumericalFailure as error:
        return {
            "layers": layers,
            "status": "failed",
            "reason": str(error),
            "seconds": time.perf_counter() - started,
        }
    return {
        "layers": layers,
        "status": "done",
        "kl": made.kl,
        "residual": made.residual,
        "condition": made.conditions.largest,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=RESULTS / "whitening.json")
    parser.add_argument("--fresh", action="store_true", help="forget the rows of earlier runs")
    options = parser.parse_args()
    wanted = [(n, condition) for n in DIMENSIONS for condition in CONDITIONS]
    head: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m hardness.whitening",
        "seed": SEED,
        "config": {"layers": LAYERS, "repeats": REPEATS, "floor": FLOOR, "dtype": "float64", "exact": EXACT},
        "versions": system_info(("shoal", "numpy", "scipy")),
        "kinds": {
            "loss": "estimate of the mean over rotations",
            "bound_of_next": "upper_bound, averaged over the same runs",
            "excess_error": "standard error of the mean of loss less bound",
            "bound_by_loss_of_first": "upper_bound",
            "rate_tail": "estimate",
            "rate_bound_tail": "limit of the bound",
        },
    }
    record = Record(options.out, head, {"rows": [], "status": "partial"}, fresh=options.fresh)
    for n, condition in wanted:
        if record.has(n=n, condition=condition):
            continue
        row = {**run(n, condition), "exact": [exact(n, condition, k) for k in EXACT[str(n)]]}
        record.add(row, status="done" if len(record.rows) + 1 == len(wanted) else "partial")
        print(n, condition, row["layers_to"], row["rate_tail"], row["exact"], flush=True)


if __name__ == "__main__":
    main()
