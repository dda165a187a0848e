"""Ladders on a local Dask cluster: equal decisions when workers are killed, and what a second worker saves.

    cd benchmarks && python -m scale.cluster [--only kills|speed] [--runs 10] [--fresh]

Writes `results/cluster.json`. `kills`: a cluster of four worker processes; in each run one of them gets SIGKILL at a random
moment of the race. Limits are in epochs. Every run is compared, bit for bit, with the ladder of this process alone. `speed`:
wall seconds of one ladder with two workers and with one, on two cores (`taskset -c 0,1`), in turn; `seconds` are those of
workers that have compiled the ladder's programs, `cold_seconds` of those that have not. Run it on an idle machine. The run
goes on where it stopped.
"""

import argparse
import dataclasses
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from resume import RESULTS, Record, alone

from shoal._executors import connected
from shoal.records import system_info
from shoal.selection import LadderResult, ladder
from shoal.training import Settings

SEED, ROWS, WORKERS, ROUNDS = 0, 2000, 4, 3
KILLS: dict[str, Any] = {
    "families": ("realnvp",),
    "fronts": ("gaussian", "marginals+gaussian"),
    "depths": (1, 2),
    "seeds": 2,
    "hidden": (16,),
    "margin": 0.001,
    "settings": Settings(max_epochs=60, patience=None, batch_size=64, checkpoint_seconds=0.5),
}
SPEED: dict[str, Any] = {
    **KILLS,
    "depths": (2,),
    "hidden": (64, 64),
    "settings": Settings(max_epochs=600, patience=None, batch_size=64, checkpoint_seconds=20.0),
}
LATEST = 0.9  # of the time of a run, until which a worker is killed


def table() -> np.ndarray:
    """Four columns that need layers: a square, a sine, an exponential of others."""
    z = np.random.default_rng(SEED).normal(size=(ROWS, 4))
    x = z[:, 0]
    return np.stack(
        [x, x**2 + 0.3 * z[:, 1], np.sin(2 * x) + 0.2 * z[:, 2], np.exp(0.4 * z[:, 3]) + 0.2 * x], 1
    )


def figures(result: LadderResult) -> dict[str, Any]:
    """What two ladders must agree in: the decision, and every rung to the last bit."""
    rungs = {
        r.name: [[float(v) for v in logs.sum(keepdims=True)] for logs in r.log_likelihoods]
        for r in result.rungs
    }
    curves = [[[row.train for row in seed.history] for seed in r.results] for r in result.rungs]
    events = [(e.event, e.rung, e.validation, e.why) for e in result.record.race]
    return {
        "sentence": result.record.decision.sentence,
        "verdict": [result.choice.chosen, result.choice.best],
        "rungs": rungs,
        "curves": curves,
        "race": events,
    }


class Killer:
    """Ends one worker of a cluster after some seconds of the race; `report` says which moment it was."""

    def __init__(self, client: Any, seconds: float, rng: np.random.Generator):
        self.client, self.rng, self.seconds, self.report = client, rng, seconds, dict[str, Any]()
        self.timer, self.began, self.stage = threading.Timer(seconds, self.kill), time.monotonic(), ""
        self.ended = 0.0  # when the race was over
        self.timer.start()

    def kill(self) -> None:
        """SIGKILL to one of the workers."""
        tasks = self.client.processing()
        known = self.client.run(os.getpid)
        address = sorted(known)[int(self.rng.integers(len(known)))]
        self.report = {
            "seconds": time.monotonic() - self.began,
            "at": self.stage,
            "tasks": len(tasks.get(address, ())),
            "all_tasks": sum(map(len, tasks.values())),
        }
        os.kill(known[address], signal.SIGKILL)

    def heard(self, event: dict[str, Any]) -> None:
        """Keeps what was at work last; after the race it is too late to kill."""
        self.stage = str(event.get("rung", event["stage"]))
        if event["stage"] == "measuring" and not self.ended:
            self.timer.cancel()
            self.ended = time.monotonic()


def kills(record: Record, runs: int) -> None:
    """Ladders with a worker killed in each; a cluster that does not get its worker back in five minutes is made anew."""
    plain: dict[str, Any] = {}
    while len(record.rows) < runs:
        plain = plain or figures(ladder(table(), seed=SEED, **KILLS))  # without a cluster
        with connected(f"local:{WORKERS}") as client, tempfile.TemporaryDirectory() as place:
            _kills(record, runs, client, Path(place), plain)
    record.save(kills=summary(record.rows))


