"""The ONNX graph as it is written: values of one row each, the batch in front, constants in float64 to the end.

A `Value` is a constant (a NumPy array without batch) or a `Var`, a tensor of the graph of shape (rows, *shape). Floating
constants are rounded once, to the dtype of the graph, when the model is made. Nodes that nothing needs are left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

OPSET = (
    18  # the first one in which all reductions take their axes as an input; onnxruntime reads it since 1.14
)
IR_VERSION = 8  # of onnx 1.13, which brought that opset
Dtype: TypeAlias = Literal["float32", "float64"]


@dataclass(frozen=True, eq=False)
class Var:
    """A tensor (rows, *shape) of the graph; `dtype` as it was traced: float64, int32, int64 or bool."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


Value: TypeAlias = Var | np.ndarray


class Graph:
    """Nodes in the order in which they are computed, and the constants that they take."""

    def __init__(self, inputs: Mapping[str, int]):
        self.inputs = dict(inputs)
        self._nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self._constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple, str] = {}
        self._sources: dict[str, Var] = {}
        self._products: dict[str, tuple[Var, np.ndarray]] = {}
        self._first = next(iter(inputs))

    def given(self, name: str) -> Var:
        """The input of that name."""
        return Var(name, (self.inputs[name],), np.dtype(np.float64))

    def constant(self, array: np.ndarray) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.asarray(array, order="C")
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self._constants[self._known[key]] = array
        return self._known[key]

    def add(
        self,
        operation: str,
        *inputs: Value,
        shape: tuple[int, ...],
        dtype: np.dtype | type | None = None,
        **attributes: Any,
    ) -> Var:
        """A node of one output, whose rows have `shape`; `dtype`: that of the first tensor where it is None."""
        names = [value.name if isinstance(value, Var) else self.constant(value) for value in inputs]
        kind = next(value.dtype for value in inputs if isinstance(value, Var)) if dtype is None else dtype
        output = self._name(operation, names, attributes)
        return Var(output, tuple(shape), np.dtype(np.int64 if np.dtype(kind).kind in "iu" else kind))

    def reshaped(self, x: Var, shape: tuple[int, ...]) -> Var:
        """The same entries as rows of another shape; back again is x itself."""
        source = self._sources.get(x.name, x)
        if shape in (x.shape, source.shape):
            return x if shape == x.shape else source
        made = self.add("Reshape", source, np.asarray([0, *shape], np.int64), shape=shape)
        self._sources[made.name] = source
        return made

    def times(self, x: Var, matrix: np.ndarray) -> Var:
        """x @ matrix, over the last axis of x. A product of a product becomes one matrix, in float64."""
        if x.name in self._products:
            source, first = self._products[x.name]
            if matrix.ndim == 2 and math.prod((first.shape[0], matrix.shape[1])) <= first.size + matrix.size:
                return self.times(source, first @ matrix)
        made = self.add("MatMul", x, matrix, shape=(*x.shape[:-1], matrix.shape[-1]))
        if matrix.ndim == 2:
            self._products[made.name] = (x, matrix)
        return made

    def with_batch(self, array: np.ndarray) -> Var:
        """A constant for every row."""
        rows = self._name("Shape", [self._first], {"start": 0, "end": 1})
        size = self.constant(np.asarray(array.shape, np.int64))
        shape = self._name("Concat", [rows, size], {"axis": 0}) if array.ndim else rows
        name = self._name("Expand", [self.constant(array[None]), shape], {})
        return Var(name, array.shape, array.dtype)

    def model(
        self,
        outputs: Mapping[str, Value],
        notes: Mapping[str, str],
        inside: Dtype,
        outside: Dtype | None = None,
    ) -> Any:
        """The `onnx.ModelProto` with these outputs; `notes` are its metadata.

        `inside`: of its constants and what it computes; `outside`: of its inputs and outputs (None: the same).
        """
        import onnx  # here: only who exports needs it
        from onnx import helper

        kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(one)) for one in (inside, outside or inside)]
        values = {
            name: value if isinstance(value, Var) else self.with_batch(np.asarray(value, np.float64))
            for name, value in outputs.items()
        }
        needed = self._needed([var.name for var in values.values()])
        used = {name for _, inputs, _, _ in needed for name in inputs} | {v.name for v in values.values()}
        given = {name: f"{name}_inside" for name in self.inputs if name in used}
        cast = helper.make_node
        nodes = [cast("Cast", [name], [inner], to=kinds[0]) for name, inner in given.items()]
        for operation, inputs, output, more in needed:
            if operation == "CastToFloat":
                operation, more = "Cast", {"to": kinds[0]}
            nodes.append(helper.make_node(operation, [given.get(v, v) for v in inputs], [output], **more))
        for name, var in values.items():
            nodes.append(cast("Cast", [given.get(var.name, var.name)], [name], to=kinds[1]))
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            notes.get("graph", "shoal"),
            [info(name, kinds[1], ["rows", self.inputs[name]]) for name in given],
            [info(name, kinds[1], ["rows", *var.shape]) for name, var in values.items()],
            [
                onnx.numpy_helper.from_array(_rounded(array, inside), name)
                for name, array in self._constants.items()
                if name in used
            ],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, producer_name="shoal", ir_version=IR_VERSION)
        helper.set_model_props(model, dict(notes))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, operation: str, inputs: list[str], attributes: dict[str, Any]) -> str:
        key = (operation, tuple(inputs), repr(sorted(attributes.items())))
        if key not in self._known:
            self._known[key] = f"v{len(self._known)}"
            self._nodes.append((operation, inputs, self._known[key], attributes))
        return self._known[key]

    def _needed(self, outputs: Sequence[str]) -> list[tuple[str, list[str], str, dict[str, Any]]]:
        """The nodes that the outputs need, in order."""
        wanted, kept = set(outputs), []
        for node in reversed(self._nodes):
            if node[2] in wanted:
                wanted.update(node[1])
                kept.append(node)
        return kept[::-1]


def _rounded(array: np.ndarray, dtype: Dtype) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):  # a bound beyond the dtype is its infinity
        return array.astype(dtype)
