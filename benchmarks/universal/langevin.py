"""Well-conditioned flows for log-concave targets by steps, zero padding by contraction, and the KL of Gaussians.

    python -m universal.langevin

Targets by their U': logistic tanh(x / 2); Huber's 1.5 clip(2 x, -1, 1); Gumbel 1 - exp(-x); quartic x^3; and the product
of the last two. `universal.langevin` with 10, 20, 40, 80 steps, time 1, 1,025 knots, float32; `universal.zero_padded` with
contractions 0.1 ... 0.001. W2 is in units of the targets' deviations for one coordinate, in the data's for the product.
Gaussians: random covariances, `linear.gaussian` of four layers, and the least KL of volume-preserving flows.
`levels`: the same for densities on a grid, with the best scaling layer, and the change when the grid is halved.
"""

import time
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from shoal.records import system_info, to_plain, write_record
from shoal.theory import linear, universal

ROOT = Path(__file__).resolve().parents[2]
SEED, STEPS, CONTRACTIONS = 0, (10, 20, 40, 80), (0.1, 0.03, 0.01, 0.003, 0.001)
PADDED = ("contraction", "w2", "padding_w2", "median", "at999", "largest")
PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox")


def gumbel(x: np.ndarray) -> np.ndarray:
    """U' of the law of a largest value."""
    return 1 - np.exp(-x)


def quartic(x: np.ndarray) -> np.ndarray:
    """U' of exp(-x^4 / 4)."""
    return x**3


TARGETS: dict[str, Any] = {
    "logistic": lambda x: np.tanh(x / 2),
    "huber": lambda x: 1.5 * np.clip(2 * x, -1, 1),
    "gumbel": gumbel,
    "quartic": quartic,
    "quartic x gumbel": [quartic, gumbel],
}


def normal(x: np.ndarray, mean: float = 0.0, deviation: float = 1.0) -> np.ndarray:
    """The density of N(mean, deviation^2)."""
    return np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))


def eight(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Deviation 0.2 around eight points of a circle of radius 2."""
    angles = np.pi * np.arange(8) / 4
    return np.mean([normal(x, 2 * np.cos(t), 0.2) * normal(y, 2 * np.sin(t), 0.2) for t in angles], axis=0)


LAWS: dict[str, tuple[int, float, Any]] = {  # columns, half a side of the grid, density
    "uniform on [0, 1]": (1, 1.0, lambda x: 1.0 * (x > 0)),
    "Laplace": (1, 30.0, lambda x: 0.5 * np.exp(-np.abs(x))),
    "Student, 3 degrees": (1, 300.0, lambda x: 2 / (np.pi * 3**0.5) / (1 + x * x / 3) ** 2),
    "N(-3, 1) and N(3, 1)": (1, 12.0, lambda x: (normal(x, -3.0) + normal(x, 3.0)) / 2),
    "banana, (z1, z2 + z1^2)": (2, 24.0, lambda x, y: normal(x) * normal(y - x * x)),
    "ring, radius 3, 0.2": (
        2,
        5.0,
        lambda x, y: normal(np.hypot(x, y), 3.0, 0.2) / (2 * np.pi * np.maximum(np.hypot(x, y), 1e-9)),
    ),
    "eight Gaussians": (2, 4.0, eight),
    "checkerboard": (2, 2.0, lambda x, y: ((np.floor(x) + np.floor(y)) % 2 == 0) / 8.0),
}


def plain(made: Any, *names: str) -> dict[str, Any]:
    """Those figures of a flow."""
    return to_plain({name: getattr(made, name) for name in names})


def by_steps(gradient: Any, steps: int) -> dict[str, Any]:
    """One flow's figures."""
    began = time.perf_counter()
    made = universal.langevin(gradient, steps=steps, key=jr.key(SEED))
    seconds = time.perf_counter() - began
    unit = float(made.deviation[0]) if len(made.deviation) == 1 else 1.0
    figures = plain(made, "w2", "w2_error", "conditions", "steps", "time", "mean", "deviation")
    return figures | {"w2_in_deviations": made.w2.value / unit, "seconds": seconds}


def gaussians() -> list[dict[str, Any]]:
    """Random covariances of condition up to about 100."""
    rows, rng = [], np.random.default_rng(SEED)
    for n in (2, 4, 8, 16):
        for scale in (0.5, 1.0, 2.0):
            a = rng.normal(size=(n, n))
            covariance = scale**2 * (a @ a.T / n + 0.05 * np.eye(n))
            gap = universal.volume_preserving_gap(covariance)
            made = linear.gaussian(np.zeros(n), covariance)
            rows.append(
                {
                    "n": n,
                    "scale": scale,
                    "log_det": float(np.linalg.slogdet(covariance)[1]),
                    "condition": float(np.linalg.cond(covariance)),
                    "volume_preserving_kl": gap.kl.value,
                    "couplings_kl": made.kl,
                }
            )
    return rows


def on_grids() -> dict[str, Any]:
    """Laws of one and two columns by formulas, on grids of 2^16 and 1536^2 cells, and the change from half a side."""
    out: dict[str, Any] = {}
    for name, (n, reach, density) in LAWS.items():
        gaps = []
        for count in (2**16, 2**15) if n == 1 else (1536, 768):
            axis = (np.arange(count) + 0.5) * 2 * reach / count - reach
            values = density(*np.meshgrid(*(axis,) * n, indexing="ij"))
            gaps.append(universal.volume_preserving_gap(density=values, cell=(2 * reach / count) ** n))
        fine, coarse = gaps
        out[name] = to_plain({"n": n, "kl": fine.kl, "change": abs(fine.kl.value - coarse.kl.value)})
        out[name] |= to_plain({"scale": fine.scale, "scaled_kl": fine.scaled_kl})
    return out


def main() -> None:
    record: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0] if __doc__ else "",
        "command": "cd benchmarks && python -m universal.langevin",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {"steps": list(STEPS), "contractions": list(CONTRACTIONS), "dtype": "float32"},
        "langevin": {name: {str(s): by_steps(g, s) for s in STEPS} for name, g in TARGETS.items()},
        "zero_padded": {
            name: [
                plain(universal.zero_padded(g, contraction=c, key=jr.key(SEED)), *PADDED)
                for c in CONTRACTIONS
            ]
            for name, g in TARGETS.items()
        },
        "gaussians": gaussians(),
        "levels": on_grids(),
        "status": "done",
    }
    write_record(to_plain(record), ROOT / "results" / "langevin.json")
    for name, rows in record["langevin"].items():
        for steps, row in rows.items():
            c = row["conditions"]
            figures = [c[k]["value"] for k in ("median", "at999", "largest", "box")]
            print(name, steps, f"{row['w2_in_deviations']:.3g}", *(f"{f:.3g}" for f in figures))


if __name__ == "__main__":
    main()
