"""Fronts: the closed-form densities that stand between the data and the first layer, and are rung 0 of the ladder.

A front is a bijection and a base. Its name lists its parts from the data on: "standardize" (the identity, with log tails)
or "marginals" (each column to a normal one), then perhaps "gaussian" (the maximum-likelihood affine map), then perhaps
"mixture" (a base of full-covariance normals in place of the standard one). "marginals+gaussian" is the Gaussian copula.
"""

import time
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._errors import InputError
from shoal._names import FRONT_NAMES
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import (
    AbstractBijection,
    Chain,
    LogTails,
    first_unlike,
    identity_marginals,
    layers_of,
    marginals,
    whitening,
)
from shoal.distributions import (
    AbstractDistribution,
    AbstractFlow,
    Flow,
    StandardNormal,
    choose_gaussian_mixture,
)
from shoal.flows._common import restacked

FIRST, SECOND, LAST = ("standardize", "marginals"), "gaussian", "mixture"
FRONTS = FRONT_NAMES


@dataclass(frozen=True)
class Sample:
    """Rows to set a front from: `x` (rows, n), `context` (rows, c), `weights` (rows,), in float64.

    `states`: how many columns of the context, the last ones, are one-hot codes of discrete variables.
    """

    x: FloatArray
    context: FloatArray | None = None
    weights: FloatArray | None = None
    states: int = 0

    @property
    def hot(self) -> FloatArray | None:
        """The codes, (rows, states)."""
        return self.context[:, -self.states :] if self.states and self.context is not None else None


@dataclass(frozen=True)
class Front:
    """A front that is set: `parts`, bijections in the order from the data on, and the base.

    `validation`: log-densities of the validation rows under the front alone (None where the front has no context and the
    table has one); `seconds`: what setting it took.
    """

    name: str
    parts: tuple[AbstractBijection, ...]
    base: AbstractDistribution
    validation: FloatArray | None
    seconds: float

    @property
    def is_mixture(self) -> bool:
        """Whether the base is a mixture."""
        return LAST in self.name.split("+")

    def flow(self) -> Flow:
        """Rung 0: the front alone."""
        return Flow(self.base, Chain(self.parts[::-1]))

    def around(self, flow: AbstractFlow) -> AbstractFlow:
        """The flow with the front between its layers and the data. Flows that change the space stay as they are."""
        if flow.extra:
            return flow
        return Flow(self.base, Chain([flow.bijection, *self.parts[::-1]]))

    def grown(self, flow: AbstractFlow, shallow: AbstractFlow) -> AbstractFlow:
        """`flow`, made by `around`, with the layers, front and base of a trained shallower one of the same recipe.

        The layers that `shallow` does not have stay as they are made, at the identity: on the latent side where their number
        is even, on the data side where it is odd, so that layers of two kinds still take turns. Where layers do not have one
        structure (a recipe whose layers depend on the depth), `flow` is returned as it is.
        """
        if flow.extra or shallow.extra:
            return flow
        ours, theirs = flow.bijection.bijections, shallow.bijection.bijections  # type: ignore[attr-defined]
        new, old = list(layers_of(ours[0])), list(layers_of(theirs[0]))
        more = len(new) - len(old)
        joined = new[:more] + old if more % 2 == 0 else old + new[len(old) :]
        if more < 0 or any(first_unlike([a, b]) is not None for a, b in zip(new, joined, strict=True)):
            return flow
        return Flow(shallow.joint.base, Chain([restacked(ours[0], joined), *theirs[1:]]))


_Reached: TypeAlias = tuple[tuple[AbstractBijection, ...], FloatArray, FloatArray, FloatArray]


class Fronts:
    """Sets fronts from one table, each part once however many fronts have it.

    **Arguments:** `train`, `validation`: the rows, standardised; `seed`: of the mixtures; `seconds`: that a mixture may
    take.
    """

    def __init__(self, train: Sample, validation: Sample, *, seed: int = 0, seconds: float = np.inf):
        self.train, self.validation = train, validation
        self.seed, self.seconds = seed, seconds
        nothing: _Reached = ((), train.x, validation.x, np.zeros(len(validation.x)))
        self._known: dict[tuple[str, ...], _Reached] = {(): nothing}

    def set(self, name: str) -> Front:
        """The front of that name. **Raises:** `InputError` for a name that is none."""
        started = time.monotonic()
        words = checked(name)
        mixture = LAST in words
        words = tuple(w for w in words if w != LAST)
        parts, x, held, log_det = self._reached(words)
        n, width = x.shape[1], 0 if self.train.context is None else self.train.context.shape[1]
        seen = width if SECOND in words else self.train.states if mixture else 0  # of the context
        if mixture:
            found = choose_gaussian_mixture(
                x,
                held,
                self.train.weights,
                self.validation.weights,
                states=self.train.hot,
                validation_states=self.validation.hot,
                seed=self.seed,
                seconds=self.seconds,
            )
            base, logs = found.distribution(width), found.log_density(held, self.validation.hot)
        else:
            base = StandardNormal(n)
            logs = -0.5 * np.sum(held**2, axis=1) - 0.5 * n * np.log(2 * np.pi)
        validation = None if seen < width else logs + log_det
        return Front(name, parts, base, validation, time.monotonic() - started)

    def _reached(self, words: tuple[str, ...]) -> _Reached:
        """The parts, the latents of both samples, and the log-dets of the validation rows."""
        if words in self._known:
            return self._known[words]
        parts, x, held, log_det = self._reached(words[:-1])
        new: tuple[AbstractBijection, ...]
        if words[-1] == SECOND:
            new = (whitening(x, self.train.weights, self.train.context), LogTails(x.shape[1]))
        elif words[-1] == "marginals":
            held_weights = self.validation.weights
            new = (marginals(x, self.train.weights, validation=held, validation_weights=held_weights),)
        else:  # of the same form, so that one program trains both
            bins = self._reached(("marginals",))[0][0].knots.shape[1] - 1  # type: ignore[attr-defined]
            new = (identity_marginals(x.shape[1], bins),)
        step = Chain(new[::-1])
        x, _ = _to_latent(step, x, self.train.context)
        held, more = _to_latent(step, held, self.validation.context)
        self._known[words] = ((*parts, *new), x, held, log_det + more)
        return self._known[words]


def checked(name: str) -> tuple[str, ...]:
    """The parts of a front's name, the first one said. **Raises:** `InputError` for a name that is none."""
    if name not in FRONTS:
        raise InputError(f"front {name!r} is unknown; choose from {', '.join(FRONTS)}.")
    words = tuple(name.split("+"))
    return words if words[0] in FIRST else ("standardize", *words)


def _to_latent(
    step: AbstractBijection, x: FloatArray, context: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    dtype = jnp.result_type(float)
    c = None if context is None or step.context_shape is None else jnp.asarray(context, dtype)
    z, log_det = _run(step, jnp.asarray(x, dtype), c)
    return np.asarray(z, np.float64), np.asarray(log_det, np.float64)


@quickly
def _run(step: AbstractBijection, x: Array, context: Array | None) -> tuple[Array, Array]:
    return jax.vmap(step.inverse_and_log_det)(x, context)
