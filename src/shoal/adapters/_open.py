"""The six public functions. Each loads its library's file when called, so that none of the six has to be installed.

`importlib` does that, in place of an import statement: the files behind it import their libraries at their head.
What comes of a torch library is computed on the CPU, on copies in each precision and in evaluation mode.
"""

import importlib
import importlib.util
from types import ModuleType

from shoal.conditioning import AbstractMap


def zuko(flow: object, *, shape: tuple[int, ...] | None = None) -> AbstractMap:
    """A `zuko.lazy.Flow`, or its lazy transform, as it is now; context c is what the flow is called with.

    x = f(z), f the inverse of `flow(c).transform`, which zuko takes from data to latent.

    **Arguments:** `flow`: its parameters are copied, its layers are its lazy transforms; `shape`: (n,), where the flow's
    base can not tell, as that of a lone transform or of a base with context.

    **Returns:** the map, computed on the CPU, on copies in each precision and in evaluation mode.

    **Raises:** ImportError without zuko; InputError for another object, or a missing `shape`.

    **Reference:** F. Rozet and others, Zuko: normalizing flows in PyTorch, 2022.
    """
    return _load("zuko", "zuko", "zuko").to_map(flow, shape)


def nflows(flow: object, *, shape: tuple[int, ...] | None = None) -> AbstractMap:
    """An `nflows.flows.Flow`, or a `Transform` data -> latent, as it is now; context goes through the embedding net.

    x = f(z), f the inverse of the flow's transform, which nflows takes from data to latent.

    **Arguments:** `flow`: its parameters are copied, its layers are those of its composite transforms; `shape`: of one
    latent point, where the flow's distribution can not tell, as with a lone transform.

    **Returns:** the map, computed on the CPU, on copies in each precision and in evaluation mode.

    **Raises:** ImportError without nflows; InputError for another object, or a missing `shape`.

    **Reference:** C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, nflows: normalizing flows in PyTorch, 2020.
    """
    return _load("nflows", "nflows", "nflows").to_map(flow, shape)


def normflows(flow: object, *, shape: tuple[int, ...] | None = None) -> AbstractMap:
    """A `normflows.NormalizingFlow` (conditional or not), or a single `Flow` latent -> data, as it is now.

    x = f(z), f the flow's `forward`, which normflows takes from latent to data.

    **Arguments:** `flow`: its parameters are copied, its layers are its `flows`; `shape`: of one latent point, where the
    base can not tell, as with a lone `Flow` or a conditional base.

    **Returns:** the map, computed on the CPU, on copies in each precision and in evaluation mode; log-dets are summed in
    that precision, where normflows itself sums in float32.

    **Raises:** ImportError without normflows; InputError for another object, a missing `shape`, or an `ActNorm` that has
    seen no data.

    **Reference:** V. Stimper and others, normflows: a PyTorch package for normalizing flows, JOSS 8(86), 2023.
    """
    return _load("normflows", "normflows", "normflows").to_map(flow, shape)


def freia(inn: object) -> AbstractMap:
    """A FrEIA `SequenceINN` or `GraphINN` with one input, as it is now; context is its only condition.

    x = f(z), f the network with `rev=True`, which FrEIA otherwise takes from data to latent. Several outputs of a graph
    are one latent vector, in their order.

    **Arguments:** `inn`: its parameters are copied; its layers are its modules, or itself where a graph branches.

    **Returns:** the map, computed on the CPU, on copies in each precision and in evaluation mode.

    **Raises:** ImportError without FrEIA; InputError for another object, several inputs, several conditions, or an
    `ActNorm` that has seen no data.

    **Reference:** L. Ardizzone and others, Framework for Easily Invertible Architectures (FrEIA), 2018-2022.
    """
    return _load("freia", "FrEIA", "FrEIA").to_map(inn)


def flowjax(flow: object) -> AbstractMap:
    """A flowjax `Transformed` distribution or an `AbstractBijection`; context is flowjax's `condition`.

    x = f(z), f the bijection's `transform`, latent to data as in Shoal. `Chain`, `Scan` and `Invert` are taken apart into
    single layers; a `Transformed` base adds its bijection before. Not in bfloat16, into which flowjax mixes float32.

    **Raises:** ImportError without flowjax; InputError for another object.

    **Reference:** D. Ward, FlowJax: distributions and normalizing flows in JAX, 2023.
    """
    return _load("flowjax", "flowjax", "FlowJAX").to_map(flow)


def distrax(flow: object, *, shape: tuple[int, ...] | None = None) -> AbstractMap:
    """A distrax `Transformed` distribution or a `Bijector`; distrax has no context.

    x = f(z), f the bijector's `forward`, latent to data as in Shoal. `Chain` and `Inverse` are taken apart into single
    layers; a `Transformed` base adds its bijector before. Arrays that a bijector's functions close over, and log-dets that
    it worked out when it was made, keep their precision.

    **Arguments:** `flow`: without batches; `shape`: of one latent point, needed with a lone bijector.

    **Raises:** ImportError without distrax; InputError for another object, a missing `shape`, or batches.

    **Reference:** I. Babuschkin and others, The DeepMind JAX Ecosystem, 2020.
    """
    return _load("distrax", "distrax", "distrax").to_map(flow, shape)


def _load(extra: str, library: str, spelled: str) -> ModuleType:
    """The adapter's file. **Raises:** ImportError where its library is not installed."""
    if importlib.util.find_spec(library) is None:
        raise ImportError(f'{spelled} is not installed: run `pip install "shoal[{extra}]"`.', name=library)
    return importlib.import_module(f"shoal.adapters._{extra}")
