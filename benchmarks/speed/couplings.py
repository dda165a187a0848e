"""Couplings and autoregressive layers of this checkout against those of another one, in one run.

    python -m speed.couplings OLD/src [--rounds 15] [--out results/couplings.json]

Each side runs in a process of its own, on one core and one thread, and both answer in turn: a round asks both for one
repetition of every task, in an order that changes from round to round. A repetition is `STEPS` training steps in one
`lax.scan`, or one batch of samples. Times are CPU seconds (`time.process_time`), so that other work on the machine counts
little; figures are medians over the rounds, and `ratio` is the median of new / old within a round, with its quartiles.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
STEPS = 10
# name: recipe, its first argument after the key, depth, settings, rows of a batch, what is timed
TASKS: dict[str, tuple[str, Any, int, dict[str, Any], int, str]] = {
    "realnvp d=2, step": ("realnvp", 2, 8, {"hidden": (64, 64)}, 512, "step"),
    "realnvp d=64, step": ("realnvp", 64, 8, {"hidden": (256, 256)}, 512, "step"),
    "nice d=2, step": ("nice", 2, 8, {"hidden": (64, 64)}, 512, "step"),
    "spline d=2, step": ("spline", 2, 8, {"hidden": (64, 64)}, 512, "step"),
    "spline d=16, step": ("spline", 16, 4, {"hidden": (64, 64)}, 512, "step"),
    "spline d=2, sample": ("spline", 2, 8, {"hidden": (64, 64)}, 4096, "sample"),
    "maf d=8, step": ("maf", 8, 4, {"hidden": (64, 64)}, 512, "step"),
    "maf d=8, sample": ("maf", 8, 4, {"hidden": (64, 64)}, 4096, "sample"),
    "maf d=32, sample": ("maf", 32, 2, {"hidden": (64, 64)}, 512, "sample"),
    "glow 8x8x1, step": ("glow", (8, 8, 1), 2, {"hidden": (16, 16)}, 64, "step"),
}


def task(name: str) -> Callable[[], Any]:
    """The compiled program of a task, as a function that waits for its end."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import optax

    from shoal import flows

    recipe, size, depth, settings, rows, kind = TASKS[name]
    flow = getattr(flows, recipe)(jr.key(0), size, depth, **settings)
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)
    rng = np.random.default_rng(0)
    noise = lambda a: a + jnp.asarray(0.05 * rng.standard_normal(a.shape), a.dtype)
    arrays = jax.tree.map(noise, arrays)
    if kind == "sample":
        draw = jax.jit(lambda arrays, key: eqx.combine(arrays, static).sample(key, (rows,)))
        return lambda: jax.block_until_ready(draw(arrays, jr.key(1)))
    x = jnp.asarray(rng.standard_normal((STEPS, rows, *flow.shape)), jnp.float32)
    optimizer = optax.adam(1e-4)

    def step(carry: Any, batch: Any) -> tuple[Any, Any]:
        arrays, state = carry
        loss = lambda a: -jnp.mean(eqx.combine(a, static).log_prob(batch))
        value, gradient = jax.value_and_grad(loss)(arrays)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(arrays, updates), state), value

    run = jax.jit(lambda arrays, x: jax.lax.scan(step, (arrays, optimizer.init(arrays)), x))
    return lambda: jax.block_until_ready(run(arrays, x))


def worker(names: list[str]) -> None:
    """Compiles the tasks, says so, and then answers each line, a task's number, with the CPU seconds of a repetition."""
    programs = [task(name) for name in names]
    for program in programs:
        program()
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.process_time()
        programs[int(line)]()
        print(time.process_time() - started, flush=True)


def start(source: Path, names: list[str]) -> subprocess.Popen[str]:
    flags = {
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        ["taskset", "-c", "0", sys.executable, __file__, "--worker", *names],
        env=os.environ | flags | {"PYTHONPATH": str(source)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def compared(old: Path, names: list[str], rounds: int) -> list[dict[str, Any]]:
    sides = {"old": start(old, names), "new": start(ROOT / "src", names)}
    assert [answer(side) for side in sides.values()] == ["ready", "ready"]
    seconds = {side: np.zeros((rounds, len(names))) for side in sides}
    for turn in range(rounds):
        for i in range(len(names)):
            for side in sorted(sides, reverse=(turn + i) % 2 == 0):
                seconds[side][turn, i] = float(answer(sides[side], str(i)))
    for side in sides.values():
        side.communicate()
    ratios = seconds["new"] / seconds["old"]
    rows = []
    for i, name in enumerate(names):
        per = STEPS if name.endswith("step") else 1
        low, ratio, high = np.quantile(ratios[:, i], [0.25, 0.5, 0.75])
        milliseconds = {f"{side}_ms": float(np.median(seconds[side][:, i]) / per * 1e3) for side in sides}
        least = {f"{side}_least_ms": float(seconds[side][:, i].min() / per * 1e3) for side in sides}
        rows.append(
            {"task": name, **milliseconds, **least, "ratio": ratio, "ratio_low": low, "ratio_high": high}
        )
        print(f"{name:22s}", *(f"{k} {v:.4g}" for k, v in rows[-1].items() if k != "task"))
    return rows


def main() -> None:
    """Time both and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", nargs="?", type=Path, help="the `src` folder of another checkout")
    parser.add_argument("--old-commit", default="", help="what it is, for the record")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--task", action="append", choices=TASKS, help="some of the tasks (default: all)")
    parser.add_argument("--out", default=str(ROOT / "results" / "couplings.json"))
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return
    from shoal.records import system_info, to_plain, write_record

    rows = compared(options.old.resolve(), options.task or list(TASKS), options.rounds)
    record = {
        "what": str(__doc__).splitlines()[0],
        "command": f"cd benchmarks && python -m speed.couplings OLD/src --rounds {options.rounds}",
        "seed": 0,
        "versions": system_info(("shoal", "numpy", "jax", "jaxlib", "equinox", "optax")),
        "config": {"old": options.old_commit, "rounds": options.rounds, "steps": STEPS, "tasks": TASKS},
        "rows": rows,
    }
    write_record(to_plain(record), options.out)


if __name__ == "__main__":
    main()
