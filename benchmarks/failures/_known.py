"""Maps whose right verdict is known before any audit sees them: how one is written down, and what several share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal.bijections import AbstractBijection, Chain, layer_name
from shoal.conditioning import AbstractMap, JaxMap, from_bijection, from_callables

ROWS = 200


@dataclass(frozen=True)
class Asked:
    """What an audit is asked: the map, rows of data, and its further arguments."""

    map: Any
    x: np.ndarray
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A map by its `make(n, seed)` with the cause that an audit must name: "none" for a healthy one.

    `layer`: the layer to be named, in forward order from 0 (-1: the last one; None: not judged).
    """

    name: str
    what: str
    make: Callable[[int, int], Asked]
    cause: str = "none"
    layer: int | None = None


def normal(n: int, seed: int, rows: int = ROWS) -> np.ndarray:
    """Latents; the seed is another one than an audit's."""
    return np.random.default_rng(1000 + seed).standard_normal((rows, n))


def sampled(found: AbstractMap, seed: int, **arguments: Any) -> Asked:
    """A map at samples of its own."""
    return Asked(found, found.at(context=arguments.get("context"))(normal(found.size, seed)), arguments)


def callables(layers: Sequence[Any], n: int, seed: int, *, alone: bool = False) -> Asked:
    """Modules with `forward` and `inverse`, in forward order, as bare callables; `alone`: without naming the layers."""
    pairs = [(layer.forward, layer.inverse) for layer in layers]
    forward, inverse = Composed([p[0] for p in pairs]), Composed([p[1] for p in reversed(pairs)])
    x = from_callables(forward, inverse, n).at()(normal(n, seed))
    return Asked(forward, x, {"inverse": inverse} if alone else {"inverse": inverse, "layers": pairs})


def ours(layers: Sequence[AbstractBijection], inverses: Sequence[AbstractBijection], seed: int) -> Asked:
    """Layers of Shoal in forward order; the inverse of layer k is that of `inverses[k]`."""
    whole, older = from_bijection(Chain(list(layers))), from_bijection(Chain(list(inverses)))
    singles = list(whole.layers())
    for k, (f, g) in enumerate(zip(layers, inverses, strict=True)):
        if f is not g:
            name, n = layer_name(f), whole.size
            singles[k] = JaxMap(f.forward_and_log_det, g.inverse_and_log_det, n, log_dets=True, name=name)
            whole = JaxMap(
                whole.function("forward"), older.function("inverse"), n, log_dets=True, layers=singles
            )
    return sampled(whole, seed)


def tame(build: Callable[[float], Sequence[AbstractBijection]], seed: int) -> Sequence[AbstractBijection]:
    """Layers whose random weights are halved, from 0.4 on, until the map is mild: κ below 1000 at 99 % of its samples, and
    latents twice as far out that grow by less than 2^20. Measured here, not by an audit.
    """
    for k in range(8):
        layers = build(0.4 * 0.5**k)
        view = from_bijection(Chain(list(layers))).at()
        z = normal(layers[0].shape[0], seed)
        x, far = view(z), np.abs(view(2 * z)).max(axis=1)
        jacobians = view.jacobian(z) / x.std(axis=0)[:, None]
        fine = np.isfinite(jacobians).all() and np.isfinite(far).all()
        fine = fine and np.quantile(np.linalg.cond(jacobians), 0.99) < 1e3
        if fine and far.max() < 2.0**20 * np.median(np.abs(x).max(axis=1)):
            return layers
    raise RuntimeError("no weights are small enough")


def moved(tree: Any, seed: int, size: float = 0.3) -> Any:
    """Every number moved at random, far from its initial value."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jr.split(jr.key(seed), len(leaves))
    move = lambda a, k: a + size * jr.normal(k, a.shape, a.dtype) if eqx.is_inexact_array(a) else a
    return jax.tree.unflatten(structure, [move(a, k) for a, k in zip(leaves, keys, strict=True)])


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def matrix(rng: np.random.Generator, n: int, kappa: float) -> np.ndarray:
    """A matrix with this condition number."""
    return rotation(rng, n) @ np.diag(np.geomspace(1.0, 1.0 / kappa, n)) @ rotation(rng, n)


class Composed(eqx.Module):
    """Functions one after the other."""

    functions: list

    def __call__(self, v):
        """The last one's image."""
        for function in self.functions:
            v = function(v)
        return v


class Linear(eqx.Module):
    """x = A z; `back` is what the inverse multiplies by."""

    matrix: np.ndarray
    back: np.ndarray

    def forward(self, z):
        """A z."""
        return jnp.asarray(self.matrix) @ z

    def inverse(self, x):
        """B x."""
        return jnp.asarray(self.back) @ x


class Elementwise(eqx.Module):
    """A function and the one that is to be its inverse."""

    function: Callable = eqx.field(static=True)
    back: Callable = eqx.field(static=True)

    def forward(self, z):
        """f(z)."""
        return self.function(z)

    def inverse(self, x):
        """g(x)."""
        return self.back(x)


class Coupled(eqx.Module):
    """x = (a, b exp(tanh(V tanh(W a))) + U tanh(W a)), a the first half; `turned`: the halves change places.

    The inverse multiplies by 1 + `off` and takes `stale` times U.
    """

    inner: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    turned: bool = eqx.field(static=True, default=False)
    off: float = 0.0
    stale: float = 1.0

    def _cut(self, v):
        kept = self.inner.shape[1]
        v = v[::-1] if self.turned else v
        hidden = jnp.tanh(jnp.asarray(self.inner) @ v[:kept])
        return (
            v[:kept],
            v[kept:],
            jnp.tanh(jnp.asarray(self.scale) @ hidden),
            jnp.asarray(self.shift) @ hidden,
        )

    def _join(self, kept, rest):
        v = jnp.concatenate([kept, rest])
        return v[::-1] if self.turned else v

    def forward(self, z):
        """The coupling."""
        kept, rest, scale, shift = self._cut(z)
        return self._join(kept, rest * jnp.exp(scale) + shift)

    def inverse(self, x):
        """Its inverse, or nearly."""
        kept, rest, scale, shift = self._cut(x)
        return self._join(kept, (rest - self.stale * shift) * jnp.exp(-scale) * (1.0 + self.off))


def coupled(rng: np.random.Generator, n: int, turned: bool = False, **wrong: float) -> Coupled:
    """A coupling with random weights."""
    kept, hidden = n // 2 if not turned else n - n // 2, 8
    weights = rng.standard_normal((hidden, kept)), 0.3 * rng.standard_normal((n - kept, hidden))
    return Coupled(*weights, 0.5 * rng.standard_normal((n - kept, hidden)), turned, **wrong)


class Bisected(eqx.Module):
    """x = z + tanh(2 z) / 2, elementwise; inverse by `steps` bisections of [-width, width]."""

    steps: int = eqx.field(static=True)
    width: float = eqx.field(static=True, default=12.0)

    def forward(self, z):
        """x."""
        return z + jnp.tanh(2 * z) / 2

    def inverse(self, x):
        """The middle of the last interval, whose slope is that of the inverse."""

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            below = self.forward(middle) < x
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        ends = jnp.full_like(x, -self.width), jnp.full_like(x, self.width)
        low, high = jax.lax.stop_gradient(jax.lax.fori_loop(0, self.steps, halve, ends))
        z = (low + high) / 2
        slope = jax.lax.stop_gradient(1 + (1 - jnp.tanh(2 * z) ** 2))
        return z + (x - jax.lax.stop_gradient(x)) / slope
