"""Flows as ONNX files: log p, data to latent, and noise to data, each a graph of its own.

They are written from the jaxpr of the flow (`_trace`), and run by onnxruntime before a file is written.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shoal import __version__
from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.distributions import Flow
from shoal.export._check import LIMIT, Agreement, Exported, agreement, points
from shoal.export._graph import Dtype, Graph
from shoal.export._programs import Program, checked, draw_of, in_float64, programs
from shoal.export._trace import traced
from shoal.records import write_bytes


def to_onnx(
    flow: object,
    folder: str | os.PathLike[str],
    *,
    rows: ArrayLike | None = None,
    context: ArrayLike | None = None,
    dtype: Dtype | None = None,
    notes: Iterable[str] = (),
) -> tuple[Exported, ...]:
    """Writes `log_prob.onnx`, `inverse.onnx` and `sample.onnx` into `folder`, each checked in onnxruntime first.

    - log_prob: x (rows, n) -> log p (rows,), in the units of the columns that the flow was fitted on, with their scaling
      and front inside; - inverse: x -> z, the latent; - sample: standard normal numbers (rows, n) -> x, and with a mixture
      as base one uniform number a row besides. A conditional flow takes `context` (rows, c) beside.

    Graphs take and give float32, and compute in float32 where that is right to 1e-5 (of log p, of a latent, of a sample's
    deviation), in float64 where it is not, as with layers or a base of large κ.

    The number of rows is free, the opset 18. What depends on no input is computed in float64 and rounded once; no graph
    holds a factorization or a solve. Steps of a sequential direction (samples of `maf` and `nsf`) are written out.

    **Arguments:** `rows`, `context`: rows to check on, beside draws of the flow, near and three times as far; a conditional
    flow needs them. `dtype`: of what graphs take and give (None: the flow's). `notes`: sentences for who opens a file.
    **Returns:** what was written. **Raises:** `InputError` for a flow that no graph expresses (random coordinates beside
    the data, whole rows with words or missing cells, solvers whose steps depend on the row); `NumericalFailure`, and
    no file, where a graph does not give the flow's numbers; ImportError without onnx and onnxruntime.
    """
    known = checked(flow)
    kind = dtype or str(known.dtype)
    if kind not in ("float32", "float64"):
        raise InputError(f'`dtype` must be "float32" or "float64"; got {kind!r}.')
    found, head = points(known, rows, context, kind), about(known, notes)
    chosen = {p.name: _chosen(known, p, found, kind, head) for p in programs(known)}
    written, place = [], Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for name, (inside, model, check) in chosen.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = "relative_error", f"{check.error:.2e} against float64 over {check.rows} rows"
        data, path = model.SerializeToString(), place / f"{name}.onnx"
        write_bytes(data, path)
        written.append(Exported(name, path, len(data), check, len(model.graph.node), inside))
    return tuple(written)


def _chosen(
    flow: Flow, program: Program, found: Mapping[str, FloatArray], kind: Dtype, head: Mapping[str, str]
) -> tuple[Dtype, Any, Agreement]:
    """What a graph computes in, the graph, and how well it agrees. In float64 no fault can hide behind rounding."""
    graph, outputs = written_out(flow, program.name)

    def tried(inside: Dtype) -> tuple[Dtype, Any, Agreement]:
        model = graph.model(outputs, {"graph": program.name, "inside": inside, **head}, inside, kind)
        run = Session(model.SerializeToString())
        return inside, model, agreement(flow, program, found, run, inside, kind)

    wide = tried("float64")
    narrow = wide if kind == "float64" else tried("float32")
    return narrow if narrow[2].error <= LIMIT[kind] else wide


def written_out(flow: Flow, name: str) -> tuple[Graph, dict[str, Any]]:
    """The graph of the program of that name, and its output."""
    with jax.enable_x64(True):
        program = next(p for p in programs(in_float64(flow)) if p.name == name)
        graph = Graph(program.inputs)
        (value,) = traced(graph, program.function, *map(graph.given, program.inputs))
        return graph, {program.output: value}


def about(flow: Flow, notes: Iterable[str] = ()) -> dict[str, str]:
    """The metadata of a graph."""
    return {
        "shoal": __version__,
        "columns": json.dumps(flow.columns),
        "context_columns": json.dumps(flow.context_columns),
        "base": draw_of(flow.base)[0],
        "units": "the columns' own; log p in nats",
        "notes": json.dumps(list(notes)),
    }


class Session:
    """A graph in onnxruntime, on the CPU: named inputs to the one output."""

    def __init__(self, data: bytes, threads: int = 0):
        import onnxruntime  # here: only who exports needs it

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = (
            3,
            threads,
        )  # 0 threads: as many as there are cores
        self._run = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._names = {one.name for one in self._run.get_inputs()}

    def __call__(self, inputs: dict[str, FloatArray]) -> FloatArray:
        """The output, one row for each row of the inputs; those that the graph does not need are left out."""
        return np.asarray(self._run.run(None, {k: v for k, v in inputs.items() if k in self._names})[0])
