"""What a front is worth in layers and in κ, and what a start from a shallower flow is worth.

    python benchmarks/fronts.py [--only depths,starts] [--targets magic,...] [--scale 1] [--out results/fronts.json]

Rows are those of the leaderboard (split 0; at most 10,000 for training, a tenth of them held out, and 5,000 for tests), the
family is `nsf`, every training has the ladder's settings and so many steps (times --scale), whatever time they take.

**depths**: 1, 2, 3, 4 layers from scratch behind each front, 2,000 steps. The level of a target is the best that the front
"standardize" reaches on validation rows with any of them; a front needs the fewest layers that reach it less the
ladder's margin, 0.02 sqrt(n) nats.

**starts**: four layers behind "gaussian", 3,000 steps from scratch; against two layers of 1,500 steps (as long as 750
of four layers) and from their weights four layers of 2,250 steps: new layers at the identity on the latent side, as
`grow` does, or on the data side; with a rate that rises again from nothing (the default), or is a third; or with the
old layers held for the first 750 steps. Every rate falls along a cosine of its own.

It goes on where it stopped.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import optax
from resume import RESULTS, Record
from tables.tables import prepared

from shoal.bijections import layers_of
from shoal.conditioning import spectrum, summarize
from shoal.distributions import Flow
from shoal.flows import Fronts, Sample, nsf
from shoal.flows._common import restacked
from shoal.records import system_info
from shoal.selection import BASE_SLOWER, settings_for
from shoal.training import FitResult, fit

TARGETS = ("diamonds", "magic", "weather", "phoneme", "flights", "wdbc", "eeg", "mixture-8")
STARTED = ("diamonds", "magic", "weather", "phoneme", "flights")
FRONTS = ("standardize", "gaussian", "marginals+gaussian", "mixture")
DEPTHS, STEPS, SCRATCH, SHALLOW, GROWN, HELD = (1, 2, 3, 4), 2000, 3000, 1500, 2250, 750
TRAIN, TEST, POINTS, MARGIN = 10_000, 5_000, 1_000, 0.02


class Target:
    """Rows of a target, and trainings on them."""

    def __init__(self, name: str, scale: float = 1.0) -> None:
        self.scale = scale
        rows, _ = prepared(name, 0)
        order = np.random.default_rng(0).permutation(len(rows.train))[:TRAIN]
        cut = len(order) // 10
        self.name, self.validation = name, rows.train[order[:cut]]
        self.train, self.test = rows.train[order[cut:]], rows.test[:TEST]
        self.columns = rows.train.shape[1]
        self.fronts = Fronts(Sample(self.train), Sample(self.validation), seconds=60.0)
        self.key = jr.key(0)

    def trained(self, flow: Flow, steps: int, **settings: Any) -> FitResult:
        """The flow after so many steps."""
        optimizer = settings.pop("optimizer", BASE_SLOWER)
        base = settings_for(len(self.train))
        epochs = max(round(self.scale * steps / (len(self.train) // base.batch_size)), 1)
        settings = {"max_epochs": epochs, "patience": None, **settings}
        return fit(
            flow,
            self.train,
            key=self.key,
            validation=self.validation,
            settings=replace(base, **settings),
            optimizer=optimizer,
        )

    def figures(self, flow: Flow, result: FitResult | None = None) -> dict[str, Any]:
        """Likelihoods, nats a row, and κ."""
        kappa = spectrum(flow.to_map(), self.test[:POINTS]).condition_numbers
        return {
            "validation": float(np.mean(flow.log_prob(self.validation.astype(np.float32)))),
            "test": float(np.mean(flow.log_prob(self.test.astype(np.float32)))),
            "condition_q99": summarize(kappa).q99,
            "seconds": 0.0 if result is None else result.seconds - result.compile_seconds,
            "status": "closed form" if result is None else result.status,
        }


def depths(target: Target) -> dict[str, Any]:
    """Every front at every depth, and the fewest layers that reach the level."""
    fronts = {name: target.fronts.set(name) for name in FRONTS}
    rows = {name: [{"depth": 0, **target.figures(front.flow())}] for name, front in fronts.items()}
    for depth in DEPTHS:
        for name, front in fronts.items():
            result = target.trained(front.around(nsf(target.key, target.columns, depth)), STEPS)
            rows[name].append({"depth": depth, **target.figures(result.flow, result)})
            print(target.name, name, rows[name][-1], flush=True)
    level = max(row["validation"] for row in rows["standardize"])
    enough = level - MARGIN * target.columns**0.5
    needed = {
        name: next((r for r in found if r["validation"] >= enough), None) for name, found in rows.items()
    }
    return {"target": target.name, "columns": target.columns, "level": level, "needed": needed, "rows": rows}


def starts(target: Target) -> dict[str, Any]:
    """Four layers from scratch and from two layers, in as much time."""
    front = target.fronts.set("gaussian")
    k_new, k_shallow = jr.split(target.key)
    deep = front.around(nsf(k_new, target.columns, 4))
    shallow = target.trained(front.around(nsf(k_shallow, target.columns, 2)), SHALLOW)
    found = {"two layers": target.figures(shallow.flow, shallow)}
    scratch = target.trained(deep, SCRATCH)
    found["scratch"] = target.figures(scratch.flow, scratch)
    latent, data = front.grown(deep, shallow.flow), at_data(deep, shallow.flow)
    rate = settings_for(len(target.train)).learning_rate
    for name, flow, more in (
        ("grow", latent, {}),
        ("grow, data side", data, {}),
        ("grow, a third of the rate", latent, {"learning_rate": rate / 3}),
    ):
        grown = target.trained(flow, GROWN, **more)
        found[name] = target.figures(grown.flow, grown)
    held = target.trained(latent, HELD, optimizer=HOLDING, weight_decay=0.0)
    grown = target.trained(held.flow, GROWN - HELD)
    found["grow, old layers held first"] = target.figures(grown.flow, grown)
    for name, row in found.items():
        print(target.name, name, row, flush=True)
    return {"target": target.name, "columns": target.columns, "rows": found}


def at_data(deep: Flow, shallow: Flow) -> Flow:
    """The deep flow with the shallow one's layers on the latent side, and new ones at the identity on the data side."""
    ours, theirs = deep.bijection.bijections, shallow.bijection.bijections
    new, old = layers_of(ours[0]), layers_of(theirs[0])
    return Flow(
        shallow.base, type(deep.bijection)([restacked(ours[0], [*old, *new[len(old) :]]), *theirs[1:]])
    )


