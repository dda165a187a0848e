"""Eleven layers for every T with det > 0, with a bound on each layer's condition: docs/dev/mathematics.md 2.3.

T = O1 diag(s1, s2) O2 with the singular values ascending and O1, O2 rotations, each six layers by Theorem A; the two
inner layers and the singular values merge into one upper and one lower layer. Every layer has
κ <= 49 max(1, σ1) max(1, 1/σn).
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.linear._layer import Layer
from shoal.linear._orthogonal import rotation_layers


def svd_layers(u: FloatArray, s: FloatArray, vt: FloatArray) -> tuple[Layer, ...]:
    """L U L U L U L U L U L for U diag(s) V^T, det > 0 and n even, from its singular value decomposition."""
    u, s, vt = u[:, ::-1].copy(), s[::-1], vt[::-1].copy()
    if np.linalg.slogdet(u)[0] < 0:
        u[:, 0], vt[0] = -u[:, 0], -vt[0]
    d = len(s) // 2
    left, turned = rotation_layers(u), rotation_layers(vt.T)
    back = [Layer(layer.kind, -layer.block, layer.log_scale) for layer in turned[::-1]]
    low, high = s[:d], s[d:]
    upper = Layer("upper", left[5].block + low[:, None] * back[0].block / high, np.log(low))
    lower = Layer("lower", high[:, None] * back[1].block, np.log(high))
    return (*left[:5], upper, lower, *back[2:])
