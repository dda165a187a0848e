"""What `shoal.linear` is worth: gradient descent, PLU, maximum likelihood and Glow-style layers beside it.

    OMP_NUM_THREADS=1 python -m linear.run a b c d e f [--fresh] [--quick] [--out results]

(a) matrices fitted by Adam, error against the number of pairs; (b) `factor` on the same matrices; (c) PLU; (d) linear
flows by maximum likelihood on Gaussian samples; (e) LU layers against couplings of a fixed partition in trained flows;
(f) smooth coupling nets fitted to Theorem C's map. Each part prints a table and writes `linear-<letter>.json` after
every row; a run that stopped goes on where it was, if its configuration and versions are the same.
"""

import argparse
import time
from pathlib import Path

from resume import ROOT

from .ball import run as run_ball
from .exact import run_factor, run_plu
from .fit import run as run_fit
from .glow import run as run_glow
from .likelihood import run as run_likelihood

PARTS = {
    "a": run_fit,
    "b": run_factor,
    "c": run_plu,
    "d": run_likelihood,
    "e": run_glow,
    "f": run_ball,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS, help="which parts, in this order")
    parser.add_argument("--fresh", action="store_true", help="forget the rows of earlier runs")
    parser.add_argument("--quick", action="store_true", help="small sizes only, written to build/linear")
    parser.add_argument("--out", type=Path, help="the folder of the results")
    options = parser.parse_args()
    folder = options.out or ROOT / ("build/linear" if options.quick else "results")
    folder.mkdir(parents=True, exist_ok=True)
    for letter in options.parts:
        started = time.perf_counter()
        PARTS[letter](folder, options.fresh, options.quick)
        print(f"{letter}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
