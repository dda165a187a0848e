"""Bounds of given pairs, a hundred trained flows and their instances, against exact transport and measured mode shares.

    python -m hardness.given_pairs [--fresh] [--only planar-ring] [--out results/given-pairs.json]

`wasserstein_gap(...).lower` against W1 of fresh samples by another library (POT), which is too large in the mean; and, for
families with a Lipschitz constant on all of R^d (`measured`), `total_variation_bound` against the mass that the flow leaves
out of the modes. Five families, five instances, depths 1 to 8, four seeds. It goes on where it stopped.
"""

import argparse
import time
from typing import Any

import jax.random as jr
from resume import RESULTS, Record

from shoal.records import system_info

from .pairs import (
    DEPTHS,
    FAMILIES,
    HIDDEN,
    INSTANCES,
    MASS,
    SEED,
    SEEDS,
    SEPARATION,
    SIZES,
    TRAINING,
    compared,
    instance_of,
    trained,
)


def groups() -> list[tuple[str, str, int]]:
    """(family, instance, depth), a Latin square."""
    return [
        (family, name, DEPTHS[(i + j) % len(DEPTHS)])
        for i, family in enumerate(FAMILIES)
        for j, name in enumerate(INSTANCES)
    ]


def run(family: str, name: str, depth: int) -> list[dict[str, Any]]:
    """The rows of one group."""
    instance, rows = instance_of(name), []
    k, d = instance.means.shape
    for seed, result in enumerate(trained(family, name, depth)):
        key = jr.fold_in(jr.key(SEED + 4), seed)
        head = {"family": family, "instance": name, "k": k, "d": d, "depth": depth, "seed": seed}
        rows.append({**head, **compared(result, family, instance, key, SIZES)})
    return rows


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """What the pairs come to."""
    bounded = [r for r in rows if r["variation_bound"] is not None]
    return {
        "pairs": len(rows),
        "violations": sum(r["violated"] for r in rows),
        "lower_above_zero": sum(r["lower"] > 0 for r in rows),
        "with_lipschitz": len(bounded),
        "variation_violations": sum(r["variation_violated"] for r in bounded),
        "variation_above_zero": sum(r["variation_bound"] > 0 for r in bounded),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=RESULTS / "given-pairs.json")
    parser.add_argument("--only", help="one group, FAMILY-INSTANCE")
    parser.add_argument("--fresh", action="store_true", help="forget the rows of earlier runs")
    options = parser.parse_args()
    head: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m hardness.given_pairs",
        "seed": SEED,
        "config": {
            **TRAINING,
            **SIZES,
            "hidden": HIDDEN,
            "seeds": SEEDS,
            "depths": DEPTHS,
            "separation": SEPARATION,
            "mass": MASS,
            "dtype": "float32",
        },
        "versions": system_info(("shoal", "jax", "numpy", "scipy", "POT")),
        "kinds": {
            "lower": "lower_bound with probability 1 - alpha",
            "transported": "estimate, too large in the mean",
            "upper": "estimate, too large in the mean",
            "lipschitz": "upper_bound",
            "variation_bound": "lower_bound",
            "misplaced": "estimate, too large in the mean",
        },
    }
    record = Record(options.out, head, {"rows": [], "status": "partial"}, fresh=options.fresh)
    for family, name, depth in groups():
        done = [r for r in record.rows if (r["family"], r["instance"]) == (family, name)]
        if len(done) == SEEDS or (options.only and options.only != f"{family}-{name}"):
            continue
        began = time.perf_counter()
        rows = [*record.rows, *(found := run(family, name, depth))]
        status = "done" if len(rows) == SEEDS * len(groups()) else "partial"
        record.add(*found, counts=counts(rows), status=status)
        last = record.rows[-1]
        print(family, name, depth, f"{time.perf_counter() - began:.0f} s", last, flush=True)


if __name__ == "__main__":
    main()
