"""The remedies on three tables: condition number, float32 round trip and test log-likelihood before and after, three seeds.

    python -m remedies [--tables breast-cancer,digits,moons-8] [--seconds 150]

RealNVP of depth 16 with exponential scales, hidden (32, 32), in units of the training part's deviations; Adam, cosine decay,
batches of 128, the weights that are best on the validation rows. Tables: scikit-learn's breast cancer (30 columns); the
first 16 of scikit-learn's digits' pixels whose deviation is above 1 (whole numbers from 0 to 16); two moons written down
four times (8 columns of rank 2). 60 % of the rows train, 20 % validate, 20 % test. Figures are those of
`shoal.remedies.measure`.
The file is written after every remedy; a run goes on where the last one stopped, and stops before a remedy that it would
begin after `--seconds`. `proposed` is what `shoal.remedies.propose` says of the first seed's flow without a remedy.
"""

import argparse
import time
from typing import Any

import jax.random as jr
import numpy as np
from resume import RESULTS, Record
from sklearn.datasets import load_breast_cancer, load_digits, make_moons

from shoal import flows
from shoal.bijections import ExponentialScale
from shoal.conditioning import audit
from shoal.records import system_info, to_plain
from shoal.remedies import (
    Evidence,
    Figures,
    Measured,
    Proposal,
    Quantity,
    every_remedy,
    make_plan,
    measured,
    propose,
    trained_runs,
    worst_trip,
)
from shoal.training import Settings

SEED, SEEDS, DEPTH, HIDDEN, POINTS = 0, 3, 16, (32, 32), 256
QUANTITIES: tuple[Quantity, ...] = ("condition", "round_trip", "log_likelihood")
EPOCHS = {"breast-cancer": 160, "digits": 50, "moons-8": 50}
SETTINGS: dict[str, Any] = {"batch_size": 128, "learning_rate": 2e-3, "patience": None}
PACKAGES = ("shoal", "numpy", "jax", "jaxlib", "equinox", "optax", "scikit-learn")


def table(name: str) -> np.ndarray:
    """All rows of a table."""
    if name == "breast-cancer":
        return load_breast_cancer(return_X_y=True)[0]
    if name == "digits":
        pixels = load_digits().data
        return pixels[:, np.flatnonzero(pixels.std(axis=0) > 1)[:16]]
    moons = make_moons(1500, noise=0.1, random_state=SEED)[0]
    return np.tile(moons, (1, 4))


def parts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60, 20 and 20 per cent."""
    rows = rows[np.random.default_rng(SEED).permutation(len(rows))]
    a, b = int(0.6 * len(rows)), int(0.8 * len(rows))
    return rows[:a], rows[a:b], rows[b:]


def recipe(key: Any, dim: int) -> Any:
    """The flow that is to be mended."""
    return flows.realnvp(key, dim, DEPTH, hidden=HIDDEN, scale=ExponentialScale())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", default=",".join(EPOCHS))
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument("--out", default=RESULTS / "remedies.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    head: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m remedies",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {
            "seeds": SEEDS,
            "depth": DEPTH,
            "hidden": list(HIDDEN),
            "scale": "ExponentialScale",
            "points": POINTS,
            "epochs": EPOCHS,
            **SETTINGS,
            "dtype": "float32",
        },
    }
    record = Record(options.out, head, {"tables": {}}, fresh=options.fresh)
    keys = list(jr.split(jr.key(SEED), SEEDS))
    for name in options.tables.split(","):
        plan = make_plan(recipe, parts(table(name)), Settings(**SETTINGS, max_epochs=EPOCHS[name]))
        entry = record["tables"].setdefault(name, {"rows": {}, "columns": plan.test.shape[1], "proposed": []})
        if "none" not in entry["rows"]:
            runs, first = trained_runs(plan, keys, POINTS)
            x = plan.test[:POINTS]
            found = audit(first.flow, x, scale=np.ones(x.shape[1]))
            entry["diagnosis"] = to_plain(found.diagnosis)
            entry["proposed"] = [p.to_record() for p in propose(found, first.flow, plan.train)]
            evidence = Evidence(found, first.flow, plan.train)
            entry["worst"] = worst_trip(found)
            judged = {r.name: r.judge(evidence) for r in every_remedy(entry["worst"], name == "digits")}
            entry["expected"] = {name: 0.0 if j is None else j[0] for name, j in judged.items()}
            entry["rows"]["none"] = row_entry(Measured("none", None, runs, {}))
            save(record, name, "none", began)
        runs = tuple(map(read_back, entry["rows"]["none"]["runs"]))
        for remedy in every_remedy(entry["worst"], name == "digits"):
            if remedy.name in entry["rows"]:
                continue
            if time.perf_counter() - began > options.seconds:
                return
            row = measured(Proposal(remedy, "", entry["expected"][remedy.name]), plan, runs, keys, POINTS)
            entry["rows"][remedy.name] = row_entry(row)
            save(record, name, remedy.name, began)


def row_entry(row: Measured) -> dict[str, Any]:
    """What was measured of a remedy, in the file."""
    figures = {
        "name": row.name,
        **({} if row.proposal is None else row.proposal.to_record()),
        "status": row.status,
        "runs": row.runs,
        "mean": {q: row.mean(q) for q in QUANTITIES} if row.runs else {},
        "effects": row.effects,
        "effect": row.effect,
        "helps": row.helps,
        "cost": row.cost,
    }
    return to_plain(figures)


def read_back(row: dict[str, Any]) -> Figures:
    """The figures of a record, which writes what is not finite as a text."""
    return Figures(**{k: v if k.endswith(("kind", "status")) else float(v) for k, v in row.items()})


def save(record: Record, name: str, remedy: str, began: float) -> None:
    """The file, and a line of progress."""
    record.save()
    row = record["tables"][name]["rows"][remedy]
    print(
        f"{time.perf_counter() - began:.0f} s {name} {remedy}: {row['mean']} {row['effect']} {row['status']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
