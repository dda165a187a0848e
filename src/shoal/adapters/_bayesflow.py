"""bayesflow 2: coupling flows from data to latent, so that f is their inverse, with JAX or torch behind Keras.

An approximator's map is in the units of its `inference_variables`, as its `adapter` makes them of the user's tables, with
its standardisation; the context of a row is its `inference_conditions`, then its `summary_variables`, all in one row of
numbers, which go through standardisation and summary network. What is audited is a copy.

S. T. Radev and others, BayesFlow: amortized Bayesian workflows with neural networks, JOSS 8(89), 2023.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from bayesflow import BasicWorkflow
from bayesflow.approximators import ContinuousApproximator
from bayesflow.networks import CouplingFlow

from shoal._errors import InputError
from shoal.adapters._layers import wrong_kind
from shoal.conditioning import AbstractMap

VARIABLES = "inference_variables"
CONTEXT = ("inference_conditions", "summary_variables")


class Layer(NamedTuple):
    """A single map: `run(points, context, inverse)` -> images and log-dets; `owners`: the Keras layers that it needs."""

    name: str
    run: Callable[[Any, Any, bool], tuple[Any, Any]]
    owners: Sequence[keras.Layer]


def to_map(flow: object, shape: tuple[int, ...] | None) -> AbstractMap:
    """See `adapters.to_map`."""
    given: Any = flow.approximator if isinstance(flow, BasicWorkflow) else flow
    network = given.inference_network if isinstance(given, ContinuousApproximator) else given
    if not isinstance(network, CouplingFlow):
        raise wrong_kind(network, "a bayesflow CouplingFlow, an approximator or a workflow with one")
    if not given.built:
        raise InputError("This bayesflow approximator is not built yet: train it first.")
    backend = keras.config.backend()
    if backend not in ("jax", "torch"):
        raise InputError(f"`adapters.to_map` takes bayesflow on JAX or torch; this one runs on {backend}.")
    base = network.base_distribution
    plain = type(base).__name__ == "DiagonalNormal" and not base.trainable_parameters
    standard = plain and not _numpy(base.mean).any() and bool((_numpy(base.std) == 1).all())
    latent = "StandardNormal" if standard else type(base).__name__
    library = importlib.import_module(f"shoal.adapters._bayesflow_{backend}")
    return library.to_map(given, _shapes(given), latent)


def layers(given: Any) -> list[Layer]:
    """The single maps of an approximator or a flow, latent to data."""
    if isinstance(given, CouplingFlow):
        return [_coupling(layer, lambda context: context, []) for layer in reversed(given.invertible_layers)]
    owners = [part for part in (given.standardizer, given.summary_network) if part is not None]
    embed = lambda context: _embedded(given, context)
    found = [_coupling(layer, embed, owners) for layer in reversed(given.inference_network.invertible_layers)]
    if VARIABLES in given.standardizer.standardize:
        found.append(_standardized(given.standardizer.standardize_layers[VARIABLES]))
    return found


def set_precision(given: Any, precision: str) -> None:
    """Of a copy: what Keras casts variables and inputs to."""
    for layer in given._flatten_layers():
        layer.dtype_policy = keras.DTypePolicy(precision)


def _shapes(given: Any) -> dict[str, tuple[int, ...]]:
    """Of one row of each variable."""
    built = given._build_shapes_dict  # Keras names a lone argument anew in a copy
    if isinstance(given, CouplingFlow):
        alone = built.get("input_shape")
        found = {VARIABLES: built.get("xz_shape", alone), CONTEXT[0]: built.get("conditions_shape")}
    else:
        found = built.get("data_shapes", built.get("input_shape"))
    return {name: tuple(shape[1:]) for name, shape in found.items() if shape is not None}


def _coupling(layer: Any, embed: Callable[[Any], Any], owners: Sequence[keras.Layer]) -> Layer:
    def run(points: Any, context: Any, inverse: bool) -> tuple[Any, Any]:
        return layer(points, conditions=embed(context), inverse=not inverse, training=False)

    return Layer(type(layer).__name__, run, [layer, *owners])


def _standardized(layer: Any) -> Layer:
    def run(points: Any, context: Any, inverse: bool) -> tuple[Any, Any]:
        return layer(points, stage="inference", forward=inverse, log_det_jac=True)

    return Layer(type(layer).__name__, run, [layer])


def _embedded(given: Any, context: Any) -> Any:
    """What the flow is conditioned on, of a row of numbers (rows, c)."""
    shapes = {name: shape for name, shape in _shapes(given).items() if name in CONTEXT}
    if not shapes:
        return None
    if context is None:
        raise InputError("This bayesflow flow is conditional: give a context.")
    found, start = [], 0
    for name in [name for name in CONTEXT if name in shapes]:
        size = math.prod(shapes[name])
        part = keras.ops.reshape(context[:, start : start + size], (-1, *shapes[name]))
        part = given.standardizer.maybe_standardize(part, key=name, stage="inference")
        found.append(given.summary_network(part, training=False) if name == CONTEXT[1] else part)
        start += size
    return keras.ops.concatenate(found, axis=-1)


def _numpy(values: Any) -> Any:
    return keras.ops.convert_to_numpy(values)
