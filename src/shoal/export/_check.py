"""Whether what left Shoal gives Shoal's numbers: rows to try it on, float64 to hold it against, and what float32 costs.

Errors are relative: |Δ log p| / max(1, |log p|) of a row, |Δz| / max(1, |z|) of a latent, and |Δx| / (|x| + deviation) of a
sample, the deviation that of its column. An exported program is refused where it is further from float64 than `LIMIT` and
than `SLACK` times what Shoal itself loses in float32.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._errors import InputError, NumericalFailure
from shoal._pieces import in_pieces, piece
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.distributions import Flow, named_columns
from shoal.export._programs import Program, in_float64, programs

LIMIT = {"float32": 1e-5, "float64": 1e-8}
SLACK = {
    "float32": 10.0,
    "float64": 1e-6,
}  # times the error of Shoal itself in float32, which grows as κ does
DRAWN, FAR = 256, 3.0  # rows that are drawn, and as many whose normal numbers are so many times as large
LARGEST = 4096  # rows at once


@dataclass(frozen=True)
class Agreement:
    """Largest relative errors against float64 over `rows` rows: of what was exported, and of Shoal itself in float32."""

    rows: int
    error: float
    own: float


@dataclass(frozen=True)
class Exported:
    """A program that was written: its `name`, the `path` of its file, `size` in bytes, how well it agrees; of a graph its
    nodes and what it computes in.
    """

    name: str
    path: Path
    size: int
    agreement: Agreement
    nodes: int | None = None
    inside: str | None = None


def points(
    flow: Flow, rows: ArrayLike | None, context: ArrayLike | None, dtype: str
) -> dict[str, FloatArray]:
    """Inputs of all programs: the rows that are given, and draws of the flow, near and far, rounded to `dtype`.

    **Raises:** `InputError` for a conditional flow without contexts.
    """
    rng = np.random.default_rng(0)
    given = (
        np.empty((0, *flow.shape)) if rows is None else np.asarray(named_columns(rows, flow.columns, "rows"))
    )
    if given.ndim != 2 or given.shape[1:] != flow.shape:
        raise InputError(f"`rows` must have shape (rows, {flow.shape[0]}); got {given.shape}.")
    normal = rng.normal(size=(2 * DRAWN, *flow.shape)) * np.repeat([1.0, FAR], DRAWN)[:, None]
    found = {"normal": normal, "uniform": rng.random((2 * DRAWN, 1))}
    beside = None
    if flow.context_shape is not None:
        if context is None or not len(given):
            raise InputError("A conditional flow is checked on rows with their context; give both.")
        beside = np.asarray(named_columns(context, flow.context_columns, "context"), np.float64)
        if beside.shape != (len(given), *flow.context_shape):
            raise InputError(
                f"`context` must have shape {(len(given), *flow.context_shape)}; got {beside.shape}."
            )
        found["context"] = beside[rng.integers(len(given), size=2 * DRAWN)]
    rounded = {name: np.asarray(v, dtype) for name, v in found.items()}
    drawn = expected(flow, programs(flow)[2], rounded, "float64")
    with np.errstate(over="ignore"):
        x = np.concatenate([np.asarray(given, np.float64), drawn]).astype(dtype)
    finite = np.isfinite(x).all(axis=1)
    rounded["x"] = x[
        np.where(finite, np.arange(len(x)), np.argmax(finite))
    ]  # in place of draws beyond the dtype
    if beside is not None:
        rounded["context_of_x"] = np.concatenate([beside.astype(dtype), rounded["context"]])
    return rounded


def inputs_of(program: Program, found: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The points that a program takes, by the names of its inputs."""
    of_x = "x" in program.inputs
    return {name: found["context_of_x" if of_x and name == "context" else name] for name in program.inputs}


def expected(flow: Flow, program: Program, found: Mapping[str, FloatArray], precision: str) -> FloatArray:
    """What the program of that name gives in Shoal, computed in `precision`."""
    place = [p.name for p in programs(flow)].index(program.name)
    arrays = list(inputs_of(program, found).values())
    with jax.enable_x64(precision == "float64"):
        cast = in_float64(flow) if precision == "float64" else _in_float32(flow)

        at = lambda *rows: _rows_of(cast, place, *(jnp.asarray(part, precision) for part in rows))
        size = piece(len(arrays[0]), 1, LARGEST)
        return np.asarray(in_pieces(at, size, *arrays)[0], np.float64)


@quickly
def _rows_of(flow: Flow, place: int, *rows: jax.Array) -> jax.Array:
    return jax.vmap(programs(flow)[place].function)(*rows)


def agreement(
    flow: Flow,
    program: Program,
    found: Mapping[str, FloatArray],
    exported: Callable[[dict[str, FloatArray]], FloatArray],
    inside: str,
    outside: str,
) -> Agreement:
    """The errors of an exported program that computes in `inside`, and takes and gives `outside`.

    **Raises:** `NumericalFailure` where it is wrong.
    """
    inputs = inputs_of(program, found)
    wanted = expected(flow, program, found, "float64")
    own = expected(flow, program, found, "float32")
    got = np.asarray(exported({name: v.astype(outside) for name, v in inputs.items()}), np.float64)
    if got.shape != wanted.shape:
        raise NumericalFailure(f"The exported {program.name} has shape {got.shape}, not {wanted.shape}.")
    if not (np.isfinite(wanted) & np.isfinite(own)).any():
        raise NumericalFailure(
            f"No row of {len(wanted)} gives a finite {program.name} in float32 and in float64; nothing was written."
        )
    errors = [relative_error(program, values, wanted, own) for values in (got, own)]
    result = Agreement(len(wanted), *errors)
    rounding = float(np.finfo(outside).eps)
    if not result.error <= max(LIMIT[inside], SLACK[inside] * result.own, rounding):
        raise NumericalFailure(
            f"The exported {program.name} is not the flow's: its relative error against float64 is {result.error:.1e} over "
            f"{result.rows} rows, where Shoal itself has {result.own:.1e} in float32; nothing was written."
        )
    return result


def relative_error(program: Program, got: FloatArray, wanted: FloatArray, own: FloatArray) -> float:
    """The largest one, over the numbers that are finite in float64 and in float32; inf where `got` is not."""
    errors = relative_errors(program, got, wanted)[np.isfinite(wanted) & np.isfinite(own)]
    return (
        float(np.max(np.where(np.isfinite(errors), errors, np.inf), initial=0.0)) if errors.size else np.inf
    )


def relative_errors(program: Program, got: FloatArray, wanted: FloatArray) -> FloatArray:
    """Of each number, as the head of this file defines them."""
    scale = np.maximum(1.0, np.abs(wanted))
    if program.output == "x":
        near = np.where(np.isfinite(wanted), wanted, np.nan)[:DRAWN]
        scale = np.abs(wanted) + np.nanstd(near, axis=0)
    with np.errstate(invalid="ignore"):
        return np.abs(got - wanted) / np.where(scale > 0, scale, 1.0)


def _in_float32(flow: Flow) -> Flow:
    return jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, flow)
