"""How many atoms: enough that the clusters' inertia leaves a part of epsilon to the construction, and no more.

Fewer atoms lie further apart, so the layers' condition number, about 20 N / epsilon, falls with their number.
"""

from dataclasses import dataclass
from itertools import chain
from math import exp, log

import numpy as np

from shoal._errors import InputError
from shoal.records.construction import Terms
from shoal.theory.universal._atoms import Atoms, quantize
from shoal.theory.universal._inputs import DType
from shoal.theory.universal._staircase import Staircase, Unresolved, box_diameter, staircase
from shoal.theory.universal._w2_certificate import terms

MOST_ATOMS = 100_000
SHARE = 0.7  # of epsilon that the quantization may take
FIRST = 8  # atoms tried first


@dataclass(frozen=True)
class Found:
    """Atoms, both layers, and the certificate's terms."""

    atoms: Atoms
    made: Staircase
    terms: Terms


def search(whole: Atoms, epsilon: float, extra: int, dtype: DType, seed: int) -> Found:
    """The construction for `epsilon`. **Raises:** `InputError` that names the smallest epsilon that was reachable."""
    tried: list[Atoms] = []
    count = FIRST
    while True:
        atoms = quantize(whole, _capped(count, whole), seed)
        tried.append(atoms)
        if atoms.quantization <= SHARE * epsilon or len(atoms) >= min(len(whole), MOST_ATOMS):
            break
        count = _next(tried, epsilon)
    if 4 * FIRST <= len(tried[-1]) < len(whole):  # the last step may have gone too far
        fewer = _predicted(tried, 0.97 * SHARE * epsilon)
        if fewer < 0.8 * len(tried[-1]):
            again = quantize(whole, fewer, seed)
            if again.quantization <= SHARE * epsilon:
                tried.append(again)
    reasons = []
    more = (quantize(whole, _capped(count, whole), seed) for count in (16, 64, 256, 1024, 4096, len(whole)))
    seen: list[Atoms] = []
    for atoms in chain(tried[::-1], more):
        found = _built(atoms, epsilon, extra, dtype)
        if isinstance(found, Found):
            return found
        reasons.append(found.reason)
        seen.append(atoms)
    raise InputError(_smallest(seen, epsilon, extra, dtype, len(whole), reasons[0]))


def _built(atoms: Atoms, epsilon: float, extra: int, dtype: DType) -> Found | Unresolved:
    budget = epsilon - atoms.quantization * (1 + 2e-9)
    if budget <= 0:
        return Unresolved(f"{len(atoms)} atoms are {atoms.quantization:.3g} away from the sample")
    found: Found | None = None
    spent, least, most = budget, 0.0, np.inf
    for _ in range(6):  # what the shares leave over is given out again
        made = staircase(atoms, spent, extra, dtype)
        if isinstance(made, Unresolved):
            return found or made
        sums = terms(made, atoms, extra, dtype)
        if sums.total <= epsilon:
            found, least = Found(atoms, made, sums), spent
            if sums.construction > 0.97 * budget:
                break
            spent = min(spent * min(0.99 * budget / sums.construction, 2.0), (spent + most) / 2)
        elif found is None:
            return Unresolved(f"the certificate reaches {sums.total:.3g} only")
        else:
            most = spent
            spent = (least + most) / 2
    return found or Unresolved("no budget was left")


def _capped(count: int, whole: Atoms) -> int:
    """All points where two thirds of them would be atoms, and never more than the most."""
    count = len(whole) if 1.5 * count >= len(whole) else count
    return min(count, MOST_ATOMS)


def _predicted(tried: list[Atoms], goal: float) -> int:
    """The number of atoms for that quantization, by the power law through the two best ones (Zador: N^{-1/n})."""
    first, last = sorted(tried, key=len)[-2:]
    if last.quantization <= 0 or last.quantization >= first.quantization:
        return MOST_ATOMS
    rate = log(first.quantization / last.quantization) / log(len(last) / len(first))
    power = log(last.quantization / goal) / max(rate, 1e-3)
    return int(min(len(last) * exp(min(power, 60.0)), MOST_ATOMS)) + 1


def _next(tried: list[Atoms], epsilon: float) -> int:
    last = len(tried[-1])
    if len(tried) < 2:
        return 4 * last
    return int(np.clip(_predicted(tried, 0.95 * SHARE * epsilon), 2 * last, 8 * last))


def _smallest(tried: list[Atoms], epsilon: float, extra: int, dtype: DType, points: int, reason: str) -> str:
    """The sentence for an epsilon that can not be had: the smallest one that can, in this dtype and in float64."""
    totals = {kind: _least(tried, extra, kind) for kind in ("float32", "float64") if kind >= dtype}
    text = f"`epsilon` {epsilon:.4g} is out of reach in {dtype}: {reason}; the smallest reachable epsilon is "
    text += f"{totals[dtype]:.4g} ({points} distinct points, at most {MOST_ATOMS} atoms)"
    if dtype == "float32":
        text += f", and {totals['float64']:.4g} in float64"
    return text + "."


def _least(tried: list[Atoms], extra: int, dtype: DType) -> float:
    return 1.001 * min(_least_budget(atoms, extra, dtype) + atoms.quantization for atoms in tried)


def _least_budget(atoms: Atoms, extra: int, dtype: DType) -> float:
    """The smallest budget, to 5 %, for which the dtype resolves a construction that keeps it; infinite if there is none."""
    high = 2 * max(box_diameter(atoms.points), 1e-12)
    low, found = 1e-12 * high, np.inf
    while high / low > 1.05:
        middle = float(np.sqrt(low * high))
        made = staircase(atoms, middle, extra, dtype)
        if isinstance(made, Unresolved) or terms(made, atoms, extra, dtype).construction > middle:
            low = middle
        else:
            high = found = middle
    return found
