"""A construction as plain lists and numbers: certificate, condition numbers, and points before and after each layer.

`shoal.report.write_report` draws it. Points are pairs of coordinates: the first of each half. A point's colour is
y_1, whose cell decides to which atom it goes; a row of the sample has the median y_1 of its own atom's cell.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from scipy.special import ndtri

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike
from shoal.bijections import Chain
from shoal.conditioning import compute
from shoal.records import ConstructionRecord
from shoal.records.construction import Pictures, Steps
from shoal.theory.universal._construct import Construction
from shoal.theory.universal._inputs import checked, shares

POINTS = 1500  # a picture
STEPS = 600  # of a staircase


def construction_record(
    made: Construction,
    samples: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    columns: tuple[str, ...] | None = None,
    seed: int = 0,
) -> ConstructionRecord:
    """The record of a construction, which `shoal.report.write_report` draws.

    **Arguments:** `samples`, `weights`: those of `construct`; `columns`: names, default x0, x1, ...; `seed`: of the points
    that are shown.
    **Returns:** a `shoal.records.ConstructionRecord`, its pictures of at most 1,500 points each and at most 600 steps of
    each staircase.
    **Raises:** InputError where samples and weights are none that `construct` takes, or other ones than the construction's.
    """
    x, _, w = checked(samples, made.certificate.epsilon, weights)
    if x.shape != (made.certificate.points, made.atoms.points.shape[1]):
        raise InputError(
            f"`samples` must be the {made.certificate.points} rows of {made.atoms.points.shape[1]} columns that the "
            f"construction was made from; got {x.shape}."
        )
    n = x.shape[1]
    names = columns or tuple(f"x{i}" for i in range(n))
    return ConstructionRecord(
        size=n,
        padded=made.flow.extra > 0,
        columns=list(names),
        delta=made.staircase.delta,
        plateau=made.staircase.plateau,
        certificate=made.certificate,
        pictures=_pictures(made, x, shares(w), names, np.random.default_rng(seed)),
    )


def _pictures(
    made: Construction, x: FloatArray, w: FloatArray, names: tuple[str, ...], rng: np.random.Generator
) -> Pictures:
    d = made.staircase.a.shape[1]
    joint = made.flow.joint
    z = rng.standard_normal((POINTS, 2 * d)).astype(made.certificate.dtype)
    one, two = compute(_stages, joint.bijection, z, precision=made.certificate.dtype)  # pyright: ignore[reportArgumentType]
    rows = rng.choice(len(x), POINTS, p=w) if len(x) > POINTS else np.arange(len(x))
    shown = [0, d]
    return Pictures(
        names=(names[0], names[d]),
        target=_plain(np.c_[x[rows][:, shown], _cells(made)[rows]]),
        latent=_plain(z[:, shown]),
        first=_plain(one[:, shown]),
        second=_plain(two[:, shown]),
        driver=_plain(z[:, d]),
        t2=_steps(*made.staircase.knots_of_first()),
        t3=_steps(*made.staircase.knots_of_second()),
    )


@eqx.filter_jit
def _stages(chain: Chain, z: Array) -> tuple[Array, Array]:
    """The points after each layer."""
    first, second = chain.bijections
    one = jax.vmap(first.forward)(z)
    return one, jax.vmap(second.forward)(one)


def _cells(made: Construction) -> FloatArray:
    """The median of y_1 in the cell of each row's atom, (M,)."""
    staircase = made.staircase
    levels = np.concatenate([[0.0], staircase.below, [1.0]])
    middle = np.empty(len(staircase.order))
    middle[staircase.order] = ndtri((levels[1:] + levels[:-1]) / 2)
    return middle[made.atoms.labels]


def _steps(knots: FloatArray, values: FloatArray) -> Steps:
    """Knots and the first output there, both ends drawn on; of many steps every `stride`-th border."""
    stride = max(1, -(-(len(knots) // 2) // STEPS))
    pairs = np.arange(0, len(knots) // 2, stride)
    kept = np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1) if len(knots) > 1 else np.zeros(1, int)
    ends = 0.05 * max(float(np.ptp(knots)), 1.0)
    at = np.concatenate([[knots[0] - ends], knots[kept], [knots[-1] + ends]])
    return Steps(
        knots=_plain(at, 9),
        values=_plain(np.concatenate([values[:1, 0], values[kept, 0], values[-1:, 0]])),
        stride=stride,
        steps=len(knots) // 2 + 1,
    )


def _plain(array: FloatArray, digits: int = 5) -> Any:
    """Numbers with so many significant digits, as a list; rows of a matrix as tuples."""
    if array.ndim > 1:
        return [tuple(_plain(row, digits)) for row in array]
    return [float(f"{float(value):.{digits - 1}e}") for value in array]
