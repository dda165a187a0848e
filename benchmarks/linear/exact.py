"""(b) `shoal.linear.factor` on the matrices of (a), and (c) the PLU factorization with its explicit permutation."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
from resume import Record

from shoal.theory import linear

from .matrices import KINDS, SEEDS, SIZES, condition, matrix
from .summary import median_of, opened, show

STEPS = {4: 80, 8: 80, 16: 80, 32: 40, 64: 4}  # descent steps a stage that lower conditions


def run_factor(folder: Path, fresh: bool, quick: bool) -> None:
    """Six layers for every matrix: residual, worst condition number, seconds."""
    sizes = (4, 8) if quick else SIZES
    config = {
        "kinds": KINDS,
        "sizes": sizes,
        "seeds": SEEDS,
        "layers": 6,
        "effort_steps": {str(n): STEPS[n] for n in sizes},
    }
    what = (
        "shoal.linear.factor with six layers (three pairs): relative residual, worst layer condition, seconds"
    )
    record = opened("b", what, config, folder=folder, fresh=fresh)
    for n in sizes:
        for kind in KINDS:
            for seed in SEEDS:
                if record.has(kind=kind, n=n, seed=seed):
                    continue
                target = matrix(kind, n, seed)
                started, processor = time.perf_counter(), time.process_time()
                made = linear.factor(target, 6, effort=linear.Effort(STEPS[n]))
                processor, seconds = time.process_time() - processor, time.perf_counter() - started
                record.add(
                    {
                        "kind": kind,
                        "n": n,
                        "seed": seed,
                        "route": made.route,
                        "seconds": seconds,
                        "processor_seconds": processor,
                        "error": float(np.linalg.norm(made.matrix() - target) / np.linalg.norm(target)),
                        "error_float32": made.residual.float32,
                        "worst_condition": made.conditions.largest,
                        "condition_of_T": condition(target),
                    }
                )
                print(f"b: {kind} {n} {seed}: {made}, {seconds:.1f} s", flush=True)
    _summed(
        record,
        ("error", "worst_condition", "condition_of_T", "processor_seconds"),
        sizes,
        "(b) factor, six layers, median of seeds",
    )


def run_plu(folder: Path, fresh: bool, quick: bool) -> None:
    """T = P L U by partial pivoting: residual, κ of L and of U, seconds."""
    sizes = (4, 8) if quick else SIZES
    config = {"kinds": KINDS, "sizes": sizes, "seeds": SEEDS}
    what = "T = P L U by partial pivoting (scipy.linalg.lu): relative residual, κ of L and of U, seconds"
    record = opened("c", what, config, folder=folder, fresh=fresh)
    for n in sizes:
        for kind in KINDS:
            for seed in SEEDS:
                if record.has(kind=kind, n=n, seed=seed):
                    continue
                target = matrix(kind, n, seed)
                started = time.perf_counter()
                parts: Any = scipy.linalg.lu(target)
                seconds = time.perf_counter() - started
                p, l, u = parts
                error = float(np.linalg.norm(p @ l @ u - target) / np.linalg.norm(target))
                record.add(
                    {
                        "kind": kind,
                        "n": n,
                        "seed": seed,
                        "error": error,
                        "condition_of_L": condition(l),
                        "condition_of_U": condition(u),
                        "identity_permutation": bool(np.array_equal(p, np.eye(n))),
                        "seconds": seconds,
                    }
                )
    _summed(
        record, ("error", "condition_of_L", "condition_of_U", "seconds"), sizes, "(c) PLU, median of seeds"
    )


def _summed(record: Record, names: tuple[str, ...], sizes: tuple[int, ...], title: str) -> None:
    summary = [
        {"kind": kind, "n": n} | {name: median_of(record.rows, name, kind=kind, n=n) for name in names}
        for kind in KINDS
        for n in sizes
    ]
    record.save(summary=summary)
    show(
        title,
        ["kind", "n", *names],
        [[str(value) if key == "n" else value for key, value in row.items()] for row in summary],
    )