def _kills(record: Record, runs: int, client: Any, place: Path, plain: dict[str, Any]) -> None:
    """Runs on one cluster: two that show how long the race takes, then those with a kill."""
    rng, spent = np.random.default_rng([SEED, len(record.rows)]), list[float]()
    while len(record.rows) < runs:
        wait = float(rng.uniform(0, LATEST)) * min(spent) if len(spent) > 1 else 3600.0
        began, killer = time.monotonic(), Killer(client, wait, rng)
        folder = place / str(len(spent))
        out = ladder(table(), seed=SEED, folder=folder, executor=client, progress=killer.heard, **KILLS)
        if out.interrupted:
            raise KeyboardInterrupt
        spent.append(killer.ended - began)
        found, names = figures(out), [out.rungs[e.rung].name for e in out.record.race if e.event == "rung"]
        row = {
            "race_seconds": spent[-1],
            "killed": killer.report or None,
            "same_decision": (found["sentence"], found["verdict"]) == (plain["sentence"], plain["verdict"]),
            "same_bits": found == plain,
            "rungs": len(names),
            "rung_twice": len(set(names)) < len(names) or len(names) != len(out.rungs),
        }
        print(row, flush=True)
        if killer.report:
            record.add(row)
        try:
            client.wait_for_workers(WORKERS, timeout=300)
        except TimeoutError:
            return


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over the runs in which a worker was killed."""
    count = lambda test: sum(map(bool, map(test, rows)))
    return {
        "runs": len(rows),
        "same_decision": count(lambda r: r["same_decision"]),
        "same_bits": count(lambda r: r["same_bits"]),
        "rung_twice": count(lambda r: r["rung_twice"]),
        "killed_with_a_task": count(lambda r: r["killed"]["tasks"]),
    }


def speed(record: Record) -> None:
    """One ladder with one worker and with two, in turn."""
    rows: list[dict[str, Any]] = record["speed"] or []
    for number in range(len(rows), 2 * ROUNDS):
        workers, busy = (1, 2)[number % 2], os.getloadavg()[0]
        with connected(f"local:{workers}") as client:
            seconds, outs = list[float](), list[LadderResult]()
            for _ in range(2):
                began = time.monotonic()
                outs.append(ladder(table(), seed=SEED, executor=client, **SPEED))
                if outs[-1].interrupted:
                    raise KeyboardInterrupt
                seconds.append(time.monotonic() - began)
        row = {
            "workers": workers,
            "cold_seconds": seconds[0],
            "seconds": seconds[1],
            "busy_before": busy,
            "training_seconds": sum(result.seconds for rung in outs[1].rungs for result in rung.results),
            "sentence": outs[1].record.decision.sentence,
        }
        print(row, flush=True)
        rows = [*rows, row]
        record.save(speed=rows)
    medians = {
        name: [median(row[name] for row in rows if row["workers"] == n) for n in (1, 2)]
        for name in ("seconds", "cold_seconds")
    }
    ratios = {name: two / one for name, (one, two) in medians.items()}
    record.save(two_workers_against_one={**ratios, "cores": len(os.sched_getaffinity(0))})
    print(ratios)


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options as a record holds them."""
    return {**options, "settings": dataclasses.asdict(options["settings"])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("kills", "speed"))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "cluster.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    head = {
        "what": "ladders on a local Dask cluster: equal decisions when workers are killed; two workers against one",
        "command": "python -m scale.cluster",
        "seed": SEED,
        "config": {
            "rows": ROWS,
            "workers": WORKERS,
            "kills": plain_options(KILLS),
            "speed": plain_options(SPEED),
        },
        "versions": system_info(
            ("shoal", "jax", "jaxlib", "equinox", "optax", "numpy", "dask", "distributed")
        ),
    }
    found = {"rows": [], "kills": None, "speed": None, "two_workers_against_one": None}
    with alone(options.out):
        record = Record(options.out, head, found, fresh=options.fresh)
        if options.only != "speed":
            kills(record, options.runs)
        if options.only != "kills":
            speed(record)


if __name__ == "__main__":
    main()
