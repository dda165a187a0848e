"""From shears and log-scales to layers and back, and gradients from layers to shears.

Diagonals slide through shears: inserting Delta_j Delta_j^{-1} between layers j and j + 1 changes blocks and scales but
not the product. So every shear may carry its own log-scale; the middle pair takes up the rest. A lower layer leaves
the upper part of Delta as it is, an upper one the lower part, which fixes every Delta from the two ends.
"""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer, identity_layer
from shoal.theory.linear._search import Point
from shoal.theory.linear._shears import Linearization, Target, middle


@dataclass(frozen=True, eq=False)
class Assembly:
    """The layers at a point, and what their gradient needs. `logs`: (row, column) logarithms that scale each block."""

    layers: tuple[Layer, ...]
    logs: list[tuple[FloatArray, FloatArray]]
    c: FloatArray
    b: FloatArray


def assemble(target: Target, point: Point) -> Assembly | None:
    """The layers of a point that satisfies the equations; None where a middle diagonal is not positive."""
    m, g = middle(target, point.blocks)
    p, count = target.p, len(target.left)
    c, inverse_b = np.diag(m)[:p], np.diag(g)
    if not (
        np.all(c > 0) and np.all(inverse_b > 0) and np.all(np.isfinite(c)) and np.all(np.isfinite(inverse_b))
    ):
        return None
    logs: list[tuple[FloatArray, FloatArray]] = []
    upper, lower = np.zeros(p), np.zeros(target.q)
    for kind, scale in zip(target.left, point.scales[:count], strict=True):
        logs.append((-lower, upper) if kind == "lower" else (-upper, lower))
        upper, lower = (upper, lower + scale) if kind == "lower" else (upper + scale, lower)
    ends: list[tuple[FloatArray, FloatArray]] = []
    upper_end, lower_end = np.zeros(p), np.zeros(target.q)
    for kind, scale in zip(target.right[::-1], point.scales[count:][::-1], strict=True):
        if kind == "lower":
            lower_end = lower_end - scale
            ends.append((-lower_end, upper_end))
        else:
            upper_end = upper_end - scale
            ends.append((-upper_end, lower_end))
    logs += [(-lower, upper), (target.shift - upper, lower_end), *ends[::-1]]
    blocks = [*point.blocks[:count], m[p:, :p] / c, m[:p, p:], *point.blocks[count:]]
    middles = [
        lower_end - lower - np.log(inverse_b) + target.shift,
        upper_end - upper + np.log(c) + target.shift,
    ]
    scales = [*point.scales[:count], *middles, *point.scales[count:]]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = [np.exp(r)[:, None] * x * np.exp(s) for x, (r, s) in zip(blocks, logs, strict=True)]
    kinds = (*target.left, "lower", "upper", *target.right)
    layers = tuple(Layer(k, x, s) for k, x, s in zip(kinds, scaled, scales, strict=True))
    return Assembly(layers, logs, c, 1.0 / inverse_b)


def disassemble(target: Target, layers: tuple[Layer, ...]) -> Point:
    """The point whose layers these are: shears with every diagonal slid into the middle, and the log-scales."""
    count = len(target.left)
    upper, lower = np.zeros(target.p), np.zeros(target.q)
    left: list[FloatArray] = []
    for layer in layers[:count]:
        rows, columns = (lower, upper) if layer.kind == "lower" else (upper, lower)
        left.append(np.exp(rows)[:, None] * layer.block * np.exp(-columns))
        upper, lower = (
            (upper, lower + layer.log_scale) if layer.kind == "lower" else (upper + layer.log_scale, lower)
        )
    right: list[FloatArray] = []
    upper, lower = np.zeros(target.p), np.zeros(target.q)
    for layer in layers[: count + 1 : -1]:
        upper, lower = (
            (upper, lower - layer.log_scale) if layer.kind == "lower" else (upper - layer.log_scale, lower)
        )
        rows, columns = (lower, upper) if layer.kind == "lower" else (upper, lower)
        right.append(np.exp(rows)[:, None] * layer.block * np.exp(-columns))
    scales = [layer.log_scale.copy() for layer in (*layers[:count], *layers[count + 2 :])]
    return Point([*left, *right[::-1]], scales)


def pulled_back(target: Target, line: Linearization, made: Assembly, bars: list[Layer]) -> Point:
    """The gradient at a point, from the derivatives with respect to each layer's block and log-scale."""
    count, p, n = len(target.left), target.p, len(target.matrix)
    plain = [np.exp(r)[:, None] * bar.block * np.exp(s) for bar, (r, s) in zip(bars, made.logs, strict=True)]
    weights = [bar.block * layer.block for bar, layer in zip(bars, made.layers, strict=True)]
    rows, columns = [w.sum(1) for w in weights], [w.sum(0) for w in weights]
    k = count
    m_bar, g_bar = np.zeros((n, n)), np.diag(-bars[k].log_scale * made.b)
    m_bar[p:, :p] = plain[k] / made.c
    m_bar[:p, p:] = plain[k + 1]
    below = made.layers[k].block * np.exp(-made.logs[k][0])[:, None] * np.exp(-made.logs[k][1])
    c_bar = bars[k + 1].log_scale / made.c - (plain[k] * below).sum(0) / made.c
    m_bar[np.arange(p), np.arange(p)] = c_bar
    through = line.adjoint(m_bar, g_bar)
    blocks: list[FloatArray] = [b + x for b, x in zip(through, [*plain[:k], *plain[k + 2 :]], strict=True)]
    upper, lower = -rows[k + 1] - bars[k + 1].log_scale + columns[k], -rows[k] - bars[k].log_scale
    left: list[FloatArray] = []
    for j in range(k - 1, -1, -1):
        if made.layers[j].kind == "lower":
            left.append(bars[j].log_scale + lower)
            lower, upper = lower - rows[j], upper + columns[j]
        else:
            left.append(bars[j].log_scale + upper)
            upper, lower = upper - rows[j], lower + columns[j]
    upper, lower = bars[k + 1].log_scale.copy(), bars[k].log_scale + columns[k + 1]
    right: list[FloatArray] = []
    for j in range(k + 2, len(bars)):
        if made.layers[j].kind == "lower":
            lower, upper = lower - rows[j], upper + columns[j]
            right.append(bars[j].log_scale - lower)
        else:
            upper, lower = upper - rows[j], lower + columns[j]
            right.append(bars[j].log_scale - upper)
    return Point(blocks, [*left[::-1], *right])


def start(target: Target, layers: tuple[Layer, ...]) -> Point:
    """`layers` as a point, padded with identity layers at the right end to the count that the target has."""
    kinds = (*target.left, "lower", "upper", *target.right)
    padded = [*layers, *(identity_layer(kind, target.p, target.q) for kind in kinds[len(layers) :])]
    return disassemble(target, tuple(padded))
