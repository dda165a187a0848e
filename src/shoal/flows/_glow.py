"""Glow (Kingma and Dhariwal 2018): actnorm, invertible 1x1 convolution, convolutional coupling, at several scales."""

from typing import Literal, TypeAlias, get_args

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg

from shoal._errors import InputError
from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractScaleMap,
    Activation,
    ActNorm,
    Affine,
    Chain,
    ChannelPartition,
    DenseLinear,
    LULinear,
    OnPart,
    Permutation,
    PixelWise,
    SoftBoundedScale,
    Squeeze,
    Support,
    convolutional_coupling,
    halves,
)
from shoal.distributions import Flow
from shoal.flows._common import Settings, check_sizes, flow, stack
from shoal.flows._linear import from_factors
from shoal.theory.linear import Effort, factor

Mixing: TypeAlias = Literal["lu", "plain", "couplings"]


def glow(
    key: Key,
    image_shape: tuple[int, int, int],
    depth: int,
    *,
    scales: int = 2,
    mixing: Mixing = "lu",
    hidden: tuple[int, ...] = (32, 32),
    kernel: int = 3,
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "relu",
    levels: int | None = None,
    alpha: float = 0.05,
) -> Flow:
    """Glow on images of shape (height, width, channels), as vectors of length height * width * channels.

    From the data: (a `Support` (0, levels), if there are `levels`,) then at each of `scales` scales a squeeze by 2, `depth`
    steps [actnorm, invertible 1x1 convolution, coupling of half of the channels] in a `Scan`, and a split: half of the
    channels become latents, conditioned on the other half by one more convolutional coupling, which is Glow's learned
    prior. The last scale has no split. depth * scales couplings, and scales - 1 for the priors.

    **Arguments:** `mixing`: the 1x1 convolution in "lu" form (cheap log-det, never singular), "plain" (any matrix), or
    as six "couplings" (of a random rotation; never singular, all layers volume preserving at the start);
    `hidden`, `kernel`, `scale`, `activation`: of the couplings' conditioners; `levels`: pixel values are dequantized
    integers 0 ... levels - 1, in (0, levels); `alpha`: of the `Support`. `initialize` sets the actnorms from a batch.
    **Raises:** `InputError` where 2^scales does not divide height and width, or for bad sizes.
    """
    check_sizes(int(np.prod(image_shape)), depth, context_dim)
    if scales < 1:
        raise InputError(f"`scales` must be at least 1; got {scales}.")
    if mixing not in get_args(Mixing):
        raise InputError(f"`mixing` must be one of {', '.join(get_args(Mixing))}; got {mixing!r}.")
    settings = {"hidden": hidden, "kernel": kernel, "context_dim": context_dim, "activation": activation}
    settings["transformer"] = Affine(SoftBoundedScale(2.0) if scale is None else scale)
    body = _scale(key, image_shape, depth, scales, mixing, settings)
    if levels is None:
        return flow(body)
    if levels < 2:
        raise InputError(f"`levels` must be at least 2; got {levels}.")
    return flow(Chain([body, Support(body.shape[0], low=0.0, high=float(levels), alpha=alpha)]))


def _scale(
    key: Key, shape: tuple[int, ...], depth: int, scales: int, mixing: Mixing, settings: Settings
) -> AbstractBijection:
    """One scale and those inside it; forward order, so the inner scales come first and the squeeze last."""
    squeeze = Squeeze(shape, 2)
    h, w, c = squeeze.latent_shape
    k_steps, k_prior, k_inner = jr.split(key, 3)
    steps = stack([_step(k, (h, w, c), mixing, settings) for k in jr.split(k_steps, depth)], 3)
    if scales == 1:
        return Chain([steps, squeeze])
    prior = convolutional_coupling((h, w, c), halves(c), key=k_prior, **settings)
    inner = _scale(k_inner, (h, w, c // 2), depth, scales - 1, mixing, settings)
    # the prior's coupling keeps the channels that go on and moves those that become latents
    stays = ChannelPartition((h, w, c), halves(c).swapped())
    return Chain([OnPart(inner, stays), prior, steps, squeeze])


def _step(key: Key, shape: tuple[int, int, int], mixing: Mixing, settings: Settings) -> AbstractBijection:
    """One step of flow, forward order: coupling, 1x1 convolution, actnorm."""
    k_mix, k_coupling = jr.split(key)
    coupling = convolutional_coupling(shape, halves(shape[2]), key=k_coupling, **settings)
    return Chain(
        [coupling, PixelWise(_mixed(k_mix, shape[2], mixing), shape), PixelWise(ActNorm(shape[2]), shape)]
    )


def _mixed(key: Key, channels: int, mixing: Mixing) -> AbstractBijection:
    dense = DenseLinear(channels, key=key)
    if mixing == "plain":
        return dense
    rotation = np.asarray(dense.weight, np.float64)
    return _six(rotation) if mixing == "couplings" else _lu(rotation, key)


def _six(rotation: np.ndarray) -> AbstractBijection:
    """Six couplings of the rotation (its last row turned where it is a reflection), orthogonal to float64's accuracy."""
    if np.linalg.det(rotation) < 0:
        rotation = np.concatenate([rotation[:-1], -rotation[-1:]])
    u, _, vt = np.linalg.svd(rotation)
    return from_factors(factor(u @ vt, 6, effort=Effort(0)))


def _lu(rotation: np.ndarray, key: Key) -> AbstractBijection:
    """W = P L U, P fixed, columns of the rotation turned so that U has a positive diagonal."""
    p, lower, upper = (np.asarray(m) for m in scipy.linalg.lu(rotation))  # pyright: ignore[reportAssignmentType]
    upper = upper * np.sign(np.diagonal(upper))
    where = lambda m: (m.lower, m.upper, m.log_diagonal)
    made = LULinear(len(rotation), key=key)
    values = (lower, upper, np.log(np.diagonal(upper)))
    made = eqx.tree_at(where, made, tuple(jnp.asarray(v, made.bias.dtype) for v in values))
    return Chain([made, Permutation(np.argmax(p, axis=1))])