def _held(updates: Any, params: Any) -> Any:
    """Nothing for the front and for the last two of four stacked layers."""
    del params
    first, *rest = updates.bijection.bijections
    first = jax.tree.map(lambda u: u.at[2:].set(0.0), first)
    rest = jax.tree.map(lambda u: 0.0 * u, rest)
    return jax.tree.unflatten(
        jax.tree.structure(updates), [*jax.tree.leaves(updates.base), *jax.tree.leaves([first, *rest])]
    )


HOLDING = optax.chain(optax.adam(1.0), optax.stateless(_held))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="depths,starts")
    parser.add_argument("--targets")
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of steps")
    parser.add_argument("--out", type=Path, default=RESULTS / "fronts.json")
    options = parser.parse_args()
    config = {
        "steps": STEPS,
        "scratch": SCRATCH,
        "shallow": SHALLOW,
        "grown": GROWN,
        "held": HELD,
        "rows": TRAIN,
        "scale": options.scale,
        "margin": MARGIN,
    }
    head = {
        "what": __doc__.splitlines()[0],
        "command": f"python benchmarks/fronts.py --scale {options.scale:g}",
        "seed": 0,
        "versions": system_info(),
        "config": config,
    }
    record = Record(options.out, head, {"depths": [], "starts": []})
    for study, all_targets, function in (("depths", TARGETS, depths), ("starts", STARTED, starts)):
        wanted = options.targets.split(",") if options.targets else all_targets
        done = [row["target"] for row in record[study]]
        for name in [
            t for t in all_targets if t in wanted and t not in done and study in options.only.split(",")
        ]:
            began = time.monotonic()
            record.save(**{study: [*record[study], function(Target(name, options.scale))]})
            print(f"{study} of {name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
