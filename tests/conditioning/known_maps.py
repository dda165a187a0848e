"""Maps in NumPy whose singular values are known: oracles that share no code with what is checked."""

import numpy as np

from shoal.conditioning import AbstractMap


class KnownMap(AbstractMap):
    """x = M z, or any map given by its two Jacobians as functions of the point."""

    def __init__(self, size, forward, jacobian, inverse_jacobian):
        self.name, self.size = "known", size
        self._forward, self._jacobians = forward, {"forward": jacobian, "inverse": inverse_jacobian}
        self.products = 0

    def evaluate(self, quantity, view, *arrays):
        return (getattr(self, quantity)(view.direction, *arrays),)

    def apply(self, direction, points):
        assert direction == "forward"
        return self._forward(points)

    def jacobian(self, direction, points):
        return self._jacobians[direction](points)

    def jvp(self, direction, points, tangents):
        self.products += 1
        return np.einsum("rij,rj->ri", self.jacobian(direction, points), tangents)

    def vjp(self, direction, points, cotangents):
        return np.einsum("rij,ri->rj", self.jacobian(direction, points), cotangents)

    def layers(self):
        return (self,)


class Diagonal(KnownMap):
    """A map whose Jacobian is diagonal and given by its diagonal."""

    def jvp(self, direction, points, tangents):
        return self.jacobian(direction, points) * tangents

    def vjp(self, direction, points, cotangents):
        return self.jacobian(direction, points) * cotangents


def rotation(rng, n):
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def with_spectrum(rng, sigma):
    """Q1 diag(sigma) Q2 and its inverse, as a linear map."""
    q1, q2 = rotation(rng, len(sigma)), rotation(rng, len(sigma))
    a, b = (q1 * sigma) @ q2, (q2.T / sigma) @ q1.T
    many = lambda m: lambda p: np.broadcast_to(m, (len(p), *m.shape))
    return KnownMap(len(sigma), lambda z: z @ a.T, many(a), many(b))


def planar(rng, n, least_slope):
    """x = z + u tanh(w.z + b), w.u >= least_slope - 1, and (sigma_max, sigma_min) at points z, from trace and determinant.

    J = 1 + s u w^T: n - 2 singular values are 1, the two others have the product p = 1 + s w.u and the sum of squares
    2 p + d^2, d = s |u| |w|: so d is their difference and sqrt(4 p + d^2) their sum. The inverse matrix is
    1 - s u w^T / p.
    """
    w, u, b = rng.normal(size=n), 2 * rng.normal(size=n), rng.normal()
    if w @ u < least_slope - 1:
        u = u + (least_slope - 1 - w @ u) * w / (w @ w)
    slope = lambda z: 1 / np.cosh(z @ w + b) ** 2
    outer, eye = np.outer(u, w), np.eye(n)
    latents = {}

    def forward(z):
        latents["z"] = z  # the Jacobian of the inverse at x is wanted at the z that x came from
        return z + np.tanh(z @ w + b)[:, None] * u

    def back(x):
        s = slope(latents["z"])
        return eye - (s / (1 + s * (w @ u)))[:, None, None] * outer

    def exact(z):
        s = slope(z)
        product, difference = 1 + s * (w @ u), s * np.sqrt((u @ u) * (w @ w))
        top = (np.sqrt(4 * product + difference**2) + difference) / 2
        return (top, product / top) if n > 1 else (product, product)

    return KnownMap(n, forward, lambda z: eye + slope(z)[:, None, None] * outer, back), exact
