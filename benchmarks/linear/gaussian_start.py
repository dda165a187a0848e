"""What a start from the closed-form Gaussian saves: RealNVP from the identity against `initial=gaussian(...)`.

    python -m linear.gaussian_start [--tables diamonds,cancer] [--seeds 3] [--out results/gaussian-start.json]

Two tables, standardised column by column only: diamonds (7 columns, 10,000 plausible rows, dequantized) and
scikit-learn's breast cancer (30 columns, 569 rows). Both starts have the same depth, nets, seeds and settings; the Gaussian
has the training part's mean and covariance and as many layers as the flow has couplings. Likelihoods are nats per row in
standardised units; epoch 0 is the untrained flow. Figures by number of couplings and seed:

- `epochs_to_gaussian`: epochs until the start from the identity is on validation rows as likely as the *untrained* Gaussian;
- `epochs_to_identity_best`: epochs until the start from the Gaussian is as likely as the other's best epoch (0 ... );
- test log-likelihood at the best epoch, and the 99 % quantile of the Jacobian's condition number on test rows.

The frontier of conditions (`gaussian_frontier`) of both covariances comes first; its factors are the starts.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from diamonds import is_plausible
from resume import RESULTS, ROOT
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer

from shoal.conditioning import spectrum, summarize
from shoal.flows import realnvp
from shoal.records import system_info
from shoal.tables import dequantize, detect_lattice, read_table
from shoal.theory.linear import Effort, FrontierRow, GaussianFactors, gaussian_frontier
from shoal.training import Settings, fit

ROWS = 10_000
TABLES: dict[str, dict[str, Any]] = {
    "diamonds": {"depths": (2, 4, 8), "hidden": (64, 64), "batch_size": 512, "max_epochs": 60},
    "cancer": {"depths": (2, 4, 6), "hidden": (32, 32), "batch_size": 64, "max_epochs": 100},
}
FRONTIER = {"diamonds": tuple(range(2, 12)), "cancer": (2, 3, 4, 6)}


def parts_of(name: str) -> dict[str, np.ndarray]:
    """Train, validation and test rows (70, 15, 15 %), standardised by the training part's means and deviations."""
    rng = np.random.default_rng(0)
    if name == "diamonds":
        table = read_table(ROOT / "data" / "diamonds.csv")
        values = table.values[is_plausible(table)].astype(np.float64)
        values = dequantize(values, detect_lattice(values, table.names), rng)
    else:
        loaded: Any = load_breast_cancer()
        values = loaded.data
    values = values[rng.permutation(len(values))[:ROWS]]
    first, second = int(0.7 * len(values)), int(0.85 * len(values))
    x = (values - values[:first].mean(0)) / values[:first].std(0)
    return {"train": x[:first], "validation": x[first:second], "test": x[second:]}


def run(
    parts: dict[str, np.ndarray], depth: int, seed: int, initial: Any, settings: dict[str, Any]
) -> dict[str, Any]:
    """One training run: validation log-likelihood by epoch from epoch 0, test log-likelihood, κ."""
    settings = dict(settings)
    key_flow, key_fit = jax.random.split(jax.random.key(seed))
    hidden = settings.pop("hidden")
    flow = realnvp(key_flow, parts["train"].shape[1], depth, hidden=hidden, initial=initial)
    untrained = float(np.mean(flow.log_prob(parts["validation"].astype(np.float32))))
    done = fit(
        flow,
        parts["train"],
        key=key_fit,
        validation=parts["validation"],
        settings=Settings(patience=None, **settings),
    )
    kappa = spectrum(done.flow.to_map(), parts["test"]).condition_numbers
    return {
        "status": done.status,
        "validation": [untrained, *(row.validation for row in done.history)],
        "best_epoch": done.best_epoch,
        "test": float(np.mean(done.flow.log_prob(parts["test"].astype(np.float32)))),
        "condition_q99": summarize(kappa).q99,
        "seconds": done.seconds,
    }


