"""The demo by several seeds: what the ladder delivers on diamonds in five minutes, against a mixture of Gaussians.

    python benchmarks/diamonds.py [--time-limit 300] [--seeds 0,1,2,3,4] [--out results/diamonds.json]

A seed decides split, noise and weights. The mixture is the leaderboard's (scikit-learn, its size by validation), in two
minutes of processor time on the same training and validation rows; `own` is the likeliest rung without a layer. Figures are
means over the test part, nats a row in the user's units. It goes on where it stopped.

Rows whose lengths contradict their weight are recording errors (y = 58.9 mm at 2 carats), and one of them can cost a mixture
thousands of nats: "plausible" is the mean without them. A cut diamond (3.52 g/cm^3) fills about 0.35 of the box x y z; rows
below half or above twice that are left out of that mean, and of no training.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from resume import RESULTS, Record
from tables.arms import mixture

from shoal.records import system_info
from shoal.selection import LadderResult, ladder, log_likelihoods
from shoal.tables import Table, read_table

DATA = "data/diamonds.csv"
TYPICAL_FILL, DENSITY = 0.35, 3.52e-3  # share of the box x y z; g/mm^3 (a carat is 0.2 g)
MIXTURE_SECONDS = 120.0


def is_plausible(table: Table) -> np.ndarray:
    """Which rows have lengths that agree with their weight."""
    column = {name: table.values[:, i].astype(float) for i, name in enumerate(table.names)}
    with np.errstate(divide="ignore"):
        fill = 0.2 * column["carat"] / DENSITY / (column["x"] * column["y"] * column["z"])
    return (fill > TYPICAL_FILL / 2) & (fill < 2 * TYPICAL_FILL)


def compared(name: str, values: np.ndarray, flow: np.ndarray, kept: np.ndarray) -> dict[str, Any]:
    """A model's means, over all test rows and the plausible ones, and how far the flow is ahead of it."""
    found: dict[str, Any] = {"model": name}
    for word, rows in (("all", np.ones(len(kept), bool)), ("plausible", kept)):
        a, d = values[rows], (flow - values)[rows]
        found[word] = {
            "mean": float(a.mean()),
            "standard_error": float(a.std(ddof=1) / len(a) ** 0.5),
            "flow_ahead": float(d.mean()),
            "paired_standard_error": float(d.std(ddof=1) / len(a) ** 0.5),
        }
    return found


def one(table: Table, seed: int, limit: float) -> dict[str, Any]:
    """The figures of one seed."""
    result = ladder(table, time_limit=limit, seed=seed)
    parts, shift = result.prepared.parts, result.prepared.log_volume
    test, flow = parts["test"].x, result.test_log_likelihoods
    kept = is_plausible(table)[parts["test"].rows]
    others = {"mixture": baseline(result, seed) - shift}
    own = max((r for r in result.rungs if r.family is None), key=lambda r: np.mean(r.log_likelihoods[0]))
    others[f"own: {own.name}"] = log_likelihoods(own.flows[0], test, None) - shift
    decision = result.record.decision
    delivered = result.record.delivered
    return {
        "seed": seed,
        "sentence": decision.sentence,
        "chosen": None if delivered is None else delivered.name,
        "depth": None if delivered is None else delivered.depth,
        "condition_q99": None
        if delivered is None or delivered.condition is None
        else delivered.condition.q99,
        "seconds": result.record.seconds,
        "rows": {name: len(part.rows) for name, part in parts.items()},
        "flow": compared("delivered", flow, flow, kept),
        "others": [compared(name, values, flow, kept) for name, values in others.items()],
    }


def baseline(result: LadderResult, seed: int) -> np.ndarray:
    """Log-likelihoods of the test rows under the leaderboard's mixture, which takes its own validation rows."""
    parts = result.prepared.parts
    rows = np.concatenate([parts["train"].x, parts["validation"].x]).astype(np.float64)
    made = mixture.train("mixture", rows, MIXTURE_SECONDS, seed)
    return made.log_prob(parts["test"].x.astype(np.float64))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time-limit", type=float, default=300.0)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--out", type=Path, default=RESULTS / "diamonds.json")
    options = parser.parse_args()
    head = {
        "what": __doc__.splitlines()[0],
        "command": "python benchmarks/diamonds.py",
        "versions": system_info(),
        "config": {"time_limit": options.time_limit, "mixture_seconds": MIXTURE_SECONDS, "data": DATA},
    }
    record = Record(options.out, head, {"seeds": []})
    table = read_table(DATA)
    for seed in [int(s) for s in options.seeds.split(",")]:
        if any(row["seed"] == seed for row in record["seeds"]):
            continue
        began = time.monotonic()
        row = one(table, seed, options.time_limit)
        record.save(seeds=[*record["seeds"], row])
        print(f"seed {seed}, {time.monotonic() - began:.0f} s: {row['sentence']}")
        for other in row["others"]:
            told = ", ".join(
                f"{w} {other[w]['flow_ahead']:.3f} ± {other[w]['paired_standard_error']:.3f}"
                for w in ("all", "plausible")
            )
            print(f"  flow {row['flow']['all']['mean']:.3f}, ahead of {other['model']}: {told}", flush=True)


if __name__ == "__main__":
    main()
