"""Flows as plain PyTorch: `flow.py`, a text without Shoal or JAX in it, and `flow.pt`, its classes and weights."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.bijections import Chain, Scan
from shoal.distributions import Flow
from shoal.export._check import Exported, agreement, points
from shoal.export._graph import Dtype
from shoal.export._programs import checked, draw_of, latents, programs
from shoal.flows import encode
from shoal.records import write_bytes, write_text

TEXTS, BODY = ("_torch_layers.py", "_torch_flow.py"), "\nREACH, MOST, LEAST"


def to_torch(
    flow: object,
    folder: str | os.PathLike[str],
    *,
    rows: ArrayLike | None = None,
    context: ArrayLike | None = None,
    dtype: Dtype | None = None,
) -> tuple[Exported, ...]:
    """Writes `flow.py` and `flow.pt` into `folder`: a `torch.nn.Module` with the flow's numbers, to use and to train on.

        from flow import load
        flow = load("flow.pt"); flow.log_prob(x), flow.inverse(x), flow.sample(1000)

    Modules, parameters and formulas are Shoal's, under the same names; what Shoal holds fixed is a buffer. It is loaded
    from its file and held against float64 before the files are put in place.

    **Arguments:** `rows`, `context`: as in `to_onnx`; `dtype`: of the weights (None: the flow's).
    **Returns:** what was written. **Raises:** `InputError` for a flow with a layer that has no such module, or with another
    base; `NumericalFailure`, and no file, where the numbers differ; ImportError without torch.
    """
    import torch  # here: only who exports needs it

    known = checked(flow)
    kind = dtype or str(known.dtype)
    draw_of(known.base)
    tree, arrays = encode(_without_scans(known))
    from shoal.export import _torch_flow

    for name in _classes(tree):
        if name not in _torch_flow.PARTS:
            raise InputError(
                f"The flow holds {name}, which has no module in PyTorch; export it by `to_onnx`."
            )
    found, checks, data = points(known, rows, context, kind), {}, b""
    for precision in dict.fromkeys(("float64", kind)):
        state = {name: _tensor(torch, value, precision) for name, value in arrays.items()}
        file = io.BytesIO()
        torch.save({"tree": tree, "state": state}, file)
        data = file.getvalue()
        module = _torch_flow.load(io.BytesIO(data))
        calls = {"log_prob": module.log_prob, "inverse": module.inverse, "sample": module}
        for program in programs(known):
            run = _called(torch, known, calls[program.name])
            checks[program.name] = agreement(known, program, found, run, precision, precision)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    write_text(text(), place / "flow.py")
    write_bytes(data, place / "flow.pt")
    return tuple(Exported(name, place / "flow.pt", len(data), check) for name, check in checks.items())


def text() -> str:
    """`flow.py`: the two parts as one, what the second imports of the first left out."""
    first, second = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in TEXTS)
    return f"{first.rstrip()}\n\n{second[second.index(BODY) :]}"


def _without_scans(flow: Any) -> Any:
    """The same flow, its stacked layers one by one."""

    def one(part: Any) -> Any:
        return Chain([_without_scans(unit) for unit in part.units()]) if isinstance(part, Scan) else part

    return jax.tree.map(one, flow, is_leaf=lambda part: isinstance(part, Scan))


def _classes(node: Any) -> Iterator[str]:
    """The names of the classes in a tree."""
    if isinstance(node, list):
        for part in node:
            yield from _classes(part)
    elif isinstance(node, dict) and "class" in node:
        yield node["class"]
        yield from _classes(list(node["fields"].values()))


def _tensor(torch: Any, value: np.ndarray, precision: str) -> Any:
    kinds = {"f": precision, "i": "int64", "b": "bool"}
    return torch.from_numpy(np.array(value, kinds[value.dtype.kind]))


def _called(
    torch: Any, flow: Flow, call: Callable[..., Any]
) -> Callable[[dict[str, FloatArray]], FloatArray]:
    """What the module gives; samples are those of the latents that Shoal makes of the numbers."""

    def run(inputs: dict[str, FloatArray]) -> FloatArray:
        first = next(iter(inputs.values()))
        if "normal" in inputs:
            first = latents(flow, inputs).astype(first.dtype)
        given = [first, *([inputs["context"]] if "context" in inputs else [])]
        with torch.no_grad():
            return call(*(torch.from_numpy(np.array(part)) for part in given)).numpy()

    return run