def first_at_least(curve: list[float], value: float) -> int | None:
    """The first epoch whose value is at least this; None where there is none."""
    return next((epoch for epoch, v in enumerate(curve) if v >= value), None)


def show(name: str, row: Any) -> None:
    print(
        f"{name}: {row.layers:2d} layers, condition {row.condition:.4g} (at least {row.lower_bound:.3g})",
        flush=True,
    )


def figures(row: FrontierRow[GaussianFactors]) -> dict[str, Any]:
    """One number of layers."""
    names = ("layers", "condition", "lower_bound")
    return {name: getattr(row, name) for name in names} | {"residual": row.residual_float64}


def table_of(name: str, seeds: int) -> dict[str, Any]:
    settings = {k: v for k, v in TABLES[name].items() if k != "depths"}
    parts = parts_of(name)
    mean, covariance = parts["train"].mean(0), np.cov(parts["train"].T, bias=True)
    law = multivariate_normal(mean, covariance)
    likelihood = {part: float(np.mean(law.logpdf(parts[part]))) for part in ("validation", "test")}
    started = time.monotonic()
    frontier = gaussian_frontier(
        covariance, FRONTIER[name], effort=Effort(30), progress=lambda row: show(name, row)
    )
    starts = {row.layers: replace(row.factors, mean=mean) for row in frontier.rows if row.factors}
    out: dict[str, Any] = {
        "rows": {part: len(x) for part, x in parts.items()},
        "columns": len(mean),
        "covariance_condition": float(np.linalg.cond(covariance)),
        "settings": settings,
        "gaussian": likelihood,
        "frontier": {
            "size": frontier.size,
            "kept": list(frontier.kept),
            "rows": [figures(row) for row in frontier.rows],
        },
        "frontier_seconds": time.monotonic() - started,
        "depths": [],
    }
    for depth in TABLES[name]["depths"]:
        start = starts[depth]
        try:
            realnvp(jax.random.key(0), len(mean), depth, hidden=(4,), initial=start)
        except ValueError as error:
            out["depths"].append(
                {"depth": depth, "largest_condition": start.conditions.largest, "reason": str(error)}
            )
            print(f"{name}, {depth} couplings: {error}")
            continue
        runs = []
        for seed in range(seeds):
            identity = run(parts, depth, seed, None, settings)
            closed = run(parts, depth, seed, start, settings)
            runs.append(
                {
                    "seed": seed,
                    "identity": identity,
                    "gaussian": closed,
                    "epochs_to_gaussian": first_at_least(identity["validation"], likelihood["validation"]),
                    "epochs_to_identity_best": first_at_least(
                        closed["validation"], max(identity["validation"])
                    ),
                }
            )
            print(
                f"{name}, {depth} couplings, seed {seed}: identity reaches the untrained Gaussian after "
                f"{runs[-1]['epochs_to_gaussian']} epochs; Gaussian start reaches its best after "
                f"{runs[-1]['epochs_to_identity_best']} (it: {identity['best_epoch']}); test {identity['test']:.3f} against "
                f"{closed['test']:.3f}; κ 99 % {identity['condition_q99']:.3g} against {closed['condition_q99']:.3g}",
                flush=True,
            )
        out["depths"].append(
            {
                "depth": depth,
                "largest_condition": start.conditions.largest,
                "kl": start.kl,
                "runs": runs,
            }
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", default="diamonds,cancer")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default=RESULTS / "gaussian-start.json")
    options = parser.parse_args()
    started = time.monotonic()
    tables = {name: table_of(name, options.seeds) for name in options.tables.split(",")}
    record = {
        "what": "RealNVP from the identity and from the closed-form Gaussian, nats per row in standardised units",
        "command": f"cd benchmarks && python -m linear.gaussian_start --tables {options.tables} --seeds {options.seeds}",
        "seeds": list(range(options.seeds)),
        "versions": system_info(),
        "seconds": time.monotonic() - started,
        "processor_seconds": time.process_time(),
        "tables": tables,
    }
    path = Path(options.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
