"""The main job on diamonds against a Gaussian and Gaussian mixtures, all on the same dequantized parts.

    python benchmarks/diamonds.py [--time-limit 300] [--plausible] [--out results/diamonds.json]

Every model is fitted to the training part in standardised units (an affine change that the likelihood is corrected
for), choices are made on the validation part, and the test part gives the figures: mean nats per row with its
standard error, and the chosen flow's paired difference to each.

`--plausible` leaves out the rows whose lengths contradict their weight: a cut diamond (3.52 g/cm^3) fills about 0.35 of
the box x y z, and rows below half or above twice that are recording errors (y = 58.9 mm at 2 carats). One such row in
the test part costs a Gaussian mixture thousands of nats and decides the mean and its standard error alone.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from shoal.records import system_info
from shoal.report import write_report
from shoal.selection import ladder
from shoal.selection._evaluate import log_likelihoods
from shoal.tables import read_table

COMPONENTS = (5, 10, 20, 30, 40, 60, 80)


TYPICAL_FILL, DENSITY = 0.35, 3.52e-3  # share of the box x y z; g/mm^3 (a carat is 0.2 g)


def plausible(table):
    """The table without the rows whose lengths contradict their weight, and how many were left out."""
    column = {name: table.values[:, i].astype(float) for i, name in enumerate(table.names)}
    fill = 0.2 * column["carat"] / DENSITY / (column["x"] * column["y"] * column["z"])
    kept = (fill > TYPICAL_FILL / 2) & (fill < 2 * TYPICAL_FILL)
    return replace(table, values=table.values[kept]), int(np.sum(~kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/diamonds.csv")
    parser.add_argument("--time-limit", type=float, default=300.0)
    parser.add_argument(
        "--plausible", action="store_true", help="without rows whose lengths contradict the weight"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", default="results/diamonds.json")
    parser.add_argument("--report", help="write the ladder's report to this file")
    options = parser.parse_args()
    table_in, left_out = read_table(options.data), 0
    if options.plausible:
        table_in, left_out = plausible(table_in)
    result = ladder(
        table_in,
        seeds=options.seeds,
        time_limit=options.time_limit,
    )
    if options.report:
        write_report(result.record, options.report)
    parts, shift = result.prepared.parts, result.prepared.log_volume
    train, validation, test = (parts[name].x for name in ("train", "validation", "test"))
    scores = {"chosen flow": result.test_log_likelihoods}
    best = result.rungs[result.choice.best]
    scores["likeliest rung"] = log_likelihoods(best.flows[best.best_seed(None)], test, None) - shift
    gaussian = multivariate_normal(train.mean(0), np.cov(train.T))
    scores["Gaussian, full covariance"] = gaussian.logpdf(test) - shift
    started = time.monotonic()
    twenty = GaussianMixture(20, reg_covar=1e-6, n_init=3, random_state=0).fit(train)
    scores["mixture of 20, best of 3"] = twenty.score_samples(test) - shift
    mixture_seconds = time.monotonic() - started
    candidates = {
        k: GaussianMixture(k, reg_covar=1e-6, n_init=1, random_state=0).fit(train) for k in COMPONENTS
    }
    k = max(candidates, key=lambda k: candidates[k].score(validation))
    scores[f"mixture of {k}, k by validation"] = candidates[k].score_samples(test) - shift
    flow = scores["chosen flow"]
    table = []
    for name, values in scores.items():
        difference = flow - values
        table.append(
            {
                "model": name,
                "log_likelihood": float(values.mean()),
                "standard_error": float(values.std(ddof=1) / np.sqrt(len(values))),
                "flow_minus_model": float(difference.mean()),
                "paired_standard_error": float(difference.std(ddof=1) / np.sqrt(len(values))),
            }
        )
    out = {
        "what": "diamonds, seven columns, dequantized; test part, nats per row in the user's units",
        "command": f"python benchmarks/diamonds.py --time-limit {options.time_limit:g} --seeds {options.seeds}"
        + (" --plausible" if options.plausible else ""),
        "left_out": left_out,
        "seed": 0,
        "versions": system_info(),
        "config": result.record["config"],
        "rows": {name: len(part.rows) for name, part in parts.items()},
        "decision": result.record["decision"],
        "rungs": [
            {
                key: rung[key]
                for key in (
                    "family",
                    "depth",
                    "status",
                    "validation_log_likelihood",
                    "difference",
                    "standard_error",
                )
            }
            | {"condition_q99": (rung["condition"] or {}).get("q99"), "seconds": rung["seconds"]}
            for rung in result.record["rungs"]
        ],
        "ladder_seconds": result.record["seconds"],
        "mixture_seconds": mixture_seconds,
        "table": table,
    }
    path = Path(options.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=1) + "\n")
    for row in table:
        print(
            f"{row['model']:36s} {row['log_likelihood']:9.4f} ± {row['standard_error']:.4f}   flow is ahead by "
            f"{row['flow_minus_model']:8.4f} ± {row['paired_standard_error']:.4f}"
        )
    print(result.record["decision"]["sentence"])


if __name__ == "__main__":
    main()
