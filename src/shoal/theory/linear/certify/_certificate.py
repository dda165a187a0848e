"""Certificates: rigorous bounds on how far a product of float64 layers is from T, and whether an exact one is near.

Nothing here is shared with the factorization: plain arrays go in, python-flint encloses them (`_balls.py`), and the theorem
is `_existence.py`'s. T = diag(signs) times the layers' product in the order (kept, rest), exp(log_scale) enclosed too.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.theory.linear.certify._balls import (
    Ball,
    BallLayer,
    BallMatrix,
    ball_layer,
    balls,
    down,
    frobenius,
    largest,
    load_flint,
    norm,
    product_halves,
    shown,
    up,
)
from shoal.theory.linear.certify._existence import LIMIT, Kantorovich, kantorovich

Existence: TypeAlias = Literal["proved", "not proved", "not attempted"]
Part: TypeAlias = tuple[str, FloatArray, FloatArray]
BITS, MOST_BITS = 128, 1024
CLOSE = 1e-7


@dataclass(frozen=True)
class FactorizationCertificate:
    """What is proved about the layers of a factorization.

    **Fields:** `residual_bound`: an upper bound of |T - product| in the Frobenius norm, the product being exact, not
    rounded; `relative_residual_bound`: of the same over |T|; `entry_bound`: of the largest |T - product| of an entry.
    `existence`: "proved" if a factorization that is *exact*, of the same kinds and shapes and with real log-scales,
    exists within `radius` of the computed one and `radius` is at most 1e-7; else "not proved" or "not attempted", and
    `reason` says why. `radius`: in the Euclidean norm of all blocks and log-scales together (additive layers' log-scales
    are free too), one block in units of 2^k where `reason` says so; given too where it is above 1e-7, None where no exact
    factorization is known. The limit is what makes a factor that is off by 1e-6 fail: an exact one may well be near it.
    `least_singular`: a lower bound of σmin of the product's Jacobian; `curvature`: an upper bound of its second
    derivative near the layers; `h`: the Newton-Kantorovich number, which must be below 1/2; None where not computed.
    """

    size: int
    layers: int
    residual_bound: float
    relative_residual_bound: float
    entry_bound: float
    existence: Existence = "not attempted"
    radius: float | None = None
    reason: str = "it was not asked for"
    least_singular: float | None = None
    curvature: float | None = None
    h: float | None = None
    seconds: float = 0.0

    @property
    def proved(self) -> bool:
        """Whether an exact factorization is proved to be near."""
        return self.existence == "proved"

    def holds(self, tolerance: float = 1e-12) -> bool:
        """Whether the relative residual is proved to be within `tolerance` and existence did not fail, if attempted."""
        return self.relative_residual_bound <= tolerance and self.existence != "not proved"

    def __str__(self) -> str:
        return (
            f"{self.size}x{self.size}, {self.layers} layers: |T - product| <= {shown(self.residual_bound)}, "
            f"{shown(self.relative_residual_bound)} of |T|, each entry within {shown(self.entry_bound)}; "
            f"existence {self.existence}: {self.reason} ({self.seconds:.1f} s)"
        )


def certify(
    target: FloatArray,
    parts: Sequence[Part],
    signs: FloatArray,
    order: IntArray,
    *,
    existence: bool = True,
    seconds: float = 60.0,
) -> FactorizationCertificate:
    """Enclose |T - product|, then look for an exact factorization nearby.

    **Arguments:** `target`: T, (n, n); `parts`: kind, block and log-scales of the layers from left to right; `signs`: (n,),
    ones but for -1's; `order`: the coordinates in the order (kept, rest). `existence`: False for the enclosure only.
    `seconds`: existence is not begun later than this; the enclosure is always finished.

    **Returns:** a `FactorizationCertificate`. Existence is attempted up to n = 64: see `_existence.py` for the
    theorem and for the bound on the Jacobian (in balls up to n = 24, in float64 with bounds on its rounding
    errors beyond).

    **Raises:** InputError: python-flint is not installed, or a number is not finite.
    """
    begun = time.monotonic()
    flint = load_flint()
    if not all(np.all(np.isfinite(x)) for x in (target, signs, *(x for part in parts for x in part[1:]))):
        raise InputError("`certificate` needs finite numbers; T or a layer holds one that is not.")
    n, inner = len(target), (signs[:, None] * target)[np.ix_(order, order)]
    layers, apart = _enclosed(inner, parts, begun + seconds)
    with flint.ctx.workprec(BITS):
        residual, entry = frobenius(*apart), largest(v for half in apart for v in half.entries())
        relative = residual / norm(balls(inner).entries()) if np.any(inner) else flint.arb("inf")
        made = FactorizationCertificate(
            size=n,
            layers=len(layers),
            residual_bound=up(residual),
            relative_residual_bound=up(relative),
            entry_bound=up(entry),
        )
        if existence and residual.is_zero():
            made = replace(made, existence="proved", radius=0.0, reason="the product is exactly T")
        elif existence and n > LIMIT:
            made = replace(made, reason=f"it is tried up to n = {LIMIT}")
        elif existence and time.monotonic() - begun > seconds:
            made = replace(made, reason=f"the enclosure took the {seconds:g} s allowed")
        elif existence:
            made = _nearby(made, layers, residual)
    return replace(made, seconds=time.monotonic() - begun)


def _enclosed(
    inner: FloatArray, parts: Sequence[Part], deadline: float
) -> tuple[list[BallLayer], tuple[BallMatrix, BallMatrix]]:
    """The layers, and the columns [:p] and [p:] of T - product, in as many bits as the radii need to be small:
    a thousandth of the largest bound."""
    bits = BITS
    while True:
        with load_flint().ctx.workprec(bits):
            layers = [ball_layer(*part) for part in parts]
            p, (first, second) = layers[0].p, product_halves(layers)
            apart = balls(inner[:, :p]) - first, balls(inner[:, p:]) - second
            values = [v for part in apart for v in part.entries()]
            sharp = 1000 * largest(v.rad() for v in values) <= largest(values)
            if sharp or bits >= MOST_BITS or time.monotonic() > deadline:
                return layers, apart
        bits *= 2


def _nearby(
    made: FactorizationCertificate, layers: Sequence[BallLayer], residual: Ball
) -> FactorizationCertificate:
    """The certificate with the answer of the theorem."""
    n, unknowns = made.size, sum(len(layer.scales) * (len(layer.kept) + 1) for layer in layers)
    if unknowns < n * n:
        reason = f"{unknowns} unknowns can not be shown to solve {n * n} equations nearby"
        return replace(made, existence="not proved", reason=reason)
    answer = kantorovich(layers, residual)
    made = replace(
        made,
        existence="not proved",
        radius=None if answer.radius is None else up(answer.radius),
        least_singular=down(answer.least_singular),
        curvature=None if answer.curvature is None else up(answer.curvature),
        h=None if answer.h is None else up(answer.h),
    )
    if made.radius is None:
        return replace(made, reason=_numbers(answer))
    units = f", block {answer.block + 1} in units of 2^{answer.exponent}" if answer.exponent else ""
    reason = f"within {shown(made.radius)}{units}; {_numbers(answer)}"
    if made.radius > CLOSE:
        return replace(made, reason=f"an exact one is near, but not known to be within {CLOSE:g}: {reason}")
    return replace(made, existence="proved", reason=reason)


def _numbers(answer: Kantorovich) -> str:
    """The figures of the theorem, and what failed."""
    parts = [answer.failure] if answer.failure else []
    if answer.curvature is not None:
        parts.append(f"|J^+| <= {shown(up(1 / answer.least_singular))}")
        parts.append(f"|F''| <= {shown(up(answer.curvature))}, h <= {shown(up(answer.h))}")
    return ", ".join(parts)
