"""Constructed flows on five targets: what is certified, what is measured, and what it costs in conditioning.

    python -m universal.constructions [--seconds 1500] [--fresh]

Checkerboard, moons, rings, eight Gaussians and pinwheel in two dimensions, and products of 4 and 16 independent copies, in
float64. A row is one target, number of columns, number of points and epsilon: the certificate, the number of atoms,
the condition numbers and the seconds. Where epsilon is out of reach the row has the smallest epsilon that the message names,
and the certificate that is reached with it; so do the rows of `reach`, which ask for far too little, in both dtypes.
`slopes`: least squares of log kappa against log 1 / epsilon over the rows of one sample, kappa that of the first layer on
cells and the largest of the composition on ramps.
`large`: a sample of 100,000 points with every point an atom, in a process of its own: seconds, peak memory, and the
seconds of 1,000,000 samples.
A run goes on where the last one stopped, and stops before a row that it would begin after `--seconds`.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from typing import Any, Literal

import jax
import jax.random as jr
import numpy as np
from resume import RESULTS, Record
from targets import TARGETS, FloatArray, eight_gaussians, rings

from shoal.records import system_info, to_plain
from shoal.records.construction import W2Certificate
from shoal.theory.universal import construct

DType = Literal["float32", "float64"]
SEED = 0
MAKERS = {
    "checkerboard": TARGETS["checkerboard"],
    "moons": TARGETS["moons"],
    "rings": rings,
    "eight-gaussians": eight_gaussians,
    "pinwheel": TARGETS["pinwheel"],
}
COPIES, POINTS = (1, 4, 16), (1_000, 20_000)
EPSILONS, IN_THE_PLANE = (0.3, 0.1, 0.03), (0.3, 0.1, 0.03, 0.01)
REACH = {"points": 1_000, "epsilon": 1e-12, "dtypes": ("float32", "float64")}
LARGE = {"target": "checkerboard", "points": 100_000, "epsilon": 0.002, "samples": 1_000_000}
PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "scikit-learn")
MAPS = ("layer 1", "layer 2", "composition")


def sample(name: str, copies: int, points: int) -> FloatArray:
    """Independent copies side by side."""
    rng = np.random.default_rng((SEED, copies, points))
    return np.concatenate([MAKERS[name](rng, points) for _ in range(copies)], axis=1)


def settings() -> list[tuple[str, int, int, float]]:
    """Target, copies, points, epsilon; the quick ones first."""
    return [
        (name, copies, points, epsilon)
        for points in POINTS
        for copies in COPIES
        for epsilon in (IN_THE_PLANE if copies == 1 else EPSILONS)
        for name in MAKERS
    ]


def figures(found: W2Certificate, seconds: float) -> dict[str, Any]:
    """The parts of a certificate that a row holds."""
    record = to_plain(found)
    kept = ("w2_bound", "w2_measured", "statistical", "terms", "atoms")
    return {
        **{key: record[key] for key in kept},
        "conditions": {
            name: {key: figure["value"] for key, figure in record["conditions"][name].items()}
            for name in MAPS
        },
        "seconds": seconds,
    }


def row(name: str, copies: int, points: int, epsilon: float, dtype: DType = "float64") -> dict[str, Any]:
    """One construction, or the smallest epsilon where this one is out of reach."""
    x = sample(name, copies, points)
    about = {"target": name, "columns": 2 * copies, "points": points, "epsilon": epsilon}
    start = time.perf_counter()
    try:
        made = construct(x, epsilon, key=jr.key(SEED), dtype=dtype)
        return {**about, "status": "reached", **figures(made.certificate, time.perf_counter() - start)}
    except ValueError as error:
        named = re.search(r"smallest reachable epsilon is ([\d.e+-]+\d)", str(error))
        if named is None:
            raise
    least = float(named[1])
    start = time.perf_counter()
    made = construct(x, least, key=jr.key(SEED), dtype=dtype)
    found = figures(made.certificate, time.perf_counter() - start)
    return {**about, "status": "out of reach", "least_epsilon": least, "at_least_epsilon": found}


def slopes(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Exponents of kappa in 1 / epsilon, for each sample with at least three epsilons that were reached."""
    samples: dict[str, list[dict[str, Any]]] = {}
    for entry in rows.values():
        if entry["status"] == "reached":
            samples.setdefault(f"{entry['target']} {entry['columns']} {entry['points']}", []).append(entry)
    out: dict[str, dict[str, float | int]] = {}
    for name, entries in samples.items():
        if len(entries) >= 3:
            inverse = -np.log([entry["epsilon"] for entry in entries])
            cells = np.log([entry["conditions"]["layer 1"]["cells"] for entry in entries])
            ramps = np.log([entry["conditions"]["composition"]["largest"] for entry in entries])
            atoms = np.log([entry["atoms"] for entry in entries])
            out[name] = {"epsilons": len(entries)} | {
                key: float(np.polyfit(inverse, values, 1)[0])
                for key, values in (("cells", cells), ("ramps", ramps), ("atoms", atoms))
            }
    return out


