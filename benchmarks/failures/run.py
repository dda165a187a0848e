"""Five failures of other libraries' flows: reproduced, named by an audit before they happen, mended; five healthy flows.

    python -m failures.run [--only deep_couplings,healthy] [--seeds 1] [--fresh]

Each failure is a script of its own in `benchmarks/failures/`; run as `python -m failures.deep_couplings` in `benchmarks/` it
prints what the peer does without Shoal. The file is written after every failure; a run goes on where the last one stopped.
"""

import argparse
import time
import warnings
from importlib import import_module

import torch
from resume import RESULTS, Record

from failures._judge import study
from failures.healthy import FLOWS, healthy
from shoal.records import system_info

NAMES = (
    "deep_couplings",
    "repeated_data",
    "bounded_scale",
    "singular_convolution",
    "reverse_overflow",
)
PACKAGES = ("shoal", "numpy", "torch", "jax", "nflows", "normflows", "FrEIA", "zuko", "scikit-learn")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join((*NAMES, "healthy")))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", default=RESULTS / "failures.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*deprecated.*")
    torch.set_num_threads(1)
    head = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m failures.run",
        "seed": 0,
        "versions": system_info(PACKAGES),
        "config": {"dtype": "float32", "optimizer": "Adam"},
    }
    record, began = Record(options.out, head, {"failures": {}, "healthy": {}}), time.perf_counter()
    for name in options.only.split(","):
        if name == "healthy":
            for library in FLOWS:
                if options.fresh or library not in record["healthy"]:
                    found = healthy(library)
                    record.save(healthy={**record["healthy"], library: found})
                    print(library, found["sentence"], flush=True)
        elif options.fresh or name not in record["failures"]:
            found = study(import_module(f"failures.{name}").CASE, options.seeds)
            record.save(failures={**record["failures"], name: found})
            print(f"{time.perf_counter() - began:.0f} s {name}: {found['audit']['sentence']}", flush=True)


if __name__ == "__main__":
    main()
