"""One device against several: losses of a few epochs, and steps a second.

    python -m scale.devices [--out results/devices.json] [--quick]

Each number of devices is a process of its own. On accelerators they are the machine's; without one they are a CPU's, which
JAX is told to cut into eight: that shows that the numbers agree, and what sharing costs, but no gain, as the cores are the
same. Losses: the largest relative difference to one device in each epoch, training and validation, in float32 and float64;
rounding grows while a flow trains, so both are given epoch by epoch. Steps a second: the median of rounds, after a step that
is not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (1, 2, 4, 8)
COLUMNS, CONTEXT, HELD, SEED = 6, 2, 1003, 0
ROWS, BATCH, EPOCHS = 8192, 512, 10
FLOWS, LAYERS, HIDDEN = ("nsf", "realnvp"), 2, (32,)
TIMED = {  # recipe, columns, layers, hidden widths, rows of a step
    "nsf, 6 columns, 2 layers of 32, batch 512": ("nsf", 6, 2, (32,), 512),
    "realnvp, 64 columns, 8 layers of 512 x 512, batch 4096": ("realnvp", 64, 8, (512, 512), 4096),
    "realnvp, 64 columns, 8 layers of 512 x 512, batch 65536": ("realnvp", 64, 8, (512, 512), 65536),
}
ROUNDS, STEPS = 5, 10


def measure(count: int, quick: bool) -> dict[str, Any]:
    """What `count` devices give, in this process."""
    import jax

    if not accelerators():
        jax.config.update("jax_num_cpu_devices", count)
    losses: dict[str, list[list[float]]] = {}
    for name in FLOWS:
        for dtype in ("float32", "float64"):
            with jax.enable_x64(dtype == "float64"):
                losses[f"{name}, {dtype}"] = trained(name, dtype, count)
    cpu = jax.default_backend() == "cpu"
    wanted = list(TIMED)[:1] if cpu or quick else list(TIMED)
    return {
        "device": jax.devices()[0].device_kind,
        "losses": losses,
        "steps_per_second": {name: speed(TIMED[name], count) for name in wanted},
    }


def accelerators() -> int:
    """How many there are; asked in a process of its own, as JAX keeps the answer."""
    code = "import jax; print(0 if jax.default_backend() == 'cpu' else len(jax.devices()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def trained(name: str, dtype: str, count: int) -> list[list[float]]:
    """Training and validation losses, epoch by epoch; with weights, a context and a validation part of uneven length."""
    import jax
    import numpy as np

    from shoal import flows
    from shoal.training import Settings, fit

    rng = np.random.default_rng(SEED)
    context = rng.normal(size=(ROWS, CONTEXT))
    table = rng.normal(size=(ROWS, COLUMNS))
    table[:, 1] += table[:, 0] ** 2 + context[:, 0]
    weights = rng.uniform(0.2, 1.0, size=ROWS)
    flow = getattr(flows, name)(jax.random.key(1), COLUMNS, LAYERS, context_dim=CONTEXT, hidden=HIDDEN)
    result = fit(
        flow,
        table,
        key=jax.random.key(0),
        context=context,
        weights=weights,
        validation=table[:HELD],
        validation_context=context[:HELD],
        validation_weights=weights[:HELD],
        settings=Settings(batch_size=BATCH, max_epochs=EPOCHS, devices=count),
    )
    pairs = ((row.train, row.validation) for row in result.history)
    return [[np.nan if value is None else value for value in pair] for pair in pairs]


def speed(timed: tuple[str, int, int, tuple[int, ...], int], count: int) -> float:
    """Steps a second of the program that `fit` runs."""
    import jax
    import numpy as np

    from shoal import flows
    from shoal.training import Settings
    from shoal.training._job import make_job, make_tables
    from shoal.training._listening import interruptible
    from shoal.training._run import Run

    name, columns, layers, hidden, batch = timed
    table = np.random.default_rng(SEED).normal(size=(batch * STEPS * (ROUNDS + 1), columns))
    flow = getattr(flows, name)(jax.random.key(1), columns, layers, hidden=hidden)
    settings = Settings(batch_size=batch, devices=count)
    job = make_job(flow, make_tables(flow, table), jax.random.key(0), settings)
    with interruptible(None) as stopped:
        run = Run(job, stopped, time.perf_counter(), None)
        run.compile()
        state, rates = run.advance(run.state, stop=STEPS, begin=0), []
        for turn in range(1, ROUNDS + 1):
            jax.block_until_ready(state)
            started = time.perf_counter()
            state = run.advance(state, stop=STEPS * (turn + 1))
            jax.block_until_ready(state)
            rates.append(STEPS / (time.perf_counter() - started))
    return statistics.median(rates)


def compared(found: dict[int, dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """For each flow and number of devices the largest relative difference to one device, epoch by epoch."""
    differences: dict[str, dict[str, list[float]]] = {}
    for name, one in found[1]["losses"].items():
        differences[name] = {
            str(count): [
                max(abs(a - b) / abs(a) for a, b in zip(*rows, strict=True))
                for rows in zip(one, result["losses"][name], strict=True)
            ]
            for count, result in found.items()
            if count > 1
        }
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results/devices.json")
    parser.add_argument("--quick", action="store_true", help="one flow timed, one and eight devices only")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        print(json.dumps(measure(options.count, options.quick)))
        return
    from shoal.records import system_info, write_record

    there = accelerators()
    counts = [count for count in COUNTS if not there or count <= there]
    found = {}
    for count in counts[:: len(counts) - 1] if options.quick and len(counts) > 1 else counts:
        words = ["--count", str(count), *(["--quick"] if options.quick else [])]
        command = [sys.executable, "-m", "scale.devices", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT / "benchmarks")
        found[count] = json.loads(done.stdout.splitlines()[-1])
    record = {
        "what": "Losses and steps a second of one training by the number of devices that share the rows of a step.",
        "command": f"python -m scale.devices{' --quick' if options.quick else ''}",
        "seed": SEED,
        "device": found[1]["device"],
        "accelerators": there,
        "config": {"rows": ROWS, "batch": BATCH, "epochs": EPOCHS, "columns": COLUMNS, "context": CONTEXT},
        "versions": system_info(["shoal", "numpy", "jax", "jaxlib", "equinox"]),
        "relative_differences": compared(found),
        "steps_per_second": {str(count): result["steps_per_second"] for count, result in found.items()},
    }
    write_record(record, options.out)


if __name__ == "__main__":
    main()
