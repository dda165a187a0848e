"""What each primitive of JAX is in ONNX: `RULES[name](graph, inputs, shape, dtype, parameters)`.

Shapes are those of one row; the batch is axis 0 of every tensor. At least one input is a tensor of the graph. ONNX has no
log1p and expm1: they are written so that small arguments keep all digits (W. Kahan).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal.export._graph import Graph, Value, Var

Rule = Callable[..., Any]  # of a graph, inputs, shape, dtype and parameters: a value, or a list of them
RULES: dict[str, Rule] = {}
ONE = np.ones(())
INT64, BOOL = 7, 9  # `onnx.TensorProto.DataType`


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers a rule under names of primitives."""

    def put(made: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, made))
        return made

    return put


def _elementwise(operation: str) -> Rule:
    return lambda graph, inputs, shape, dtype, _: graph.add(
        operation, *aligned(graph, inputs, shape), shape=shape, dtype=dtype
    )


def aligned(graph: Graph, inputs: list[Value], shape: tuple[int, ...]) -> list[Value]:
    """Inputs that are one number a row get axes of length 1, so that they meet whole rows."""
    return [
        graph.reshaped(x, (1,) * len(shape)) if isinstance(x, Var) and not x.shape and shape else x
        for x in inputs
    ]


_DIRECT = {
    "Abs": ("abs",),
    "Acos": ("acos",),
    "Add": ("add_any",),
    "And": ("and",),
    "Asin": ("asin",),
    "Asinh": ("asinh",),
    "Atan": ("atan",),
    "Atanh": ("atanh",),
    "Ceil": ("ceil",),
    "Cos": ("cos",),
    "Cosh": ("cosh",),
    "Equal": ("eq",),
    "Erf": ("erf",),
    "Exp": ("exp",),
    "Floor": ("floor",),
    "Greater": ("gt",),
    "GreaterOrEqual": ("ge",),
    "Less": ("lt", "lt_to"),
    "LessOrEqual": ("le", "le_to"),
    "Log": ("log",),
    "Max": ("max",),
    "Min": ("min",),
    "Neg": ("neg",),
    "Not": ("not",),
    "Or": ("or",),
    "Pow": ("pow",),
    "Sigmoid": ("logistic",),
    "Sign": ("sign",),
    "Sin": ("sin",),
    "Sinh": ("sinh",),
    "Sqrt": ("sqrt",),
    "Tan": ("tan",),
    "Tanh": ("tanh",),
    "Xor": ("xor",),
}
for _operation, _names in _DIRECT.items():
    rule(*_names)(_elementwise(_operation))


def _arithmetic(operation: str, neutral: float, first_too: bool) -> Rule:
    """An operation of two values, left out where a constant changes nothing."""

    def made(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: np.dtype, _: Any) -> Value:
        a, b = aligned(graph, inputs, shape)
        if isinstance(a, Var) and not isinstance(b, Var) and a.shape == shape and np.all(b == neutral):
            return a
        if first_too and isinstance(b, Var) and not isinstance(a, Var) and np.all(a == neutral):
            return b if b.shape == shape else graph.add(operation, a, b, shape=shape)
        return graph.add(operation, a, b, shape=shape, dtype=dtype)

    return made


rule("add")(_arithmetic("Add", 0.0, True))
rule("sub")(_arithmetic("Sub", 0.0, False))
rule("mul")(_arithmetic("Mul", 1.0, True))
rule("div")(_arithmetic("Div", 1.0, False))


@rule("stop_gradient", "copy", "copy_p", "reduce_precision", "optimization_barrier")
def _same(graph: Graph, inputs: list[Value], *_: Any) -> list[Value]:
    return inputs


