"""A training of `test_devices` in a process of its own: `python on_devices.py CASE LOCAL_DEVICES [COUNT PLACE PORT FOLDER]`.

With COUNT it is process PLACE of so many. Prints one line of JSON: what the training gave on all devices.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from shoal import flows
from shoal._errors import InputError
from shoal.training import (
    DENSITY_SETTINGS,
    ConditioningMonitor,
    FitResult,
    JacobianPenalty,
    Settings,
    fit,
    fit_density,
    fit_many,
    negative_log_likelihood,
)
from tests.training.cases import TRAIN, VALID, fragile, realnvp, scales, short, weights_of

RNG = np.random.default_rng(0)
CONTEXT = RNG.normal(size=(512, 2)).astype(np.float32)
TABLE = RNG.normal(size=(512, 3)).astype(np.float32)
TABLE[:, 1] += TABLE[:, 0] ** 2 + CONTEXT[:, 0]
WEIGHTS = RNG.uniform(0.2, 1.0, size=512)
HELD = 203  # no multiple of 8
WHOLE: dict[str, Any] = {
    "context": CONTEXT,
    "weights": WEIGHTS,
    "validation": TABLE[:HELD],
    "validation_context": CONTEXT[:HELD],
    "validation_weights": WEIGHTS[:HELD],
}
WIDE = (np.exp(0.45) * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)
WILD = {"batch_size": 64, "max_epochs": 12, "learning_rate": 0.2, "warmup_fraction": 0.0, "patience": None}
seen: list[int] = []


def looked_at(flow: Any, rows: Any) -> jax.Array:
    """The usual loss; notes how many rows of a step one device has."""
    jax.debug.inspect_array_sharding(
        rows.x, callback=lambda sharding: seen.append(sharding.shard_shape(rows.x.shape)[0])
    )
    return negative_log_likelihood(flow, rows)


def said(result: FitResult) -> dict[str, Any]:
    """The figures of a result as plain values."""
    return {
        "losses": [row.train for row in result.history],
        "validation": [row.validation for row in result.history],
        "weights": [float(jnp.sum(jnp.abs(leaf))) for leaf in weights_of(result.flow)],
        "scores": None if result.scores is None else result.scores.tolist(),
        "rollbacks": [[r.epoch, r.step, r.layer] for r in result.rollbacks],
        "status": result.status,
        "epochs": result.epochs,
        "one device": all(
            len(leaf.devices()) == 1 for leaf in jax.tree.leaves(result.flow) if hasattr(leaf, "devices")
        ),
    }


def conditional(family: str, devices: int) -> list[Any]:
    flow = getattr(flows, family)(jax.random.key(1), 3, 2, hidden=(16,), context_dim=2)
    settings = Settings(batch_size=64, max_epochs=3, devices=devices)
    result = fit(flow, TABLE, key=jax.random.key(0), settings=settings, loss=looked_at, **WHOLE)
    return [said(result), sorted(set(seen))[0]]


def rolled_back(devices: int) -> list[Any]:
    settings = Settings(**WILD, devices=devices)
    return [said(fit(fragile(0.3), WIDE, validation=VALID, key=jax.random.key(5), settings=settings))]


def watched(devices: int) -> list[Any]:
    """Averages, decay and a penalty, and a monitor that goes back."""
    settings = short(
        max_epochs=3, devices=devices, averaging=0.9, weight_decay=0.1, penalty=JacobianPenalty()
    )
    monitor = ConditioningMonitor(every=5, max_condition=2.0, action="rescale")
    result = fit(
        realnvp(), TRAIN, validation=VALID, key=jax.random.key(0), settings=settings, monitor=monitor
    )
    return [said(result), [[look.step, look.action] for look in result.conditioning]]


def known_density(devices: int) -> list[Any]:
    settings = replace(DENSITY_SETTINGS, max_epochs=2, devices=devices)
    target = lambda x: -jnp.sum(x**2) / 8
    return [
        said(fit_density(realnvp(), target, key=jax.random.key(0), draws=1000, settings=settings).training)
    ]


def many(devices: int) -> list[Any]:
    made = [flows.realnvp(jax.random.key(seed), 3, 2, hidden=(16,)) for seed in range(3)]
    keys = list(jax.random.split(jax.random.key(0), 3))
    settings = short(max_epochs=3, devices=devices)
    return [said(r) for r in fit_many(made, TABLE, keys=keys, settings=settings, validation=TABLE[:HELD])]


def small_ladder(devices: int, dtype: Literal["float32", "float64"] = "float32") -> list[Any]:
    from shoal.selection import ladder  # here, as the other cases need not wait for it

    rng = np.random.default_rng(3)
    table = rng.normal(size=(1500, 3))
    table[:, 1] += table[:, 0] ** 2
    settings = {"max_epochs": 4, "batch_size": 64, "patience": 20, "devices": devices}
    found = ladder(
        table, families=("nsf",), fronts=("gaussian",), depths=(1, 2), settings=settings, dtype=dtype
    )
    values = [None if not r.log_likelihoods else float(np.mean(r.log_likelihoods)) for r in found.rungs]
    return [values, found.choice.chosen, found.choice.best, [r.status for r in found.rungs]]


def limited(devices: int, folder: str) -> list[Any]:
    """A training to a limit of time, which the processes must agree on, with checkpoints; then resumed."""
    settings = short(
        max_epochs=100_000, time_limit=15.0, patience=None, checkpoint_seconds=0.1, devices=devices
    )
    options = {"key": jax.random.key(0), "validation": VALID, "settings": settings, "folder": folder}
    first = fit(scales(), TRAIN, **options)
    again = fit(scales(), TRAIN, **options, resume=True)
    return [said(first), said(again)]


def other_tables(devices: int) -> list[str]:
    """What a training says whose table is not the same in all processes."""
    table = TABLE + np.float32(jax.process_index())
    try:
        fit(flows.realnvp(jax.random.key(1), 3, 2, hidden=(16,)), table, key=jax.random.key(0))
    except InputError as error:
        return [str(error)]
    return []


CASES: dict[str, Callable[..., list[Any]]] = {
    "realnvp": partial(conditional, "realnvp"),
    "nsf": partial(conditional, "nsf"),
    "rollback": rolled_back,
    "monitor": watched,
    "known density": known_density,
    "many": many,
    "ladder": small_ladder,
    "ladder in float64": partial(small_ladder, dtype="float64"),
    "limited": limited,
    "other tables": other_tables,
}


def main() -> None:
    case, local, *several = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", int(local))
    if case.endswith("float64"):
        jax.config.update("jax_enable_x64", True)
    if several:
        count, place, port = map(int, several[:3])
        jax.distributed.initialize(f"127.0.0.1:{port}", count, place)
    print(json.dumps(CASES[case](len(jax.devices()), *several[3:])))


if __name__ == "__main__":
    main()
