"""Compile time of a train step against depth: 8 layers scanned, 64 scanned, and 8 unrolled as the recipes have it.

    python -m speed.compile [--rounds 7] [--families realnvp,spline,maf] [--out results/compile.json]

A train step is value, gradient and Adam at batch 512, dimension 8, two hidden layers of 64. Every figure is from a
process of its own without JAX's persistent cache; rounds are interleaved and a ratio is taken within a round.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from shoal.records import system_info, to_plain

DIM, BATCH, HIDDEN = 8, 512, (64, 64)
CASES = (("scanned", 8), ("scanned", 64), ("unrolled", 8))
MOST_RATIO, MOST_SECONDS = 1.3, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--families", type=lambda text: text.split(","), default=["realnvp", "spline", "maf"])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parents[2] / "results" / "compile.json"
    )
    parser.add_argument("--worker", nargs=3, metavar=("FAMILY", "HOW", "DEPTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        family, how, depth = options.worker
        print(json.dumps(compile_once(family, how, int(depth))))
        return
    rows = []
    for turn in range(options.rounds):
        for family in options.families:
            for how, depth in CASES:
                rows.append(
                    {"round": turn, "family": family, "how": how, "depth": depth, **run(family, how, depth)}
                )
                print(f"round {turn + 1}  {family} {how} {depth}: {rows[-1]['seconds']:.2f} s", flush=True)
    record = {
        "what": "seconds to trace, lower and compile one train step; ratio is 64 scanned / 8 scanned within a round",
        "command": "cd benchmarks && python -m speed.compile " + " ".join(sys.argv[1:]),
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "versions": system_info(),
        "config": {
            "dim": DIM,
            "batch": BATCH,
            "hidden": HIDDEN,
            "activation": "silu",
            "rounds": options.rounds,
        },
        "summary": [summary(rows, family) for family in options.families],
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(to_plain(record), indent=1) + "\n")
    for row in record["summary"]:
        print(row)


def run(family: str, how: str, depth: int) -> dict[str, Any]:
    """`compile_once` in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", family, how, str(depth)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compile_once(family: str, how: str, depth: int) -> dict[str, float]:
    """Seconds to trace and lower, to compile, and both, for one train step of a flow made beforehand."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    import shoal.flows
    from shoal.bijections import Scan

    flow = getattr(shoal.flows, family)(jax.random.key(0), DIM, depth, hidden=HIDDEN)
    if not isinstance(flow.bijection, Scan):
        raise TypeError(f"{family} of depth {depth} is no Scan")
    units = flow.bijection.units()
    scan = Scan(units, unroll=1 if how == "scanned" else len(units))
    flow = eqx.tree_at(lambda f: f.bijection, flow, scan)
    params, static = eqx.partition(flow, eqx.is_inexact_array)
    adam = optax.adam(1e-3)

    def step(params: Any, moments: Any, x: Any) -> Any:
        loss, gradient = jax.value_and_grad(lambda p: -eqx.combine(p, static).log_prob(x).mean())(params)
        update, moments = adam.update(gradient, moments)
        return optax.apply_updates(params, update), moments, loss

    arguments = (params, adam.init(params), jnp.zeros((BATCH, DIM)))
    jax.block_until_ready(arguments)
    started, started_cpu = time.perf_counter(), time.process_time()
    lowered = jax.jit(step).lower(*arguments)
    between = time.perf_counter()
    lowered.compile()
    done = time.perf_counter()
    return {
        "lower_s": between - started,
        "compile_s": done - between,
        "seconds": done - started,
        "cpu_seconds": time.process_time() - started_cpu,
    }


def summary(rows: list[dict[str, Any]], family: str) -> dict[str, Any]:
    """Median seconds of each case, the median ratio over rounds with its range, and whether both targets are met."""
    seconds = {(r["how"], r["depth"], r["round"]): r["seconds"] for r in rows if r["family"] == family}
    rounds = sorted({n for _, _, n in seconds})
    ratios = [seconds["scanned", 64, n] / seconds["scanned", 8, n] for n in rounds]
    deep = median(seconds["scanned", 64, n] for n in rounds)
    return {
        "family": family,
        **{f"{how}_{depth}_s": median(seconds[how, depth, n] for n in rounds) for how, depth in CASES},
        "ratio": {"median": median(ratios), "low": min(ratios), "high": max(ratios)},
        "met": median(ratios) <= MOST_RATIO and deep < MOST_SECONDS,
    }


if __name__ == "__main__":
    main()