@rule("ne")
def _differ(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    same = graph.add("Equal", *aligned(graph, inputs, shape), shape=shape, dtype=bool)
    return graph.add("Not", same, shape=shape)


@rule("square")
def _square(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    return graph.add("Mul", inputs[0], inputs[0], shape=shape)


@rule("rsqrt")
def _rsqrt(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    return graph.add("Reciprocal", graph.add("Sqrt", inputs[0], shape=shape), shape=shape)


@rule("integer_pow")
def _whole_power(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    base, y = inputs[0], abs(more["y"])
    power, result = base, None
    while y:  # by squares, as XLA does it
        if y & 1:
            result = power if result is None else graph.add("Mul", result, power, shape=shape)
        y >>= 1
        power = graph.add("Mul", power, power, shape=shape) if y else power
    if result is None:
        return np.ones(shape)
    return graph.add("Reciprocal", result, shape=shape) if more["y"] < 0 else result


@rule("exp2")
def _exp2(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    scaled = graph.add("Mul", inputs[0], np.asarray(math.log(2.0)), shape=shape)
    return graph.add("Exp", scaled, shape=shape)


@rule("log1p")
def _log1p(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    """With u the rounded 1 + x: x where u = 1, else x log(u) / (u - 1), right to a few roundings; inf at inf."""
    x = inputs[0]
    put = lambda operation, *parts, dtype=None: graph.add(operation, *parts, shape=shape, dtype=dtype)
    u = put("Add", x, ONE)
    less = put("Sub", u, ONE)
    log = put("Log", u)
    plain = put(
        "Or",
        put("Equal", less, np.zeros(()), dtype=bool),
        put("Equal", u, np.asarray(np.inf), dtype=bool),
    )
    ratio = put("Div", put("Mul", x, log), put("Where", plain, ONE, less, dtype=np.float64))
    return put("Where", plain, x, ratio, dtype=np.float64)


@rule("expm1")
def _expm1(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    """With u the rounded e^x and |x| < 1/2: x where u = 1, else (u - 1) x / log(u); e^x - 1 beyond."""
    x = inputs[0]
    put = lambda operation, *parts, dtype=None: graph.add(operation, *parts, shape=shape, dtype=dtype)
    near = put("Less", put("Abs", x), np.asarray(0.5), dtype=bool)
    u = put("Exp", x)
    less = put("Sub", u, ONE)
    same = put("Equal", less, np.zeros(()), dtype=bool)
    log = put("Log", put("Where", put("And", near, put("Not", same)), u, np.full((), 2.0), dtype=np.float64))
    small = put("Where", same, x, put("Div", put("Mul", less, x), log), dtype=np.float64)
    return put("Where", near, small, less, dtype=np.float64)


@rule("is_finite")
def _finite(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    size = graph.add("Abs", inputs[0], shape=shape)
    return graph.add("Less", size, np.asarray(np.inf), shape=shape, dtype=bool)


@rule("clamp")
def _clamp(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: np.dtype, _: Any) -> Value:
    low, x, high = aligned(graph, inputs, shape)
    if isinstance(low, Var) or np.any(low > -np.inf):
        x = graph.add("Max", x, low, shape=shape, dtype=dtype)
    if isinstance(high, Var) or np.any(high < np.inf):
        x = graph.add("Min", x, high, shape=shape, dtype=dtype)
    return x


@rule("select_n")
def _select(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: np.dtype, _: Any) -> Value:
    which, *cases = inputs
    if not isinstance(which, Var) and (which.ndim == 0 or np.all(which == which.flat[0])):
        return cases[int(which.flat[0])]
    if len(cases) != 2:
        raise InputError("The flow chooses among more than two values, which no ONNX graph of Shoal holds.")
    which, *cases = aligned(
        graph, [np.asarray(which, bool) if isinstance(which, np.ndarray) else which, *cases], shape
    )
    return graph.add("Where", which, cases[1], cases[0], shape=shape, dtype=dtype)


@rule("convert_element_type")
def _converted(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: np.dtype, _: Any) -> Value:
    x = inputs[0]
    assert isinstance(x, Var)
    of_numbers = {"f": "f", "i": "i", "u": "i", "b": "b"}
    if of_numbers[x.dtype.kind] == of_numbers[np.dtype(dtype).kind]:
        return x
    kind = of_numbers[np.dtype(dtype).kind]
    if kind == "f":
        return graph.add("CastToFloat", x, shape=shape, dtype=np.float64)
    to = {"i": INT64, "b": BOOL}[kind]
    return graph.add("Cast", x, shape=shape, dtype=dtype, to=to)


def _reduction(operation: str) -> Rule:
    def made(graph: Graph, inputs: list[Value], shape: Any, dtype: np.dtype, more: Any) -> Value:
        if not more["axes"]:
            return inputs[0]
        axes = np.asarray([axis + 1 for axis in more["axes"]], np.int64)
        return graph.add(operation, inputs[0], axes, shape=shape, dtype=dtype, keepdims=0)

    return made


for _name, _operation in (("sum", "Sum"), ("max", "Max"), ("min", "Min"), ("prod", "Prod")):
    rule(f"reduce_{_name}")(_reduction(f"Reduce{_operation}"))


def _truth(operation: str) -> Rule:
    """A reduction of truth values, as whole numbers."""

    def made(graph: Graph, inputs: list[Value], shape: Any, dtype: np.dtype, more: Any) -> Value:
        x = inputs[0]
        whole = graph.add("Cast", x, shape=x.shape, dtype=np.int64, to=INT64)
        found = _reduction(operation)(graph, [whole], shape, np.dtype(np.int64), more)
        return graph.add("Cast", found, shape=shape, dtype=bool, to=BOOL)

    return made


rule("reduce_and")(_truth("ReduceMin"))
rule("reduce_or")(_truth("ReduceMax"))


@rule("cumsum")
def _cumsum(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: np.dtype, more: Any) -> Value:
    axis = np.asarray(more["axis"] + 1, np.int64)
    return graph.add("CumSum", inputs[0], axis, shape=shape, reverse=int(more["reverse"]))


def reshaped(graph: Graph, x: Value, shape: tuple[int, ...]) -> Value:
    if not isinstance(x, Var):
        return x.reshape(shape)
    return graph.reshaped(x, shape)


@rule("reshape", "squeeze", "expand_dims")
def _reshape(graph: Graph, inputs: list[Value], shape: tuple[int, ...], *_: Any) -> Value:
    return reshaped(graph, inputs[0], shape)


def transposed(graph: Graph, x: Value, order: tuple[int, ...]) -> Value:
    if not isinstance(x, Var):
        return x.transpose(order)
    if order == tuple(range(len(order))):
        return x
    shape = tuple(x.shape[i] for i in order)
    moving = [i for i in order if x.shape[i] != 1]
    if moving == sorted(moving):  # axes of length 1 alone change their place
        return reshaped(graph, x, shape)
    return graph.add("Transpose", x, shape=shape, perm=[0, *(i + 1 for i in order)])


@rule("transpose")
def _transpose(graph: Graph, inputs: list[Value], shape: Any, dtype: Any, more: Any) -> Value:
    return transposed(graph, inputs[0], tuple(more["permutation"]))


@rule("broadcast_in_dim")
def _broadcast(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x = inputs[0]
    places = dict(zip(more["broadcast_dimensions"], x.shape, strict=True))
    x = reshaped(graph, x, tuple(places.get(i, 1) for i in range(len(shape))))
    if x.shape == shape:
        return x
    return graph.add("Expand", x, np.asarray([1, *shape], np.int64), shape=shape)


@rule("concatenate")
def _concatenate(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    axis = more["dimension"]
    parts = [x for x in inputs if x.shape[axis]]
    parts = [x if isinstance(x, Var) else graph.with_batch(np.asarray(x)) for x in parts]
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, shape=shape, axis=axis + 1)


@rule("stack")
def _stack(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    axis = more.get("axis", more.get("dimension", 0))
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [reshaped(graph, x, one) for x in inputs]
    return _concatenate(graph, parts, shape, dtype, {"dimension": axis})


@rule("slice")
def _slice(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, steps = inputs[0], more["strides"] or (1,) * len(shape)
    cut = [i for i in range(len(shape)) if shape[i] != x.shape[i] or steps[i] != 1]
    if not cut:
        return x
    starts, ends = ([more[which][i] for i in cut] for which in ("start_indices", "limit_indices"))
    parts = (starts, ends, [i + 1 for i in cut], [steps[i] for i in cut])
    return graph.add("Slice", x, *(np.asarray(part, np.int64) for part in parts), shape=shape)


@rule("split")
def _split(graph: Graph, inputs: list[Value], shape: Any, dtype: Any, more: Any) -> list[Value]:
    x, axis, start, parts = inputs[0], more["axis"], 0, []
    for size in more["sizes"]:
        index = np.arange(start, start + size, dtype=np.int64)
        kept = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        parts.append(graph.add("Gather", x, index, shape=kept, axis=axis + 1) if size else np.zeros(kept))
        start += size
    return parts


@rule("pad")
def _pad(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x, value = inputs
    low, high, inner = zip(*more["padding_config"], strict=True)
    if isinstance(value, Var) or any(inner):
        raise InputError("The flow pads an array in a way that no ONNX graph of Shoal holds.")
    if not isinstance(x, Var):
        x = graph.with_batch(x)
    widths = np.asarray([0, *low, 0, *high], np.int64)
    return graph.add("Pad", x, widths, value, shape=shape)


def moved(graph: Graph, x: Var, source: np.ndarray) -> Value:
    """The entries of x, flat, at the places `source`, in the shape of `source`."""
    flat = reshaped(graph, x, (math.prod(x.shape),))
    assert isinstance(flat, Var)
    taken = source.reshape(-1).astype(np.int64)
    one = graph.add("Gather", flat, taken, shape=(source.size,), axis=1)
    return reshaped(graph, one, source.shape)


@rule("rev")
def _reversed(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    x = inputs[0]
    assert isinstance(x, Var)
    return moved(graph, x, np.flip(np.arange(math.prod(shape)).reshape(shape), more["dimensions"]))


@rule("triangular_solve")
def _solve(graph: Graph, inputs: list[Value], shape: tuple[int, ...], dtype: Any, more: Any) -> Value:
    """A product with the inverse of the constant matrix, which is computed here, in float64."""
    a, b = inputs
    if isinstance(a, Var):
        raise InputError(
            "The flow solves with a matrix that depends on the row, which no ONNX graph of Shoal holds."
        )
    a = np.tril(a) if more["lower"] else np.triu(a)
    if more["unit_diagonal"]:
        a = a - a * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    inverse = np.linalg.inv(a)
    inverse = np.swapaxes(inverse, -1, -2) if more["transpose_a"] else inverse
    assert isinstance(b, Var)
    if a.ndim > 2:
        raise InputError("The flow solves with several matrices at once, which no ONNX graph of Shoal holds.")
    if not more["left_side"]:
        return graph.times(b, inverse)
    turned = transposed(graph, b, (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2))
    assert isinstance(turned, Var)
    found = graph.times(turned, inverse.T)
    return transposed(graph, found, (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2))
