"""Four flows on two real tables as ONNX: how far the graphs are from float64, their size, and their speed beside Shoal's.

    python benchmarks/export.py [--models FOLDER] [--only train,errors,speed] [--shared] [--out results/export.json]

Tables: diamonds (`data/diamonds.csv`, seven columns) and wdbc (scikit-learn's breast cancer table, thirty), at most `ROWS`
rows. Families: realnvp, spline, nsf, maf, each of `DEPTH` layers behind the front that the estimator chooses, trained by
`FlowDensity` for at most `EPOCHS` epochs; models go to FOLDER, from which a later run takes them.

**errors**: of each graph in float32, run by onnxruntime, against Shoal in float64 on the same float32 numbers, and beside
it of Shoal in float32: over the rows of the table, the hundred farthest of them, and draws, near and three times as far
(`shoal.export._check` has the definitions). **speed**: rows a second of `PIECE` rows at once on one thread, the median of
`ROUNDS` rounds that alternate between the two, both compiled or loaded before. --shared: notes that other programs ran
on the machine. It goes on where it stopped.
"""

import argparse
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from resume import RESULTS, ROOT, Record

from shoal import FlowDensity
from shoal.distributions import Flow
from shoal.export._check import DRAWN, expected, inputs_of, points, relative_errors
from shoal.export._graph import OPSET
from shoal.export._onnx import Session, about, written_out
from shoal.export._programs import Program, programs
from shoal.flows import load, save
from shoal.records import system_info

FAMILIES, DEPTH, EPOCHS = ("realnvp", "spline", "nsf", "maf"), 4, 20
ROWS, FARTHEST, PIECE, ROUNDS = 10_000, 100, 4096, 9


def rows_of(name: str) -> np.ndarray:
    """At most `ROWS` rows of a table, float64."""
    if name == "diamonds":
        rows = np.loadtxt(ROOT / "data" / "diamonds.csv", delimiter=",", skiprows=1)
        return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:ROWS])]
    from sklearn.datasets import load_breast_cancer

    return np.asarray(load_breast_cancer().data, np.float64)


TABLES = ("diamonds", "wdbc")


def trained(table: str, family: str, folder: Path) -> Flow:
    """The flow of that table and family, from the folder where it lies there."""
    place = folder / f"{table}-{family}"
    if not place.exists():
        made = FlowDensity(depth=DEPTH, families=family, max_epochs=EPOCHS, random_state=0)
        save(made.fit(rows_of(table)), place)
    return load(place)


def errors(flow: Flow, program: Program, rows: np.ndarray) -> dict[str, Any]:
    """Nodes, bytes, seconds to write and to load, and the errors of one graph."""
    began = time.perf_counter()
    graph, outputs = written_out(flow, program.name)
    data = (model := graph.model(outputs, about(flow), "float32")).SerializeToString()
    wrote = time.perf_counter()
    session = Session(data)
    loaded = time.perf_counter()
    found = points(flow, rows, None, "float32")
    inputs = inputs_of(program, found)
    wanted, own = (expected(flow, program, found, kind) for kind in ("float64", "float32"))
    got = np.asarray(session(inputs), np.float64)
    each = {"onnx": relative_errors(program, got, wanted), "shoal": relative_errors(program, own, wanted)}
    given = len(wanted) - 2 * DRAWN
    places = {"drawn": slice(given, given + DRAWN), "far draws": slice(given + DRAWN, None)}
    if given:
        away = np.abs(rows - np.median(rows, axis=0))
        order = np.argsort(-np.max(away / np.quantile(away, 0.9, axis=0).clip(1e-300), axis=1))
        places |= {"rows": slice(0, given), "farthest rows": order[:FARTHEST]}
    return {
        "nodes": len(model.graph.node),
        "bytes": len(data),
        "write_seconds": wrote - began,
        "load_seconds": loaded - wrote,
        "error": {
            who: {where: spread(values[index]) for where, index in places.items()}
            for who, values in each.items()
        },
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Median and largest error, and how many are not finite."""
    finite = values[np.isfinite(values)]
    return {
        "median": float(np.median(finite)),
        "largest": float(finite.max()),
        "not_finite": int(values.size - finite.size),
    }


def speed(flow: Flow, program: Program) -> dict[str, Any]:
    """Rows a second of onnxruntime and of Shoal, both in float32, on one thread."""
    graph, outputs = written_out(flow, program.name)
    session = Session(graph.model(outputs, about(flow), "float32").SerializeToString(), threads=1)
    found = points(flow, None, None, "float32")
    inputs = {
        name: np.resize(v[:DRAWN], (PIECE, *v.shape[1:])) for name, v in inputs_of(program, found).items()
    }
    place = [p.name for p in programs(flow)].index(program.name)
    run = jax.jit(jax.vmap(programs(flow)[place].function))
    arrays = [jnp.asarray(v) for v in inputs.values()]
    sides = {"onnx": lambda: session(inputs), "shoal": lambda: np.asarray(run(*arrays))}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(ROUNDS):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - began)
    return {
        "rounds": seconds,
        "rows_per_second": {name: PIECE / statistics.median(found) for name, found in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "export-models")
    parser.add_argument("--only", default="train,errors,speed")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "export.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    parts = options.only.split(",")
    config = {"families": FAMILIES, "depth": DEPTH, "epochs": EPOCHS, "rows": ROWS, "piece": PIECE}
    head = {
        "what": "flows as ONNX graphs",
        "command": "python benchmarks/export.py",
        "seed": 0,
        "system": system_info(),
        "onnx": {name: version(name) for name in ("onnx", "onnxruntime")} | {"opset": OPSET},
        "config": config,
    }
    record = Record(options.out, head, {"rows": [], "speed": []}, fresh=options.fresh)
    for table in TABLES:
        rows = rows_of(table)
        for family in FAMILIES:
            flow = trained(table, family, options.models)
            for program in programs(flow) if parts != ["train"] else ():
                key = {"table": table, "family": family, "program": program.name}
                if "errors" in parts and not record.has(**key):
                    record.add({**key, "columns": flow.shape[0], **errors(flow, program, rows)})
                    print(key, record.rows[-1]["error"], flush=True)
                timed = any(all(one[k] == v for k, v in key.items()) for one in record["speed"])
                if "speed" in parts and not timed:
                    record["speed"].append({**key, "shared": options.shared, **speed(flow, program)})
                    record.save()
                    print(key, record["speed"][-1]["rows_per_second"], flush=True)


if __name__ == "__main__":
    main()
