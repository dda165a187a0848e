"""Five failures of other libraries' flows: reproduced, named by an audit before they happen, mended; five healthy flows.

    python benchmarks/failures_run.py [--only deep_couplings,healthy] [--seeds 1] [--fresh]

Each failure is a script of its own in `benchmarks/failures/`; run as `python -m failures.deep_couplings` in `benchmarks/` it
prints what the peer does without Shoal. The file is written after every failure; a run goes on where the last one stopped.
"""

import argparse
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from failures._judge import study
from failures.healthy import FLOWS, healthy

from shoal.records import read_record, system_info, to_plain, write_record

ROOT = Path(__file__).resolve().parents[1]
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
    parser.add_argument("--out", default=str(ROOT / "results" / "failures.json"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*deprecated.*")
    torch.set_num_threads(1)
    out, began = Path(options.out), time.perf_counter()
    for name in options.only.split(","):
        if name == "healthy":
            for library in FLOWS:
                if options.fresh or library not in opened(out)["healthy"]:
                    store(out, "healthy", library, healthy(library))
                    print(library, opened(out)["healthy"][library]["sentence"], flush=True)
        elif options.fresh or name not in opened(out)["failures"]:
            found = study(import_module(f"failures.{name}").CASE, options.seeds)
            store(out, "failures", name, found)
            print(f"{time.perf_counter() - began:.0f} s {name}: {found['audit']['sentence']}", flush=True)


def store(out: Path, part: str, name: str, row: dict[str, Any]) -> None:
    """The file with this row."""
    record = opened(out)
    record[part][name] = row
    write_record(to_plain(record), out)


def opened(out: Path) -> dict[str, Any]:
    """The file, or an empty record."""
    if out.exists():
        return read_record(out)
    return {
        "what": __doc__.strip().splitlines()[0],
        "command": "python benchmarks/failures_run.py",
        "seed": 0,
        "versions": system_info(PACKAGES),
        "config": {"dtype": "float32", "optimizer": "Adam"},
        "failures": {},
        "healthy": {},
    }


if __name__ == "__main__":
    main()
