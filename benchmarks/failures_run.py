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
        record = opened(out, fresh=False)
        part = record["healthy"] if name == "healthy" else record["failures"]
        if name == "healthy":
            for library in FLOWS:
                if library not in part or options.fresh:
                    part[library] = healthy(library)
                    print(library, part[library]["sentence"], flush=True)
        elif name not in part or options.fresh:
            part[name] = study(import_module(f"failures.{name}").CASE, options.seeds)
            print(
                f"{time.perf_counter() - began:.0f} s {name}: {part[name]['audit']['sentence']}", flush=True
            )
        now = opened(out, fresh=False)
        now["healthy" if name == "healthy" else "failures"].update(
            part if name == "healthy" else {name: part[name]}
        )
        write_record(to_plain(now), out)


def opened(out: Path, fresh: bool) -> dict[str, Any]:
    """The file, or an empty record."""
    if out.exists() and not fresh:
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
