"""The way out: fitted flows as ONNX graphs, as plain PyTorch, and as distributions of numpyro and distrax.

Each needs an extra of its name (`pip install "shoal[onnx]"`); none is imported before it is used.

Where to look: ONNX, `_onnx.py`, its graph, `_trace.py`, and what each operation becomes, `_rules.py`; PyTorch, `_torch.py`;
numpyro and distrax, `_distributions.py`; whether it gives the same numbers, `_check.py`.
"""

from shoal.export._distributions import to_distrax as to_distrax
from shoal.export._distributions import to_numpyro as to_numpyro
from shoal.export._onnx import to_onnx as to_onnx
from shoal.export._torch import to_torch as to_torch
