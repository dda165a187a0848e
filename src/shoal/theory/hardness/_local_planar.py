r"""Planar layers with bounded shifts against one given target: a bound on total variation, whatever w and b are.

f_i(z) = z + u_i h_i(<w_i, z> + b_i), invertible, h_i monotone and absolutely continuous with |h_i| <= 1, or the inverse of
such a layer; p has an integrable gradient. With S(p) = sup over unit v of E_p |<v, grad log p>|,

    TV(f_l ... f_1 # q, p) >= TV(q, p) - S(p) sum_i |u_i|    for every base law q.

**Proof.** TV(f # q, p) = TV(q, f^{-1} # p) >= TV(q, p) - TV(f^{-1} # p, p), layer by layer; left is
TV(f^{-1} # p, p) <= |u| S(p). On f_t = z + t u h the density of f_t^{-1} # p is p(f_t) D_t, D_t = 1 + t <u, w> h' > 0, and
its derivative in t is <u, grad p(f_t)> h D_t + p(f_t) <u, w> h'. The first part has an integral of at most
|u| S(p). In the second substitute x = f_t(z), y = <w, x> + b, whose density under p is at most m / |w|, m the largest
density of a projection of p on a line: at most |<u, w>| (m / |w|) int |h'| <= 2 |u| m. And 2 m <= int |q'| <= S(p), q the
density of <v, x>, as q tends to 0 at both ends. Halve the sum. For an inverse layer TV(f # p, p) = TV(p, f^{-1} # p).

The idea, to follow how little a layer moves a slowly varying target, is Kong and Chaudhuri's (2020, arXiv 2006.00392, depth
bounds for local planar flows with bounded weights); the form here has its own proof and needs no bound on w.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shoal._errors import InputError
from shoal.theory.hardness._heavy_tails import HeavyTails


@dataclass(frozen=True)
class LocalPlanarBound:
    """`depth`: fewer planar layers with |u| <= `radius` are farther than `distance` from the target in total variation.

    This is a statement about one given target, from the base N(0, I) and without other layers. `vacuous`: depth is 1 or 0.
    `from_base`: a lower bound of TV(N(0, I), target); `score`: S(target).
    """

    depth: int
    vacuous: bool
    distance: float
    radius: float
    from_base: float
    score: float

    def to_record(self) -> dict[str, Any]:
        """The fields."""
        return dict(self.__dict__)


def local_planar_depth(target: HeavyTails, *, radius: float, distance: float) -> LocalPlanarBound:
    """The least l with TV(N, p) - l radius S(p) <= distance: with fewer layers the distance is not reached.

    **Arguments:** `radius`: the largest |u_i|; `distance`: total variation that is wanted, in (0, 1).
    **Raises:** ValueError for numbers outside their range.
    """
    if not 0 < radius < math.inf or not 0 < distance < 1:
        raise InputError(
            f"`local_planar_depth` needs radius > 0 and 0 < distance < 1; got {radius!r}, {distance!r}."
        )
    start, score = target.from_normal(), target.score
    depth = max(math.ceil((start - distance) / (radius * score)), 0)
    return LocalPlanarBound(depth, depth <= 1, distance, radius, start, score)


def planar_gap(target: HeavyTails, shifts: Sequence[float]) -> float:
    """A lower bound of TV(f # N(0, I), target) for a flow of planar layers with |u_i| = `shifts`; at least 0.

    **Raises:** ValueError for shifts that are negative or not finite.
    """
    if not all(0 <= s < math.inf for s in shifts):
        raise InputError("`planar_gap(shifts)` must be finite and at least 0.")
    return max(target.from_normal() - target.score * math.fsum(shifts), 0.0)
