"""Five and six layers of a general T, even or odd, by continuation from a rotation, and what every route ends with.

docs/dev/mathematics.md 2.3 and 2.6.

Six: T = U diag(s) V^T is followed along U diag(s^t) V^T from Theorem A's layers of the rotation U V^T at t = 0. For odd n
a plane turn first makes that rotation fix a vector of the larger part: on the other 2d dimensions Theorem A holds.
Five: the last of six layers fades to the identity, T U_6(t)^{-1} being followed from t = 0, where the other five are known.
More layers, and better conditions: `extended`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._closed_forms import (
    polished,
    rotation_layers,
    widened,
)
from shoal.theory.linear._inputs import FactorProblem
from shoal.theory.linear._layer import Layer, product
from shoal.theory.linear._near_scalar import scalar_start
from shoal.theory.linear._product_equations import (
    LOWER,
    UPPER,
    ProductEquations,
    Target,
    assemble,
    point_of,
)
from shoal.theory.linear._search import Effort, Point, follow, lower_conditions, newton

FEWEST, USUAL, MOST = 5, 6, 11
DETOURS = 5  # paths tried where the first one leads nowhere
# of |log s| for a scalar s: beyond, it is left out of the search, and one pair alone takes it up
LARGE = 40.0
MISS = 1e-6  # relative; layers that miss T by more have grown so large that their product cancels

Path: TypeAlias = Callable[[float], tuple[FloatArray, FloatArray]]  # t -> a matrix and its inverse
Begin: TypeAlias = Callable[[int], tuple[tuple[Layer, ...], Path]]  # by the number of the detour


def six_layers(problem: FactorProblem, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    """L U L U L U and the route: closed forms near multiples of I and for rotations of even size, else by continuation."""
    even = len(problem.matrix) % 2 == 0
    start = scalar_start(problem) if even else None
    if start is not None:
        layers, exact = start
        return layers if exact else extended(problem, layers, USUAL, Effort(0)), "scalar"
    if problem.rotation and even:
        return rotation_layers(problem.matrix), "rotation"
    u, s, vt = np.linalg.svd(problem.matrix)
    begin = partial(_six_start, u, s, vt, problem.p)
    if even and np.max(np.abs(np.log(s))) < 1e-3:
        return _by_path(problem, USUAL, begin, Effort(0), ease=0, later=1), "polar"
    return _by_path(problem, USUAL, begin, effort), "continuation"


def five_layers(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """L U L U L by continuation. **Raises:** InputError where T12 is not of full rank."""
    values = np.linalg.svd(problem.matrix[: problem.p, problem.p :], compute_uv=False)
    if values[-1] <= 1e-12 * np.linalg.norm(problem.matrix, 2):
        article, block, other = ("a", "T12", "upper") if problem.first == "lower" else ("an", "T21", "lower")
        raise InputError(
            f"five layers that start with {article} {problem.first} one need a block {block} of full rank; its least "
            f'singular value is {values[-1]:.3g}. Use first="{other}" or layers=6.'
        )
    return _by_path(problem, FEWEST, partial(_five_start, problem), effort)


def extended(
    problem: FactorProblem, layers: tuple[Layer, ...], count: int, effort: Effort
) -> tuple[Layer, ...]:
    """More layers than given: identity layers at the right end, then better conditions."""
    target = _equations_of(problem, count)
    return _improved(target, point_of(target, layers), effort)


def _by_path(
    problem: FactorProblem, count: int, begin: Begin, effort: Effort, ease: int = 3, later: int = 3
) -> tuple[Layer, ...]:
    """`count` layers along the path `begin(detour)`; where it leads nowhere, along the next. `ease`, on detours `later`.

    **Raises:** NumericalFailure, that of the last path, where none gets there.
    """
    failure: Exception | None = None
    for detour in range(DETOURS):
        try:
            layers, path = begin(detour)
            point = _continued(path, layers, problem.p, count, later if detour else ease)
            return _improved(_equations_of(problem, count), point, effort)
        except (ValueError, NumericalFailure) as error:
            failure = error
    raise NumericalFailure(str(failure)) from failure


def _continued(path: Path, layers: tuple[Layer, ...], p: int, count: int, ease: int) -> Point:
    """Follow a path from its layers at t = 0 to t = 1, `ease` descent steps after each step.

    **Raises:** NumericalFailure where the steps get too small.
    """

    def at(t: float, point: Point) -> ProductEquations:
        return ProductEquations(Target(*path(t), p, count), point)

    begin = point_of(Target(*path(0.0), p, count), layers)
    found, t = follow(at, begin, ease=ease, limit=60, last=1e-14)
    if found is None:
        cure = "another `first` or `kept`" if len(path(0.0)[0]) % 2 else "`layers=11`, which always succeeds"
        raise NumericalFailure(f"the continuation to {count} layers stopped at t = {t:.3g} of 1; try {cure}.")
    return found.point


def _equations_of(problem: FactorProblem, count: int) -> Target:
    """The equations in extended precision where the machine has one: rounding in T^{-1} and M enters every layer."""
    wide = problem.matrix.astype(np.longdouble)
    k = np.linalg.inv(problem.matrix).astype(np.longdouble)
    inverse = k + k @ (np.eye(len(k)) - wide @ k)  # one step K (2 I - T K)
    return Target(wide, inverse, problem.p, count, problem.shift)


def _improved(target: Target, point: Point, effort: Effort) -> tuple[Layer, ...]:
    """The layers at a solution near `point`, after descent. `target` is in extended precision.

    **Raises:** NumericalFailure where a scale is not positive, or the layers are so large that their product is not T.
    """
    large = abs(target.shift) > LARGE
    rough = replace(
        target,
        matrix=target.matrix.astype(np.float64),
        inverse=target.inverse.astype(np.float64),
        shift=0.0 if large else target.shift,
    )

    def exact(near: Point) -> Point | None:
        found = newton(ProductEquations(rough, near, target))
        return None if found is None else found.point

    found = exact(point) or point
    if effort.steps:
        found = exact(lower_conditions(ProductEquations(rough, found), effort)) or found
    made = assemble(target, _level(target, found) if large else found)
    if made is None:
        raise NumericalFailure("the search left the matrices with positive scales; try `layers=11`.")
    layers = tuple(layer.astype(np.float64) for layer in made.layers)
    half = float(np.exp(-target.shift / 2))  # twice, so that neither overflows for the smallest T
    off = product(layers, half) * half - rough.matrix
    miss = float(np.linalg.norm(off) / np.linalg.norm(rough.matrix))
    if not miss <= MISS:
        raise NumericalFailure(f"the layers found miss T by {miss:.2g} relative to it; try `layers=11`.")
    return layers


def _level(target: Target, point: Point) -> Point:
    """The same product, the middle pair's own scales moved to the pair on its left.

    What is left there is the scalar exp(shift) alone, so that rounding its large logarithm changes the product by a factor.
    """
    made = assemble(replace(target, shift=0.0), point)
    if made is None:
        return point
    moved = [made.layers[place].log_scale + point.scales[place - LOWER] for place in (LOWER, UPPER)]
    return Point(point.blocks, [*moved, *point.scales[2:]])


def _six_start(
    u: FloatArray, s: FloatArray, vt: FloatArray, p: int, detour: int
) -> tuple[tuple[Layer, ...], Path]:
    """Theorem A's layers, and the path t -> (exp((1 - t) Z) U s^t V^T exp((1 - t) K), its inverse) from their product to T.

    exp(Z) makes the rotation U V^T exp(K) fix a vector of the larger part (Z = 0 for even n). Detour 1, 2, ... has a random
    skew-symmetric K, for the rare T whose layers at t = 0 are a singular point of the equations; detour 0 has K = 0.
    """
    n, logs = len(s), np.log(s)
    skew = np.random.default_rng(detour).normal(size=(n, n)) * (0.5 / n**0.5 * (detour > 0))
    skew -= skew.T
    turn, basis, rest = _turn_to_fix(u @ vt @ scipy.linalg.expm(skew), p)

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        grown, after, before = (
            np.exp(t * logs),
            scipy.linalg.expm((1 - t) * turn),
            scipy.linalg.expm((1 - t) * skew),
        )
        made: Any = after @ (u * grown) @ vt @ before
        return made, before.T @ (vt.T / grown) @ u.T @ after.T

    frame: Any = (
        scipy.linalg.block_diag(np.eye(p), basis) if rest else scipy.linalg.block_diag(basis, np.eye(n - p))
    )
    return widened(rotation_layers(polished(frame.T @ path(0.0)[0] @ frame)), basis, rest), path


def _turn_to_fix(rotation: FloatArray, p: int) -> tuple[FloatArray, FloatArray, bool]:
    """Z with exp(Z) O v = v for a unit vector v of the larger part, the basis of v's complement there, and whether that is
    the rest; Z is skew, of rank two, of the least angle that such a v has. For even n: Z = 0, no v, the rest.
    """
    n = len(rotation)
    rest = 2 * p <= n
    part = slice(p, n) if rest else slice(0, p)
    if n % 2 == 0:
        return np.zeros((n, n)), np.eye(p), rest
    block = rotation[part, part]
    vectors = np.linalg.eigh(block + block.T)[1]
    fixed = np.zeros(n)
    fixed[part] = vectors[:, -1]
    image = rotation @ fixed
    cosine = float(image @ fixed)
    across = image - cosine * fixed
    sine = float(np.linalg.norm(across))
    if cosine < 0 and sine < 1e-8:  # v -> -v: any plane of v serves
        across, sine = np.eye(n)[0 if rest else p], 1.0
        angle = np.pi
    else:
        angle = float(np.arctan2(sine, cosine))
    across = across / max(sine, 1e-300)
    return angle * (np.outer(fixed, across) - np.outer(across, fixed)), vectors[:, :-1], rest


def _five_start(problem: FactorProblem, detour: int) -> tuple[tuple[Layer, ...], Path]:
    """Five of the six layers L U L U L U_6 of T, and the path t -> T U_6(t)^{-1} along which the last one fades to I.

    U_6(t) has the block and the log-scales of U_6, times 1 - t. The six layers come by the path of the same `detour`.
    """
    u, s, vt = np.linalg.svd(problem.matrix)
    six, way = _six_start(u, s, vt, problem.p, detour)
    point = _continued(way, six, problem.p, USUAL, 1)
    *layers, last = _improved(replace(_equations_of(problem, USUAL), shift=0.0), point, Effort(0))

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        faded = Layer("upper", (1 - t) * last.block, (1 - t) * last.log_scale)
        made = problem.matrix @ faded.inverted().matrix()
        return made, np.linalg.inv(made)

    return tuple(layers), path
