"""Families f_theta of depth l with explicit Lipschitz constants in their parameters.

A layer moves by |f_theta(h) - f_theta'(h)| <= K (1 + |h|) |theta - theta'|, is M-Lipschitz in h, and has
|f(h)| <= M |h| + B. Then, telescoping over the layers that differ,
    E |f_theta(z) - f_theta'(z)| <= sqrt(sum_j (M^{l-j} K (1 + E |h_{j-1}|))^2) |theta - theta'|, z ~ N(0, I_d),
    E |h_j| <= M^j sqrt(d) + B (M^j - 1) / (M - 1).
"""

import math
from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError


@dataclass(frozen=True)
class Architecture:
    """`parameters`: p of a layer; `radius`: |theta_i| of a layer at most; M, K, B as above, upper bounds."""

    name: str
    dim: int
    parameters: int
    radius: float
    lipschitz: float
    parameter_lipschitz: float
    offset: float

    def __post_init__(self) -> None:
        numbers = (self.radius, self.lipschitz, self.parameter_lipschitz)
        if (
            self.parameters < 1
            or self.dim < 1
            or not all(0 < v < math.inf for v in numbers)
            or self.offset < 0
        ):
            raise InputError(f"`Architecture`: sizes and constants must be positive and finite; got {self}.")

    def log_radius(self, depth: int) -> float:
        """log R, R = radius sqrt(depth): of the vector of all parameters."""
        return math.log(self.radius) + 0.5 * math.log(depth)

    def log_lipschitz(self, depth: int) -> float:
        """log L of the whole family in its parameters, as in the formula of this module; M is taken as at least 1."""
        m = max(self.lipschitz, 1.0)
        before = np.arange(depth)  # layers below layer j = before + 1
        log_m = math.log(m)
        with np.errstate(over="ignore"):
            geometric = before.astype(float) if m == 1 else np.expm1(before * log_m) / (m - 1)
        size = np.logaddexp(
            before * log_m + 0.5 * math.log(self.dim),
            np.where(
                np.isfinite(geometric),
                np.log(np.maximum(geometric * self.offset, 1e-300)),
                before * log_m + math.log(max(self.offset, 1e-300)) - math.log(max(m - 1, 1e-300)),
            ),
        )
        terms = (depth - 1 - before) * log_m + math.log(self.parameter_lipschitz) + np.logaddexp(0.0, size)
        return float(0.5 * np.logaddexp.reduce(2 * terms))

    def log_input_lipschitz(self, depth: int) -> float:
        """log of M^depth, the Lipschitz constant in the input."""
        return depth * math.log(self.lipschitz)


def planar(dim: int, *, radius: float = 2.0) -> Architecture:
    """h + u tanh(<w, h> + b), p = 2 d + 1: M = 1 + radius^2, K = sqrt(1 + radius^2), B = radius.

    |change| <= |du| + |u| (|h| |dw| + |db|) <= sqrt(1 + radius^2 + radius^2 |h|^2) |dtheta|.
    """
    return Architecture("planar", dim, 2 * dim + 1, radius, 1 + radius**2, math.sqrt(1 + radius**2), radius)


def layerwise(dim: int, *, rank: int = 1, radius: float = 2.0) -> Architecture:
    """sigma(A h + b), A = diag(a) + U V^T of rank `rank`, sigma 1-Lipschitz with sigma(0) = 0: p = d (2 rank + 2).

    M = radius + radius^2 / 2 (as |U| |V| <= (|U|^2 + |V|^2) / 2), K = 2 + radius, B = radius:
    |dA| <= |da| + |U| |dV| + |dU| |V| <= (1 + radius) |dtheta| and |db| <= |dtheta|.
    """
    return Architecture(
        "layerwise", dim, dim * (2 * rank + 2), radius, max(radius + radius**2 / 2, 1.0), 2 + radius, radius
    )


def additive(dim: int, *, width: int = 16, radius: float = 2.0) -> Architecture:
    """(h1, h2 + V tanh(W h1 + c) + b), halves: p = 2 width ceil(d / 2) + width + ceil(d / 2): M = 1 + radius^2 / 2.

    M: |V| |W| <= radius^2 / 2. K = sqrt(width) + radius + 1: the change is at most
    |dV| sqrt(width) + |V| (|dW| |h| + |dc|) + |db|. B = radius (1 + sqrt(width)).
    """
    half = -(-dim // 2)
    root = math.sqrt(width)
    return Architecture(
        "additive",
        dim,
        2 * width * half + width + half,
        radius,
        1 + radius**2 / 2,
        root + radius + 1,
        radius * (1 + root),
    )


def coupling(
    dim: int,
    *,
    parameters: int,
    radius: float,
    lipschitz: float,
    parameter_lipschitz: float,
    offset: float = 1.0,
) -> Architecture:
    """RealNVP and any other family, with constants that the caller has: affine couplings have none on all of R^d.

    The theorem assumes them ("L-Lipschitz with respect to its parameters and inputs"); for a given flow on a box they are
    bounded by `shoal.conditioning.lipschitz_bounds`.
    """
    return Architecture("coupling", dim, parameters, radius, lipschitz, parameter_lipschitz, offset)
