"""`shoal.linear.factor` on random matrices: residual, worst layer's condition number and time, by kind and size.

    python -m linear.factor_table [--part table|auto|fewest] [--processes 2] [--limit 3600] [--fresh]

Table: six layers; Gaussian matrices and matrices of prescribed condition (random singular vectors, singular values evenly
spaced in their logarithm, geometric mean 1). Auto: the fewest layers that meet a budget which six layers miss. Fewest:
`fewest_layers` of Gaussian matrices with positive determinant. Every matrix is a job of its own with one BLAS thread;
its row is written to `results/factor-table.json` at once, so a stopped run goes on where it was; a summary joins them at the
end.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from statistics import median
from typing import Any

from resume import RESULTS, Record

from shoal.records import system_info

COUNTS = {4: 200, 8: 200, 16: 200, 32: 40, 64: 8, 96: 3}
KINDS = ("gaussian", "1e1", "1e2", "1e4", "1e6")
SKETCH = {
    "gaussian": 12.0,
    "1e2": 9.0,
    "1e4": 27.0,
    "1e6": 280.0,
}  # a first sketch's worst condition numbers, n <= 24
BUDGET = 10.0
FEWEST = {4: 100, 6: 100, 16: 100}
FOUND: dict[str, Any] = {"rows": [], "summary": []}
Job = tuple[str, str, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("table", "auto", "fewest"), action="append")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--limit", type=float, default=3600.0, help="seconds, after which no new job is begun"
    )
    parser.add_argument("--fresh", action="store_true", help="forget the rows that are there")
    options = parser.parse_args()
    started = time.monotonic()
    record = Record(
        RESULTS / "factor-table.json", head(options.processes), FOUND, same=(), fresh=options.fresh
    )
    done = {tuple(row["job"]) for row in record.rows}
    waiting = [job for job in jobs(options.part or ("table", "auto", "fewest")) if job not in done]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before the workers load NumPy
    for row in results(waiting, options.processes, started + options.limit):
        record.add(row)
        if row["size"] >= 32 or len(record.rows) % 50 == 0:
            print(f"{len(record.rows)} rows, {time.monotonic() - started:.0f} s: {row}", flush=True)
    record.save(summary=summary(record.rows))


def head(processes: int) -> dict[str, Any]:
    """What the record says beside its rows."""
    return {
        "what": "shoal.linear.factor and fewest_layers on random matrices; condition: the worst layer's, 2-norm; "
        "one BLAS thread, so cpu_seconds is what one matrix takes on an idle core",
        "command": "cd benchmarks && python -m linear.factor_table",
        "seed": "numpy default_rng([n, seed])",
        "versions": system_info(),
        "config": {"processes": processes, "threads": 1, "budget_of_auto": BUDGET, "first_sketch": SKETCH},
    }


def jobs(parts: Any) -> list[Job]:
    """(part, kind, n, seed), so ordered that a run cut short has done the same share of every cell."""
    made: list[tuple[float, Job]] = []
    for part, kinds, counts in (
        ("table", KINDS, COUNTS),
        ("auto", ("1e6",), {4: 10, 8: 10, 16: 10}),
        ("fewest", ("gaussian",), FEWEST),
    ):
        for n, count in counts.items() if part in parts else ():
            made += [(seed / count, (part, kind, n, seed)) for seed in range(count) for kind in kinds]
    return [job for _, job in sorted(made, key=lambda item: item[0])]


def results(waiting: list[Job], processes: int, deadline: float) -> Iterator[dict[str, Any]]:
    """The rows of the jobs as they end; none is begun after the deadline."""
    queue, running = iter(waiting), set()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        while True:
            while len(running) < processes and time.monotonic() < deadline:
                job = next(queue, None)
                if job is None:
                    break
                running.add(pool.submit(run, job))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
    if next(queue, None) is not None:
        print("Out of time: run the command again to go on.", flush=True)


def matrix_of(kind: str, n: int, seed: int) -> Any:
    """The matrix of a job."""
    import numpy as np
    from scipy.stats import special_ortho_group

    rng = np.random.default_rng([n, seed])
    if kind == "gaussian":
        return rng.normal(size=(n, n))
    u, v = special_ortho_group.rvs(n, size=2, random_state=rng)
    return u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(float(kind))) @ v


def run(job: Job) -> dict[str, Any]:
    """One matrix; a numerical failure is a row like any other."""
    import numpy as np

    from shoal._errors import NumericalFailure
    from shoal.theory.linear import factor, fewest_layers

    part, kind, n, seed = job
    matrix = matrix_of(kind, n, seed)
    started, cpu = time.perf_counter(), time.process_time()
    row: dict[str, Any] = {"job": job, "part": part, "kind": kind, "size": n}
    try:
        if part == "fewest":
            matrix[0] *= np.sign(np.linalg.det(matrix))
            found = fewest_layers(matrix)
            made = found.witness
            row |= {"status": found.status, "at_least": found.at_least, "at_most": found.at_most}
        else:
            made = factor(matrix, "auto", max_condition=BUDGET) if part == "auto" else factor(matrix)
    except NumericalFailure as error:
        return row | {"error": str(error), "seconds": time.perf_counter() - started}
    row["seconds"], row["cpu_seconds"] = time.perf_counter() - started, time.process_time() - cpu
    if made is not None:
        row |= {"layers": len(made.layers), "route": made.route, "condition": made.conditions.largest}
        row |= {"residual": made.residual.float64, "residual_float32": made.residual.float32}
    return row


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians and worst cases by part, kind and size, printed."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["part"], row["kind"], row["size"]), []).append(row)
    table = []
    for (part, kind, n), group in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])
    ):
        good = [row for row in group if "residual" in row]
        line: dict[str, Any] = {"part": part, "kind": kind, "size": n, "matrices": len(group)}
        line["failures"] = len(group) - len(good)
        if good:
            conditions = [row["condition"] for row in good]
            line |= {"condition_median": median(conditions), "condition_worst": max(conditions)}
            line |= {"residual_worst": max(row["residual"] for row in good)}
            for name in ("seconds", "cpu_seconds"):
                line |= {f"{name}_median": median(row[name] for row in good)}
                line |= {f"{name}_worst": max(row[name] for row in good)}
            line["layers"] = {
                str(m): sum(row["layers"] == m for row in good) for m in sorted({r["layers"] for r in good})
            }
        if part == "fewest":
            line["status"] = {
                s: sum(row.get("status") == s for row in group) for s in ("proved", "searched", "undecided")
            }
        table.append(line)
        print(line)
    return table


if __name__ == "__main__":
    main()