def large() -> None:
    """Prints the row of the large sample."""
    x = sample(LARGE["target"], 1, LARGE["points"])
    start = time.perf_counter()
    made = construct(x, LARGE["epsilon"], key=jr.key(SEED), dtype="float64")
    found = figures(made.certificate, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    piece = 50_000
    keys = jr.split(jr.key(SEED), LARGE["samples"] // piece)
    jax.block_until_ready(made.flow.sample(keys[0], (piece,)))  # compiles
    start = time.perf_counter()
    finite = all(bool(np.isfinite(np.asarray(made.flow.sample(key, (piece,)))).all()) for key in keys)
    seconds = time.perf_counter() - start
    all_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    more = {
        "peak_megabytes": peak,
        "sample_seconds": seconds,
        "samples_finite": finite,
        "peak_megabytes_sampling": all_peak,
    }
    print(json.dumps(to_plain({**LARGE, **found, **more})))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument("--out", default=RESULTS / "universal.json")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--large", action="store_true", help="print the row of the large sample only")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if options.large:
        large()
        return
    began = time.perf_counter()
    head: dict[str, Any] = {
        "what": (__doc__ or "").strip().splitlines()[0],
        "command": "cd benchmarks && python -m universal.constructions",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {
            "copies": COPIES,
            "points": POINTS,
            "epsilons": EPSILONS,
            "epsilons_2d": IN_THE_PLANE,
            "targets": list(MAKERS),
            "dtype": "float64",
            "large": LARGE,
            "reach": REACH,
        },
    }
    found: dict[str, Any] = {"rows": {}, "slopes": {}, "reach": {}, "large": None}
    record = Record(options.out, head, found, fresh=options.fresh)
    if record["large"] is None:
        command = [sys.executable, "-m", "universal.constructions", "--large"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        record.save(large=json.loads(done.stdout))
        print(done.stdout, flush=True)
    for name in MAKERS:
        for dtype in REACH["dtypes"]:
            if f"{name} {dtype}" not in record["reach"]:
                entry = row(name, 1, REACH["points"], REACH["epsilon"], dtype)
                record.save(reach={**record["reach"], f"{name} {dtype}": entry})
                print(f"{name} {dtype}: {entry['status']}, least {entry.get('least_epsilon')}", flush=True)
    for name, copies, points, epsilon in settings():
        key = f"{name} {2 * copies} {points} {epsilon:g}"
        if key in record["rows"]:
            continue
        if time.perf_counter() - began > options.seconds:
            return
        entry = row(name, copies, points, epsilon)
        rows = {**record["rows"], key: entry}
        record.save(rows=rows, slopes=slopes(rows))
        told = entry.get("at_least_epsilon", entry)
        print(
            f"{time.perf_counter() - began:.0f} s {key}: {entry['status']} {entry.get('least_epsilon', '')} "
            f"{told['w2_bound']['value']:.4g} {told['w2_measured']['value']:.4g} atoms {told['atoms']} "
            f"kappa {told['conditions']['layer 1']['cells']:.3g} {told['seconds']:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
