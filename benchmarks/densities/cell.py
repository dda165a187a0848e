"""One cell in a process of its own: `python -m densities.cell flow|nuts TARGET ARM SECONDS SEED` prints it as JSON.

Every clock that the arms look at is set to processor seconds of this process: what else the machine does takes none of them.
"""

import json
import sys
import time
from typing import Any

import numpy as np

from shoal.training import weight_figures

from . import arms, nuts
from .targets import Target, targets


def flow_cell(target: Target, arm: str, seconds: float, seed: int) -> dict[str, Any]:
    """Figures of a flow that was trained for so many seconds: of its own draws, weighted and not."""
    started = time.perf_counter()
    found = arms.ARMS[arm](target, seconds, seed)
    gone = time.perf_counter() - started
    figures = weight_figures(found.log_weights)
    plain = _off(target, target.features(found.x), np.ones(len(found.x)))
    finite = np.isfinite(figures.log_z)
    weights = np.exp(found.log_weights - found.log_weights.max()) if finite else np.ones(len(found.x))
    weighted = _off(target, target.features(found.x), weights)
    return {
        "elbo": figures.elbo,
        "kl": target.log_z - figures.elbo,
        "kl_error": figures.elbo_error,
        "log_z_off": figures.log_z - target.log_z,
        "log_z_error": figures.log_z_error,
        "ess": figures.ess,
        "ess_low": figures.ess_interval[0],
        "ess_high": figures.ess_interval[1],
        "pareto_k": figures.pareto_k,
        "mean_off": plain[0],
        "sd_off": plain[1],
        "weighted_mean_off": weighted[0],
        "weighted_sd_off": weighted[1],
        "steps": found.steps,
        "layers": found.layers,
        "tried": list(found.tried),
        "condition": found.condition,
        "notes": list(found.notes),
        "seconds": gone,
    }


def _off(target: Target, features: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The largest errors of a mean and of a deviation over the features, in deviations."""
    share = weights / weights.sum()
    mean = share @ features
    sd = np.sqrt(np.maximum(share @ (features - mean) ** 2, 0.0))
    return float(np.max(np.abs(mean - target.mean) / target.sd)), float(np.max(np.abs(sd / target.sd - 1)))


def main() -> None:
    kind, name, arm, seconds, seed = sys.argv[1:]
    target = targets()[name]
    time.perf_counter = time.monotonic = time.process_time
    if kind == "flow":
        found = flow_cell(target, arm, float(seconds), int(seed))
    else:
        found = nuts.measured(target, nuts.ARMS[arm], float(seconds), int(seed))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
