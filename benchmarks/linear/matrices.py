"""The matrices of the paper's experiment, and what a row says of them: four kinds, det > 0, Frobenius norm sqrt(n)."""

import numpy as np
import scipy.linalg

from .summary import SEED

KINDS = ("gaussian", "orthogonal", "permutation", "toeplitz")
SIZES = (4, 8, 16, 32, 64)
SEEDS = (0, 1, 2)


def matrix(kind: str, n: int, seed: int) -> np.ndarray:
    """A random (n, n) matrix with a positive determinant: drawn anew until it has one."""
    rng = np.random.default_rng([SEED, KINDS.index(kind), n, seed])
    while True:
        made = _draw(kind, n, rng)
        if np.linalg.slogdet(made)[0] > 0:
            return made * np.sqrt(n) / np.linalg.norm(made)


def _draw(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "gaussian":
        return rng.normal(size=(n, n))
    if kind == "orthogonal":
        q, r = np.linalg.qr(rng.normal(size=(n, n)))
        return q * np.sign(np.diag(r))
    if kind == "permutation":
        return np.eye(n)[rng.permutation(n)]
    return scipy.linalg.toeplitz(rng.normal(size=n), rng.normal(size=n))


def couplings_product(blocks: np.ndarray, log_scales: np.ndarray) -> tuple[np.ndarray, float]:
    """The product of the layers L U L U ... in float64, and the worst layer's condition number (NumPy only)."""
    layers = [explicit(i, b, s) for i, (b, s) in enumerate(zip(blocks, log_scales, strict=True))]
    total = np.eye(2 * blocks.shape[1])
    for layer in layers:
        total = total @ layer
    return total, max(condition(layer) for layer in layers)


def explicit(index: int, block: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """Layer `index` of L U L U ... as a matrix."""
    eye, zero, scale = np.eye(len(block)), np.zeros_like(block), np.diag(np.exp(log_scale))
    return np.block([[eye, zero], [block, scale]] if index % 2 == 0 else [[scale, block], [zero, eye]])


def condition(m: np.ndarray) -> float:
    """κ; inf where the least singular value is 0."""
    values = np.linalg.svd(m, compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")
