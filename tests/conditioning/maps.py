"""Maps with known spectra, as callables whose numbers are data: one program serves all of one size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Linear(eqx.Module):
    """v -> A v + b."""

    matrix: jax.Array | np.ndarray
    offset: jax.Array | np.ndarray

    def __call__(self, v):
        return jnp.asarray(self.matrix) @ v + jnp.asarray(self.offset)


class Planar(eqx.Module):
    """z -> z + u tanh(w z): J = I + u (1 - tanh^2) w^T."""

    u: np.ndarray
    w: np.ndarray

    def __call__(self, z):
        return z + jnp.asarray(self.u) * jnp.tanh(jnp.dot(jnp.asarray(self.w), z))


class PlanarInverse(eqx.Module):
    """By 60 bisections of a = w z: a + w u tanh(a) = w x, |a - w x| <= |w u|."""

    u: np.ndarray
    w: np.ndarray

    def __call__(self, x):
        u, w = jnp.asarray(self.u), jnp.asarray(self.w)
        goal, wu = jnp.dot(w, x), jnp.dot(w, u)

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            below = middle + wu * jnp.tanh(middle) < goal
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        bound = jnp.abs(wu) + 1
        a = jax.lax.stop_gradient(jax.lax.fori_loop(0, 60, halve, (goal - bound, goal + bound))[0])
        # one Newton step carries the derivative
        a = a - (a + wu * jnp.tanh(a) - goal) / (1 + wu * (1 - jnp.tanh(a) ** 2))
        return x - u * jnp.tanh(a)


class Cubic(eqx.Module):
    """v -> a v + b v^3, coordinate by coordinate: diagonal J."""

    a: np.ndarray
    b: np.ndarray

    def __call__(self, v):
        return jnp.asarray(self.a) * v + jnp.asarray(self.b) * v**3


class CubicInverse(eqx.Module):
    """By Newton steps from above, on |v|; monotone and convex there, so they converge."""

    a: np.ndarray
    b: np.ndarray

    def __call__(self, x):
        a, b = jnp.asarray(self.a), jnp.asarray(self.b)
        sign, size = jnp.sign(x), jnp.abs(x)
        start = jax.lax.stop_gradient(size / a)
        v = jax.lax.fori_loop(0, 60, lambda _, v: v - (a * v + b * v**3 - size) / (a + 3 * b * v**2), start)
        v = jax.lax.stop_gradient(v)
        return sign * (v - (a * v + b * v**3 - size) / (a + 3 * b * v**2))


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def linear_pair(rng: np.random.Generator, spectrum: np.ndarray, offset: float = 0.0) -> tuple[Linear, Linear]:
    """x = Q1 diag(spectrum) Q2 z + b and its inverse, made from the factors."""
    n = len(spectrum)
    left, right, b = rotation(rng, n), rotation(rng, n), offset * rng.standard_normal(n)
    forward = left @ np.diag(spectrum) @ right
    back = right.T @ np.diag(1 / spectrum) @ left.T
    return Linear(forward, b), Linear(back, -back @ b)
