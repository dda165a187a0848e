"""The models of the padding study: one RealNVP on R^m, or on R^{2m} with as many padding coordinates as data."""

from typing import Any

import equinox as eqx
import jax.random as jr

from shoal._types import Key
from shoal.bijections import AbstractBijection, Chain, ExponentialScale, OnPart, Partition, SoftBoundedScale
from shoal.distributions import (
    AbstractPadding,
    Dequantized,
    Flow,
    GaussianClampedPadding,
    GaussianPadding,
    Padded,
    ZeroDequantizedPadding,
    ZeroPadding,
)
from shoal.flows import realnvp

from .grid import Cell
from .padding_data import Data

SCALES = {"exponential": ExponentialScale, "soft-bounded": SoftBoundedScale}


def padding_of(name: str, size: int) -> AbstractPadding | None:
    """The padding of that name, None for "none". **Raises:** ValueError for an unknown name."""
    made = {
        "none": lambda: None,
        "zero": lambda: ZeroPadding(size),
        "gaussian": lambda: GaussianPadding(size),
        "zero-dequantized": lambda: ZeroDequantizedPadding(size, 1.0 / 256.0),
        "gaussian-clamped": lambda: GaussianClampedPadding(size),
    }
    if name not in made:
        raise ValueError(f"`padding` must be one of {', '.join(made)}; got {name!r}.")
    return made[name]()


def build(key: Key, cell: Cell, data: Data) -> Any:
    """An untrained model: `Flow` or `Padded` for planar targets, either within `Dequantized` for images."""
    config: Any = cell.config
    k_flow, k_padding, k_noise = jr.split(key, 3)
    padding = padding_of(config["padding"], data.dim)
    whole = data.dim if padding is None else 2 * data.dim
    joint = realnvp(
        k_flow,
        whole,
        config["depth"],
        hidden=(config["hidden"],) * 2,
        scale=SCALES[config["scale"]](),
        partition=config["partition"],
    )
    if data.pixels is not None:
        last = data.pixels if padding is None else OnPart(data.pixels, _padding_kept(data.dim, whole))
        joint = Flow(joint.base, Chain([joint.bijection, last]))
    density = joint if padding is None else Padded(joint, padding, key=k_padding)
    return density if data.levels is None else Dequantized(density, data.levels, key=k_noise)


def density_of(model: Any) -> Any:
    """The model without its dequantization: a `Flow` or a `Padded`."""
    return model.density if isinstance(model, Dequantized) else model


def with_padding(model: Any, padding: AbstractPadding) -> Any:
    """The same joint, padded by another law: for a model with padding."""
    if isinstance(model, Dequantized):
        return eqx.tree_at(lambda m: m.density, model, with_padding(model.density, padding))
    return Padded(model.joint, padding, key=jr.wrap_key_data(model.noise.words))


def core(model: Any, data: Data) -> AbstractBijection:
    """The trained bijection, latent -> standardised data with its padding: without the fixed map to pixels."""
    bijection: Any = density_of(model).bijection
    return bijection if data.pixels is None else bijection.bijections[0]


def _padding_kept(dim: int, whole: int) -> Partition:
    return Partition(whole, range(dim, whole))
