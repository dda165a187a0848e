"""Four flows on two real tables as ONNX: how far the graphs are from float64, their size, and their speed beside Shoal's.

    python benchmarks/export.py [--models FOLDER] [--tables diamonds,wdbc] [--families NAMES] [--only PARTS] [--shared]

Tables: diamonds (`data/diamonds.csv`, seven columns) and wdbc (scikit-learn's breast cancer table, the 24 columns without
zeros), at most `ROWS` rows. Families: realnvp, spline, nsf, maf, each of `DEPTH` layers behind the front
"marginals+gaussian", and realnvp on a mixture of Gaussians as base, trained by `FlowDensity` for at most `EPOCHS` epochs;
models go to FOLDER, from which a later run takes them.

**errors**: of each graph, run by onnxruntime, that takes and gives float32 and computes in float32, or in float64, against
Shoal in float64 on the same float32 numbers, and beside it of Shoal in float32; "inside" is which of them `to_onnx` writes.
Over the rows of the table, the hundred farthest of them, and draws, near and three times as far (`shoal.export._check` has
the definitions). **speed**: rows a second of `PIECE` rows at once on one thread, the median of `ROUNDS` rounds that
alternate between the sides, all compiled or loaded before. **libraries** (needs jax2onnx): what another converter writes.
--shared: notes that other programs ran on the machine. It goes on where it stopped.
"""

import argparse
import re
import statistics
import time
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from resume import RESULTS, ROOT, Record

from shoal import FlowDensity, flows
from shoal._errors import one_line
from shoal.distributions import Flow
from shoal.export._check import DRAWN, LIMIT, expected, inputs_of, points, relative_errors
from shoal.export._graph import OPSET
from shoal.export._onnx import Session, about, written_out
from shoal.export._programs import Program, programs
from shoal.export._trace import RULES
from shoal.flows import load, save
from shoal.records import system_info

FAMILIES, DEPTH, EPOCHS = ("realnvp", "spline", "nsf", "maf", "realnvp on a mixture"), 4, 8
FRONTS = {"realnvp on a mixture": "mixture"}  # of the others: "marginals+gaussian"
DTYPES = ("float32", "float64")
ROWS, FARTHEST, PIECE, ROUNDS = 3_000, 100, 4096, 9


def rows_of(name: str) -> np.ndarray:
    """At most `ROWS` rows of a table, float64."""
    if name == "diamonds":
        rows = np.loadtxt(ROOT / "data" / "diamonds.csv", delimiter=",", skiprows=1)
        return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:ROWS])]
    from sklearn.datasets import load_breast_cancer

    rows = np.asarray(load_breast_cancer().data, np.float64)
    return rows[:, (rows > 0).all(axis=0)]


TABLES = ("diamonds", "wdbc")


def trained(table: str, family: str, folder: Path) -> Flow:
    """The flow of that table and family, from the folder where it lies there."""
    place = folder / f"{table}-{family.replace(' ', '-')}"
    if not place.exists():
        made = FlowDensity(
            depth=DEPTH,
            families=family.split()[0],
            fronts=FRONTS.get(family, "marginals+gaussian"),
            max_epochs=EPOCHS,
            random_state=0,
        )
        save(made.fit(rows_of(table)), place)
    return load(place)


def errors(flow: Flow, program: Program, rows: np.ndarray) -> dict[str, Any]:
    """Nodes, bytes, seconds to write and to load, and the errors of one graph."""
    began = time.perf_counter()
    graph, outputs = written_out(flow, program.name)
    models = {inside: graph.model(outputs, about(flow), inside, "float32") for inside in DTYPES}
    data = {inside: model.SerializeToString() for inside, model in models.items()}
    wrote = time.perf_counter()
    found = points(flow, rows, None, "float32")
    inputs = inputs_of(program, found)
    wanted, own = (expected(flow, program, found, kind) for kind in ("float64", "float32"))
    got = {inside: np.asarray(Session(data[inside])(inputs), np.float64) for inside in DTYPES}
    each = {who: relative_errors(program, values, wanted) for who, values in (*got.items(), ("shoal", own))}
    within = [np.nanmax(each["float32"]) <= LIMIT["float32"], np.isfinite(got["float32"]).all()]
    inside = "float32" if all(within) else "float64"
    began_loading = time.perf_counter()
    Session(data[inside])
    loaded = time.perf_counter()
    given = len(wanted) - 2 * DRAWN
    places = {"drawn": slice(given, given + DRAWN), "far draws": slice(given + DRAWN, None)}
    if given:
        away = np.abs(rows - np.median(rows, axis=0))
        order = np.argsort(-np.max(away / np.quantile(away, 0.9, axis=0).clip(1e-300), axis=1))
        places |= {"rows": slice(0, given), "farthest rows": order[:FARTHEST]}
    return {
        "inside": inside,
        "nodes": len(models[inside].graph.node),
        "bytes": {name: len(one) for name, one in data.items()},
        "write_seconds": wrote - began,
        "load_seconds": loaded - began_loading,
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
    models = {inside: graph.model(outputs, about(flow), inside, "float32") for inside in DTYPES}
    sessions = {inside: Session(model.SerializeToString(), threads=1) for inside, model in models.items()}
    found = points(flow, None, None, "float32")
    inputs = {
        name: np.resize(v[:DRAWN], (PIECE, *v.shape[1:])) for name, v in inputs_of(program, found).items()
    }
    place = [p.name for p in programs(flow)].index(program.name)
    run = jax.jit(jax.vmap(programs(flow)[place].function))
    arrays = [jnp.asarray(v) for v in inputs.values()]
    sides = {inside: lambda session=session: session(inputs) for inside, session in sessions.items()}
    sides["shoal"] = lambda: np.asarray(run(*arrays))
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


def libraries() -> dict[str, Any]:
    """How many graphs jax2onnx writes, with the number of rows free, and what it brings."""
    from jax2onnx import to_onnx

    written, first = 0, ""
    for family in (*FAMILIES[:4], "iaf"):
        flow = getattr(flows, family)(jax.random.key(0), 5, DEPTH, hidden=(16, 16))
        for function in (flow.log_prob_one, flow.bijection.inverse, flow.bijection.forward):
            try:
                to_onnx(jax.vmap(function), inputs=[("rows", 5)])
            except Exception as error:  # noqa: BLE001 - whatever another library raises
                first = first or f"{type(error).__name__}: {one_line(error)}"
            else:
                written += 1
    names = [re.split(r"[ (<>=;]", text)[0] for text in requires("jax2onnx") or ()]
    own = {"equinox", "jax", "ml_dtypes", "onnx", "onnxruntime", "optax"}
    tried = {"version": version("jax2onnx"), "graphs": 15, "written": written, "error": first}
    return {"jax2onnx": {**tried, "brings": [name for name in names if name not in own]}, "rules": len(RULES)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "export-models")
    parser.add_argument("--only", default="train,errors,speed,libraries")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--families", default=",".join(FAMILIES))
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
    if "libraries" in parts:
        record.save(libraries=libraries())
    for table in options.tables.split(","):
        rows = rows_of(table)
        for family in options.families.split(","):
            flow = trained(table, family, options.models)
            for program in programs(flow) if {"errors", "speed"} & set(parts) else ():
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
