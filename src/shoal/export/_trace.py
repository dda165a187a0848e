"""A JAX function of one row as nodes of an ONNX graph: its jaxpr, read equation by equation.

What depends on no input is computed by JAX, in float64, and becomes a constant: masks, softplus of raw values, and the
inverses of matrices, so that no graph holds a factorization or a solve. Scans have a known length and are written out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from shoal._errors import InputError
from shoal.export._graph import Graph, Value, Var
from shoal.export._indexing import RULES

_INLINED = {  # primitives that hold one program, and the name under which they do
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


NUMPY: dict[str, Callable[..., Any]] = {  # of floating constants; JAX would compile a program for each shape
    "add": lambda a, b, **_: a + b,
    "sub": lambda a, b, **_: a - b,
    "mul": lambda a, b, **_: a * b,
    "div": lambda a, b, **_: a / b,
    "max": lambda a, b, **_: np.maximum(a, b),
    "min": lambda a, b, **_: np.minimum(a, b),
    "neg": lambda a, **_: -a,
    "abs": lambda a, **_: np.abs(a),
    "exp": lambda a, **_: np.exp(a),
    "log": lambda a, **_: np.log(a),
    "log1p": lambda a, **_: np.log1p(a),
    "expm1": lambda a, **_: np.expm1(a),
    "tanh": lambda a, **_: np.tanh(a),
    "sqrt": lambda a, **_: np.sqrt(a),
    "lt": lambda a, b, **_: a < b,
    "gt": lambda a, b, **_: a > b,
    "ge": lambda a, b, **_: a >= b,
    "ne": lambda a, b, **_: a != b,
    "stop_gradient": lambda a, **_: a,
    "reduce_sum": lambda a, *, axes, **_: a.sum(axis=tuple(axes)),
    "reshape": lambda a, *, new_sizes, **_: a.reshape(new_sizes),
    "transpose": lambda a, *, permutation, **_: a.transpose(permutation),
    "squeeze": lambda a, *, dimensions, **_: a.squeeze(tuple(dimensions)),
    "concatenate": lambda *parts, dimension, **_: np.concatenate(parts, axis=dimension),
}


def traced(graph: Graph, function: Callable[..., Any], *inputs: Var) -> list[Value]:
    """The outputs of `function`, a function of one row of each input, as values of the graph.

    Call it where float64 is on. **Raises:** `InputError` for a function that is no closed form.
    """
    closed = jax.make_jaxpr(function)(*(jnp.zeros(v.shape, jnp.float64) for v in inputs))
    return _run(graph, closed, list(inputs))


def _run(graph: Graph, program: Any, inputs: Sequence[Value]) -> list[Value]:
    """The values of a program, closed or not."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    known: dict[Any, Value] = dict(zip(jaxpr.constvars, map(_array, constants), strict=True))
    known.update(zip(jaxpr.invars, inputs, strict=True))
    read = lambda v: np.asarray(v.val) if isinstance(v, core.Literal) else known[v]
    for equation in jaxpr.eqns:
        made = _equation(graph, equation, [read(v) for v in equation.invars])
        known.update(zip(equation.outvars, made, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _equation(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    name, parameters = equation.primitive.name, equation.params
    outputs = [v.aval for v in equation.outvars]
    if name in _INLINED:
        return _run(graph, parameters[_INLINED[name]], inputs)
    if not any(isinstance(value, Var) for value in inputs):
        return _folded(equation, inputs)
    if name == "scan":
        return _unrolled(graph, parameters, inputs)
    if name == "cond" and not isinstance(inputs[0], Var):
        last = len(parameters["branches"]) - 1
        return _run(graph, parameters["branches"][int(np.clip(inputs[0], 0, last))], inputs[1:])
    if name == "custom_linear_solve":
        counts, parts = parameters["const_lengths"], parameters["jaxprs"]
        start = counts.matvec + counts.vecmat
        return _run(graph, parts.solve, [*inputs[start : start + counts.solve], *inputs[sum(counts) :]])
    if all(0 in aval.shape for aval in outputs):
        return [np.zeros(aval.shape, aval.dtype) for aval in outputs]
    if name not in RULES:
        what = "a loop whose length depends on the row" if name == "while" else f"the operation {name!r}"
        raise InputError(f"The flow needs {what}, which no ONNX graph of Shoal holds.")
    made = RULES[name](graph, inputs, outputs[0].shape, outputs[0].dtype, parameters)
    return made if isinstance(made, list) else [made]


def _folded(equation: Any, inputs: Sequence[Value]) -> list[Value]:
    """The outputs of an equation of constants, as JAX computes them."""
    if equation.primitive.name == "platform_index":
        return [np.asarray(equation.params["platforms"].index(None), np.int32)]
    if all(0 in v.aval.shape for v in equation.outvars):
        return [np.zeros(v.aval.shape, v.aval.dtype) for v in equation.outvars]
    plain = NUMPY.get(equation.primitive.name)
    if plain is not None and all(np.asarray(value).dtype.kind == "f" for value in inputs):
        return [np.asarray(plain(*inputs, **equation.params))]
    made = equation.primitive.bind(*map(jnp.asarray, inputs), **equation.params)
    return [_array(v) for v in (made if equation.primitive.multiple_results else [made])]


def _unrolled(graph: Graph, parameters: dict[str, Any], inputs: list[Value]) -> list[Value]:
    """A scan, written out."""
    fixed, carried = parameters["num_consts"], parameters["num_carry"]
    constants, carry, rows = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]
    steps = range(parameters["length"])
    collected: list[list[Value]] = []
    for i in reversed(steps) if parameters["reverse"] else steps:
        out = _run(graph, parameters["jaxpr"], [*constants, *carry, *(_row(graph, v, i) for v in rows)])
        carry = out[:carried]
        collected.append(out[carried:])
    if parameters["reverse"]:
        collected.reverse()
    return [*carry, *(_stacked(graph, list(column)) for column in zip(*collected, strict=True))]


def _row(graph: Graph, value: Value, i: int) -> Value:
    if not isinstance(value, Var):
        return np.asarray(value[i])
    return graph.add("Gather", value, np.asarray(i, np.int64), shape=value.shape[1:], axis=1)


def _stacked(graph: Graph, values: list[Value]) -> Value:
    if not any(isinstance(value, Var) for value in values):
        return np.stack([np.asarray(value) for value in values])
    shape = values[0].shape
    expanded = [
        graph.add("Unsqueeze", v, np.asarray([1], np.int64), shape=(1, *shape))
        if isinstance(v, Var)
        else graph.with_batch(np.asarray(v)[None])
        for v in values
    ]
    return graph.add("Concat", *expanded, shape=(len(values), *shape), axis=1)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value)
