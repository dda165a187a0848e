"""Sixteen seeds of one flow: single runs one after the other against the ways of training them together.

RealNVP d = 2, depth 8, hidden (64, 64), batch 512, float32. Each route is a fresh process per round (A B C A B C ...);
it compiles first, then trains all seeds and prints the seconds. The ratio to the single runs is taken per round.

    python -m speed.seeds [--rounds 5] [--seeds 16] [--quick]

Routes: `single` (`fit` in a loop), `threads` (`fit_many`: a thread per core, one compiled program), `devices` (a
thread and a host device per core), `vmap` (one program for all seeds), and each of them with
`--xla_cpu_multi_thread_eigen=false`. `vmap` is the bare step loop, without validation, roll-backs or a changing
learning rate, so its time is a lower bound. Writes `results/seeds.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROUTES = ("single", "threads", "devices", "vmap")
FLAG = "--xla_cpu_multi_thread_eigen=false"
ROWS, BATCH, DIM, DEPTH, HIDDEN = 512 * 40, 512, 2, 8, (64, 64)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(route: str, seeds: int, epochs: int) -> dict[str, float]:
    """Train all seeds by this route, after a compilation; wall and processor seconds."""
    import jax

    if route == "devices":
        jax.config.update("jax_num_cpu_devices", cores())
    import numpy as np

    from shoal.flows import realnvp
    from shoal.training import Settings, fit, fit_many

    x = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
    flows = [realnvp(jax.random.key(s), DIM, DEPTH, hidden=HIDDEN) for s in range(seeds)]
    keys = [jax.random.key(100 + s) for s in range(seeds)]
    settings = Settings(batch_size=BATCH, max_epochs=epochs)

    def on_device(index: int) -> Any:
        device = jax.devices()[index % cores()]
        with jax.default_device(device):
            flow, key = jax.device_put((flows[index], keys[index]), device)
            return fit(flow, x, key=key, settings=settings)

    def run() -> Any:
        if route == "single":
            return [fit(flow, x, key=key, settings=settings) for flow, key in zip(flows, keys, strict=True)]
        if route == "threads":
            return fit_many(flows, x, keys=keys, settings=settings)
        with ThreadPoolExecutor(cores()) as pool:
            return list(pool.map(on_device, range(seeds)))

    if route == "vmap":
        run = vmapped(flows, keys, x, epochs)
        run()
    elif route == "devices":
        for index in range(cores()):
            on_device(index)
    else:
        fit(flows[0], x, key=keys[0], settings=replace(settings, max_epochs=1))
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}


def vmapped(flows: list[Any], keys: list[Any], x: Any, epochs: int) -> Any:
    """The training of all seeds as one batched program."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    params, rest = eqx.partition(flows[0], eqx.is_inexact_array)
    params = jax.tree.map(lambda *a: jnp.stack(a), *(eqx.filter(f, eqx.is_inexact_array) for f in flows))
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(1e-3))
    data, steps = jnp.asarray(x), ROWS // BATCH

    def step(carry, index):
        params, moments = carry
        gradient = jax.grad(lambda p: -jnp.mean(eqx.combine(p, rest).log_prob(data[index])))(params)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), None

    def train(params, key):
        order = jax.random.permutation(key, ROWS)[: steps * BATCH].reshape(steps, BATCH)
        carry = (params, optimizer.init(params))
        return jax.lax.scan(step, carry, jnp.tile(order, (epochs, 1)))[0]

    compiled = jax.jit(jax.vmap(train))
    return lambda: jax.block_until_ready(compiled(params, jnp.stack(keys)))


def worker(route: str, flag: bool, seeds: int, epochs: int) -> dict[str, float]:
    """One route in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "JAX_PLATFORMS": "cpu"}
    if flag:
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {FLAG}".strip()
    command = [sys.executable, __file__, "--worker", route, "--seeds", str(seeds), "--epochs", str(epochs)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Per route the ratios to `single`, per round, and their median and range."""
    found = {}
    for name in rounds[0]:
        ratios = [r[name]["seconds"] / r["single"]["seconds"] for r in rounds]
        found[name] = {
            "median_ratio": statistics.median(ratios),
            "range": [min(ratios), max(ratios)],
            "median_seconds": statistics.median(r[name]["seconds"] for r in rounds),
            "ratios": ratios,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="one round of `single` and `threads`, nothing written"
    )
    parser.add_argument("--worker", choices=ROUTES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.worker, arguments.seeds, arguments.epochs)))
        return
    routes = [(r, False) for r in ROUTES] + [(r, True) for r in ROUTES]
    if arguments.quick:
        routes, arguments.rounds = routes[:2], 1
    rounds: list[dict[str, dict[str, float]]] = []
    load = os.getloadavg()[0]
    for number in range(arguments.rounds):
        rounds.append({})
        for route, flag in routes:
            name = f"{route}, one eigen thread" if flag else route
            rounds[-1][name] = worker(route, flag, arguments.seeds, arguments.epochs)
            seconds = rounds[-1][name]["seconds"]
            ratio = seconds / rounds[-1]["single"]["seconds"]
            print(f"round {number + 1}: {name:26} {seconds:6.2f} s  {ratio:.2f}", flush=True)
    summary = table(rounds)
    for name, row in summary.items():
        low, high = row["range"]
        print(f"{name:26} median {row['median_ratio']:.2f} of single runs ({low:.2f} to {high:.2f})")
    if arguments.quick:
        return
    sys.path.insert(0, str(ROOT / "src"))
    from shoal.records import system_info

    steps = arguments.epochs * (ROWS // BATCH)
    result = {
        "benchmark": "seeds",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": {
            "flow": "realnvp",
            "dim": DIM,
            "depth": DEPTH,
            "hidden": list(HIDDEN),
            "batch": BATCH,
            "dtype": "float32",
            "seeds": arguments.seeds,
            "data_seed": 0,
            "steps_per_seed": steps,
            "rounds": arguments.rounds,
        },
        "system": system_info(),
        "cores": cores(),
        "load_before": load,
        "summary": summary,
        "rounds": rounds,
    }
    path = ROOT / "results" / "seeds.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
