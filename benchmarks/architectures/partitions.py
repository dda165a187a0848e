"""Partitions of couplings compared: halves, alternating, random halves, one coordinate a layer.

    python -m architectures.partitions [--out results/partitions.json]

RealNVP of 8 and 16 layers on two tables (diamonds: six columns; digits: 16 principal axes), three seeds, the same
budget: test log-likelihood (nats a row, standardised columns) and the 99 % condition number of latent -> data at 400
test rows.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
from linear.data import parts

from shoal.conditioning import spectrum
from shoal.flows import realnvp, single_coordinate
from shoal.records import system_info, to_plain, write_record
from shoal.training import Settings, fit

ROOT = Path(__file__).resolve().parents[2]
SEEDS, DEPTHS = (0, 1, 2), (8, 16)
SETTINGS: dict[str, dict[str, Any]] = {
    "diamonds": {"batch_size": 512, "max_epochs": 40, "learning_rate": 2e-3, "patience": None},
    "digits": {"batch_size": 128, "max_epochs": 100, "learning_rate": 1e-3, "patience": 20},
}
PARTITIONS = ("halves", "alternating", "random", "one coordinate")


def made(partition: str, key: Any, dim: int, depth: int) -> Any:
    if partition == "one coordinate":
        return single_coordinate(key, dim, depth, hidden=(64, 64))
    return realnvp(key, dim, depth, hidden=(64, 64), partition=partition)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(ROOT / "results" / "partitions.json"))
    options = parser.parse_args()
    rows = []
    for table, settings in SETTINGS.items():
        train, validation, test = parts(table)
        for depth in DEPTHS:
            for partition in PARTITIONS:
                for seed in SEEDS:
                    started = time.perf_counter()
                    flow = made(partition, jr.key(seed), train.shape[1], depth)
                    result = fit(
                        flow,
                        train,
                        key=jr.key(100 + seed),
                        validation=validation,
                        settings=Settings(**settings),
                    )
                    seconds = time.perf_counter() - started
                    value = float(np.mean(np.asarray(result.flow.log_prob(test), np.float64)))
                    kappa = spectrum(result.flow.to_map(), test[:400]).condition_numbers
                    rows.append(
                        {
                            "table": table,
                            "depth": depth,
                            "partition": partition,
                            "seed": seed,
                            "log_likelihood": value,
                            "kappa_99": float(np.quantile(np.asarray(kappa), 0.99)),
                            "seconds": seconds,
                        }
                    )
                    print(
                        {k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()},
                        flush=True,
                    )
    record = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m architectures.partitions",
        "seed": list(SEEDS),
        "versions": system_info(("shoal", "numpy", "jax", "jaxlib", "equinox", "optax", "scikit-learn")),
        "config": {"training": SETTINGS, "depths": list(DEPTHS), "hidden": [64, 64], "dtype": "float32"},
        "rows": rows,
    }
    write_record(to_plain(record), options.out)


if __name__ == "__main__":
    main()
