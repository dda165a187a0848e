"""How deep a family must be to serve more than a fraction of hard instances.

Koehler, Mehta and Risteski (2021), Theorem 4, in computable form: docs/dev/mathematics-2.md 6.2.

First the counting argument with explicit constants, one inequality a function; then families f_theta of depth l with their
Lipschitz constants in the parameters, and the bound. Instances: uniform mixtures of k normals N(mu, gamma^2 I_d), the means
on the sphere of radius r. Two statements: of a *packing*, instances whose means are chosen among M points that are far apart
(or what a shallow generator makes of them, ramps of total probability eta): most of the packing is left unserved, and which
of it is not known; of a *drawn* instance, its k means independent and uniform: left unserved with a stated probability.
All logarithms are natural; nothing is asymptotic.

A layer moves by |f_theta(h) - f_theta'(h)| <= K (1 + |h|) |theta - theta'|, is M-Lipschitz in h, and has
|f(h)| <= M |h| + B. Then, telescoping over the layers that differ,
    E |f_theta(z) - f_theta'(z)| <= sqrt(sum_j (M^{l-j} K (1 + E |h_{j-1}|))^2) |theta - theta'|, z ~ N(0, I_d),
    E |h_j| <= M^j sqrt(d) + B (M^j - 1) / (M - 1).
What is added and subtracted has `ROUNDING` of its size taken off, so that the depth is that of exact arithmetic or less.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from scipy.special import gammaln

from shoal._errors import InputError

Term: TypeAlias = Literal["separation", "packing", "counting", "parameters", "lipschitz"]
ANGLES = np.radians(np.arange(10, 90))
OVERLAPS = np.array([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
DEEPEST = 1_000_000
ROUNDING = 1e-12


def log_sphere_packing(d: int, angle: float) -> float:
    """log M >= log 2 - (d - 1) log sin(angle): points of S^{d-1} pairwise at least `angle` apart, 0 < angle < pi / 2.

    The caps of that angle around a maximal such set cover the sphere, and each has at most sin^{d-1}(angle) / 2 of it.
    """
    return math.log(2.0) - (d - 1) * math.log(math.sin(angle))


def log_instances(log_points: float, k: int, overlap: float) -> float:
    """log I >= s log(M / k) - log binom(k, s), s = floor(overlap k) + 1: k-subsets of M points sharing fewer than s.

    Gilbert: a subset excludes at most binom(k, s) binom(M - s, k - s) others, and binom(M, k) / binom(M - s, k - s) =
    prod_{i < s} (M - i) / (k - i) >= (M / k)^s. Negative where M < k, which says nothing.
    """
    s = math.floor(overlap * k) + 1
    if s > k or log_points < math.log(k):
        return -math.inf
    parts = np.array([s * log_points, -s * math.log(k), -gammaln(k + 1), gammaln(s + 1), gammaln(k - s + 1)])
    return float(parts.sum() - ROUNDING * np.abs(parts).sum())


def separation(d: int, radius: float, gamma: float, angle: float, overlap: float, ramps: float) -> float:
    """W1 between two instances >= 2 (1 - overlap) r sin(angle / 2) - 2 gamma sqrt(d) - 4 eta r.

    A share 1 - overlap of the means has to move by a chord of at least 2 r sin(angle / 2); replacing an instance by its
    means costs E |gamma z| <= gamma sqrt(d) and eta * 2 r each.
    """
    chord, noise = 2 * radius * math.sin(angle / 2), 2 * gamma * math.sqrt(d) + 4 * ramps * radius
    return (1 - overlap) * chord - noise - ROUNDING * (chord + noise)


def log_served(parameters: int, log_radius: float, log_lipschitz: float, gap: float) -> float:
    """log of how many instances of a packing a family can serve: parameters * log(1 + 2 R L / gap).

    If theta, theta' serve two instances to W1 <= epsilon each, then W1 of these <= 2 epsilon + L |theta - theta'|, so the
    parameters lie gap / L apart, gap = separation - 2 epsilon > 0; a ball of radius R of R^parameters holds at most
    (1 + 2 R L / gap)^parameters such points (volumes of disjoint balls). With gap / 2 for gap, balls of radius gap / 2 L
    around so many points cover the parameters: what `minimum_depth` counts for a drawn instance.
    """
    parts = (math.log(2.0), log_radius, log_lipschitz, -math.log(gap))
    ratio = sum(parts) + ROUNDING * (1 + sum(map(abs, parts)))
    return (1 + ROUNDING) * parameters * (ratio if ratio > 700 else math.log1p(math.exp(ratio)))


def kl_to_flow(epsilon: float, lipschitz: float) -> float:
    """KL(g || f) >= W1^2 / 2 L^2: an L-Lipschitz image f of N(0, I) is L^2-subgaussian (Bobkov and Goetze 1999)."""
    return 0.5 * (epsilon / lipschitz) ** 2


def kl_from_flow(epsilon: float, radius: float, gamma: float) -> float:
    """KL(f || g) >= W1^2 / 2 (r^2 + gamma^2): g is subgaussian with gamma^2 for the noise plus r^2 for the means.

    Of a 1-Lipschitz function the conditional means lie in an interval of length 2 r (Hoeffding: (2 r)^2 / 4).
    """
    return 0.5 * epsilon**2 / (radius**2 + gamma**2)


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
        sizes = min(self.parameters, self.dim) >= 1 and self.offset >= 0
        if not sizes or not all(0 < v < math.inf for v in numbers):
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
    """h + u tanh(<w, h> + b), p = 2 d + 1: M = 1 + radius^2 / 2, K = sqrt(1 + radius^2), B = radius.

    M: |u| |w| <= (|u|^2 + |w|^2) / 2 <= radius^2 / 2.
    |change| <= |du| + |u| (|h| |dw| + |db|) <= sqrt(1 + radius^2 + radius^2 |h|^2) |dtheta|.
    """
    root = math.sqrt(1 + radius**2)
    return Architecture("planar", dim, 2 * dim + 1, radius, 1 + radius**2 / 2, root, radius)


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


@dataclass(frozen=True)
class InstanceFamily:
    """Mixtures of `k` normals N(mu, gamma^2 I_d), means on the sphere of `radius` (default 10 gamma sqrt(d)).

    `ramps`: total probability of the generator's ramps; `distance`: the W1 within which an instance counts as served
    (default radius / sqrt(5), with which the KL bounds of the theorem come out; a smaller one gives larger depths).
    """

    k: int
    d: int
    gamma: float = 1.0
    radius: float | None = None
    ramps: float = 1e-3
    distance: float | None = None

    def __post_init__(self) -> None:
        if self.k < 1 or self.d < 2 or not 0 < self.gamma < math.inf or not 0 <= self.ramps < 1:
            raise InputError(f"`InstanceFamily` needs k >= 1, d >= 2, gamma > 0, 0 <= ramps < 1; got {self}.")
        if not (0 < self.r < math.inf and 0 < self.epsilon < math.inf):
            raise InputError(f"`InstanceFamily`: radius and distance must be positive; got {self}.")

    @property
    def r(self) -> float:
        """The radius."""
        return 10 * self.gamma * math.sqrt(self.d) if self.radius is None else self.radius

    @property
    def epsilon(self) -> float:
        """The distance."""
        return self.r / math.sqrt(5) if self.distance is None else self.distance


@dataclass(frozen=True)
class DepthBound:
    """`depth`: flows less deep leave at least 1 - delta of *one packing of instances* at W1 > `distance` from every flow.

    `drawn`: flows less deep leave an instance whose k means are drawn independently and uniformly from the sphere at W1 >
    `distance`, with probability above `confidence` over the draw. The packing is a finite set of instances that differ
    much, of e^log_instances members: **most of a packing is not most laws, and nothing follows for one of its members.**
    `vacuous`: depth is 1, which says nothing (as `drawn` does where it is 1). `binding_term`: what limits `depth`.
    `angle` (radians), `overlap`: where it is largest; `log_instances`: log of the number of instances there;
    `kl_to_flow`, `kl_from_flow`: KL(g || f), KL(f || g) of every unserved pair are at least these, for the depth below.
    """

    depth: int
    drawn: int
    vacuous: bool
    binding_term: Term
    delta: float
    confidence: float
    distance: float
    angle: float
    overlap: float
    log_instances: float
    kl_to_flow: float
    kl_from_flow: float


def minimum_depth(
    architecture: Architecture, family: InstanceFamily, delta: float = 0.5, confidence: float = 0.99
) -> DepthBound:
    r"""The least depth that is not excluded from serving more than a share `delta` of a packing, or a drawn instance.

    With I instances, Lambda = separation - 2 epsilon and depth l of p parameters a layer:

    - packing: at most N(l) = (1 + 2 R L(l) / Lambda)^{l p} of the I are served, so N(l) <= delta I leaves 1 - delta of
      them at W1 > epsilon. An existence statement: which instances are left is not said.
    - drawn: k means independent and uniform on the sphere (`FreeMeansMixture`). If N(l) = (1 + 4 R L(l) / Lambda)^{l p} <
      (1 - confidence)^2 I, the instance is at W1 > epsilon from every flow with probability above `confidence`.

    Each is maximised over the angle and the overlap of the instances.

    The second, in short: N balls of radius Lambda / 2 L cover the parameters, and a served instance chooses the first with
    a flow that serves it. Were P(served) = q >= 1 - confidence, two independent instances would choose the same ball with
    probability q^2 / N at least; then they are within 2 epsilon + Lambda, some s means of one are matched to means of the
    other within the angle, and that has probability 1 / I at most: a cap has at most sin^{d-1}(angle) / 2 of the sphere.

    **Source:** Koehler, Mehta and Risteski (2021), Theorem 4, for the packing; docs/dev/mathematics-2.md 6.2 and 6.4.
    **Raises:** InputError for delta outside (0, 1], confidence outside (0, 1) or dimensions that differ.
    """
    if not 0 < delta <= 1:
        raise InputError(f"`delta` must lie in (0, 1]; got {delta!r}.")
    if not 0 < confidence < 1:
        raise InputError(f"`confidence` must lie in (0, 1); got {confidence!r}.")
    if architecture.dim != family.d:
        raise InputError(f"The architecture is on R^{architecture.dim}, the instances on R^{family.d}.")
    best, drawn, near, counted = None, 1, -math.inf, -math.inf
    for angle, overlap in product(map(float, ANGLES), map(float, OVERLAPS)):
        apart = separation(family.d, family.r, family.gamma, angle, overlap, family.ramps)
        gap = apart - 2 * (1 + ROUNDING) * family.epsilon
        near = max(near, gap)
        if gap <= 0:
            continue
        log_i = log_instances(log_sphere_packing(family.d, angle), family.k, overlap)
        counted = max(counted, log_i)
        if log_i == -math.inf:
            continue
        depth = 1 + _deepest(architecture, gap, log_i + math.log(delta))
        drawn = max(drawn, 1 + _deepest(architecture, gap / 2, log_i + 2 * math.log1p(-confidence)))
        if best is None or depth > best[0]:
            best = (depth, angle, overlap, log_i, gap)
    if best is None:
        term: Term = "separation" if near <= 0 else "packing"
        depth, angle, overlap, log_i, to_flow = 1, math.nan, math.nan, -math.inf, math.nan
    else:
        depth, angle, overlap, log_i, gap = best
        ratio = architecture.log_radius(1) + architecture.log_lipschitz(1) - math.log(gap)
        term = "lipschitz" if ratio > math.log(100) else "parameters"
        if depth == 1 and counted <= -math.log(delta):
            term = "counting"
        below = architecture.log_input_lipschitz(max(depth - 1, 1))
        to_flow = kl_to_flow(family.epsilon, math.exp(below) if below < 700 else math.inf)
    from_flow = kl_from_flow(family.epsilon, family.r, family.gamma)
    numbers = (family.epsilon, angle, overlap, log_i, to_flow, from_flow)
    return DepthBound(depth, drawn, depth == 1, term, delta, confidence, *numbers)


def _deepest(architecture: Architecture, gap: float, goal: float) -> int:
    """The largest depth l with log N(l) < goal, 0 if there is none (log N grows with l)."""

    def fits(depth: int) -> bool:
        served = log_served(
            depth * architecture.parameters,
            architecture.log_radius(depth),
            architecture.log_lipschitz(depth),
            gap,
        )
        return served < goal

    if not fits(1):
        return 0
    low, high = 1, 2
    while high < DEEPEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
