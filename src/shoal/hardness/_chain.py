"""The covering argument for depth lower bounds with explicit constants, one inequality a function.

Koehler, Mehta and Risteski (2021), Theorem 4, in computable form: docs/dev/mathematics-2.md 6.

Instances: uniform mixtures of k normals N(mu, gamma^2 I_d), the means chosen among M points of the sphere of radius r, or
what a shallow generator makes of them (ramps of total probability eta). All logarithms are natural; nothing is asymptotic.
"""

import math

from scipy.special import gammaln


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
    binomial = gammaln(k + 1) - gammaln(s + 1) - gammaln(k - s + 1)
    return float(s * (log_points - math.log(k)) - binomial)


def separation(d: int, radius: float, gamma: float, angle: float, overlap: float, ramps: float) -> float:
    """W1 between two instances >= 2 (1 - overlap) r sin(angle / 2) - 2 gamma sqrt(d) - 4 eta r.

    A share 1 - overlap of the means has to move by a chord of at least 2 r sin(angle / 2); replacing an instance by its
    means costs E |gamma z| <= gamma sqrt(d) and eta * 2 r each.
    """
    chord = 2 * radius * math.sin(angle / 2)
    return (1 - overlap) * chord - 2 * gamma * math.sqrt(d) - 4 * ramps * radius


def log_served(parameters: int, log_radius: float, log_lipschitz: float, gap: float) -> float:
    """log of how many instances a family can serve: parameters * log(1 + 2 R L / gap).

    If theta, theta' serve two instances to W1 <= epsilon each, then W1 of these <= 2 epsilon + L |theta - theta'|, so the
    parameters lie gap / L apart, gap = separation - 2 epsilon > 0; a ball of radius R of R^parameters holds at most
    (1 + 2 R L / gap)^parameters such points (volumes of disjoint balls).
    """
    ratio = math.log(2.0) + log_radius + log_lipschitz - math.log(gap)
    return parameters * (ratio if ratio > 700 else math.log1p(math.exp(ratio)))


def kl_to_flow(epsilon: float, lipschitz: float) -> float:
    """KL(g || f) >= W1^2 / 2 L^2: an L-Lipschitz image f of N(0, I) is L^2-subgaussian (Bobkov and Goetze 1999)."""
    return 0.5 * (epsilon / lipschitz) ** 2


def kl_from_flow(epsilon: float, radius: float, gamma: float) -> float:
    """KL(f || g) >= W1^2 / 2 (r^2 + gamma^2): g is subgaussian with gamma^2 for the noise plus r^2 for the means.

    Of a 1-Lipschitz function the conditional means lie in an interval of length 2 r (Hoeffding: (2 r)^2 / 4).
    """
    return 0.5 * epsilon**2 / (radius**2 + gamma**2)
