"""One library on one task in a process of its own: `python -m peers.worker LIBRARY TASK OPTIONS`; prints a line of JSON.

Every training step ends with its loss on the host. Times are medians in milliseconds; first calls, which compile in
JAX, are kept apart, in seconds. OPTIONS is JSON: {"quick": false, "train": true}.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from .tasks import BATCH, BATCHES, LEARNING_RATE, POINTS, TASKS, Task, rows_of

TORCH = ("zuko", "nflows", "normflows", "FrEIA")


def main() -> None:
    library, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    task = TASKS[name]
    run = _torch if library in TORCH else _jax
    result = run(library, task, **options)
    print(json.dumps({**result, "load": os.getloadavg()[0]}))


def timed(row: dict[str, Any], name: str, call: Callable[[], Any], repeats: int, warm: int = 1) -> None:
    """Put the first call's seconds and the median of `repeats` later ones, in ms, into `row`."""
    started = time.perf_counter()
    call()
    row[f"first_{name}_s"] = time.perf_counter() - started
    for _ in range(warm):
        call()
    wall, cpu = [], []
    for _ in range(repeats):
        started, started_cpu = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - started_cpu)
    row[f"{name}_ms"], row[f"{name}_cpu_ms"] = 1e3 * median(wall), 1e3 * median(cpu)


def _counts(task: Task, quick: bool) -> tuple[int, int]:
    return (max(10, task.steps // 10), 3) if quick else (task.steps, task.calls)


def _torch(library: str, task: Task, *, quick: bool, train: bool) -> dict[str, Any]:
    import torch

    from .torch_models import make

    torch.manual_seed(0)
    steps, calls = _counts(task, quick)
    model = make(library, task)
    parameters = [p for p in model.module.parameters() if p.requires_grad]
    batches = list(torch.from_numpy(rows_of(task, BATCH * BATCHES, 0)).split(BATCH))
    held_out = torch.from_numpy(rows_of(task, POINTS, 1))
    row: dict[str, Any] = {
        "parameters": sum(p.numel() for p in parameters),
        "threads": torch.get_num_threads(),
    }
    for name, fused in (("step", None), ("step_fused", True)) if train else ():
        step = _torch_step(
            torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=fused), model.log_prob, batches
        )
        timed(row, name, step, steps, warm=10)

    def without_gradient(call: Callable[[], Any]) -> Callable[[], Any]:
        def inner() -> Any:
            with torch.no_grad():
                return call()

        return inner

    timed(row, "log_prob", without_gradient(lambda: model.log_prob(held_out)), calls)
    timed(row, "sample", without_gradient(lambda: model.sample(POINTS)), calls)
    row["held_out_nll"] = float(-without_gradient(lambda: model.log_prob(held_out))().mean())
    return row


def _torch_step(optimizer: Any, log_prob: Callable[[Any], Any], batches: list[Any]) -> Callable[[], Any]:
    done = 0

    def step() -> Any:
        nonlocal done
        optimizer.zero_grad(set_to_none=True)
        loss = -log_prob(batches[done % len(batches)]).mean()
        loss.backward()
        optimizer.step()
        done += 1
        return loss.item()

    return step


def _jax(library: str, task: Task, *, quick: bool, train: bool) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import optax

    from .jax_models import make

    steps, calls = _counts(task, quick)
    model = make(library, task)
    rows = jnp.asarray(rows_of(task, BATCH * BATCHES, 0))
    batches = [jax.block_until_ready(rows[i * BATCH : (i + 1) * BATCH]) for i in range(BATCHES)]
    held_out = jnp.asarray(rows_of(task, POINTS, 1))
    state = jax.tree.map(jnp.copy, model.params)
    row: dict[str, Any] = {
        "parameters": sum(p.size for p in jax.tree.leaves(state)),
        "threads": os.cpu_count(),
    }
    adam = optax.adam(LEARNING_RATE)
    carry, done = [state, adam.init(state)], 0

    @jax.jit(donate_argnums=(0, 1))
    def advance(params: Any, moments: Any, x: Any) -> tuple[Any, Any, Any]:
        loss, gradient = jax.value_and_grad(lambda p: -model.log_prob(p, x).mean())(params)
        update, moments = adam.update(gradient, moments)
        return optax.apply_updates(params, update), moments, loss

    def step() -> float:
        nonlocal done
        carry[0], carry[1], loss = advance(carry[0], carry[1], batches[done % BATCHES])
        done += 1
        return float(loss)

    if train:
        timed(row, "step", step, steps, warm=10)
    log_prob, sample = jax.jit(model.log_prob), jax.jit(model.sample, static_argnums=2)
    timed(row, "log_prob", lambda: jax.block_until_ready(log_prob(carry[0], held_out)), calls)
    timed(row, "sample", lambda: jax.block_until_ready(sample(carry[0], jax.random.key(2), POINTS)), calls)
    row["held_out_nll"] = float(-log_prob(carry[0], held_out).mean())
    if library == "shoal" and train:
        row |= _shoal_fit(task, epochs=3 if quick else 6)
    return row


def _shoal_fit(task: Task, epochs: int) -> dict[str, Any]:
    """Time per step of `shoal.training.fit`: shuffling, clipping, the schedule and the finite check included."""
    import jax

    import shoal.flows
    import shoal.training

    from .jax_models import shoal_settings

    recipe = getattr(shoal.flows, task.family)
    flow = recipe(jax.random.key(0), task.dim, task.depth, **shoal_settings(task))
    result = shoal.training.fit(
        flow,
        rows_of(task, BATCH * BATCHES, 0),
        key=jax.random.key(1),
        settings=shoal.training.Settings(batch_size=BATCH, max_epochs=epochs, learning_rate=LEARNING_RATE),
    )
    seconds = [epoch.seconds for epoch in result.history[1:]]
    return {"fit_step_ms": 1e3 * median(seconds) / BATCHES, "first_fit_s": result.compile_seconds}


if __name__ == "__main__":
    main()
