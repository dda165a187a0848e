"""Multimodal targets against Lipschitz constants: how much mass a bi-Lipschitz flow must misplace.

(Verine et al. 2021 bound the total variation of bi-Lipschitz flows; the forms here follow from the Gaussian isoperimetric
inequality, gamma(A_s) >= Phi(Phi^{-1}(gamma(A)) + s) for the s-neighbourhood A_s, and need the forward constant only.)
"""

import math

from scipy.special import ndtr, ndtri

from shoal._errors import InputError


def total_variation_bound(modes: int, distance: float, lipschitz: float, mass: float = 1.0) -> float:
    r"""TV(f#N, target) is at least this, for f: latent -> data that is L-Lipschitz.

    The target has `modes` sets of mass m = `mass` / k each, pairwise at least `distance` = D apart; the flow puts a_i there.
    Their preimages lie D / L apart. Two sets: b <= Phi(-Phi^{-1}(a) - D / L), and min(a, m) + min(b, m) is largest at
    a = m, so TV >= mass - m - Phi(-Phi^{-1}(m) - D / L). k sets: the preimages' D / 2L-neighbourhoods are disjoint,
    sum_i Psi(a_i) <= 1 with Psi(a) = Phi(Phi^{-1}(a) + D / 2L) concave, Psi(0) = 0, hence
    sum_i min(a_i, m) <= m / Psi(m), and TV >= mass - m / Psi(m). At least 0.
    **Raises:** ValueError for fewer than two modes, or numbers outside their range.
    """
    if modes < 2 or not 0 < mass <= 1 or not (0 <= distance < math.inf and 0 < lipschitz < math.inf):
        raise InputError(
            "`total_variation_bound` needs modes >= 2, 0 < mass <= 1, distance >= 0, lipschitz > 0; "
            f"got {modes}, {mass}, {distance}, {lipschitz}."
        )
    s = distance / (2 * lipschitz)
    each = mass / modes
    bounds = [0.0, mass - each / float(ndtr(ndtri(each) + s))]
    if modes == 2:
        bounds.append(mass - each - float(ndtr(-ndtri(each) - 2 * s)))
    return max(bounds)


def least_lipschitz(modes: int, distance: float, variation: float, mass: float = 1.0) -> float:
    """The Lipschitz constant below which TV <= `variation` is impossible: solves `total_variation_bound` for L."""
    low, high = 1e-12, 1e12
    if total_variation_bound(modes, distance, low, mass) <= variation:
        return 0.0
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (
            (middle, high)
            if total_variation_bound(modes, distance, middle, mass) > variation
            else (low, middle)
        )
    return low
