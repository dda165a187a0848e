"""Generators of the synthetic tables of the second validation of the adviser: parameters are drawn, not chosen.

`draw("blobs-3")` is the third variation of the generator `blobs`: its rows (150, 300, 600 or 1,500) and parameters come
from a generator of random numbers seeded by the pool's seed and the name.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
ROWS = (150, 300, 600, 1_500)
VARIATIONS = 4
SCIKIT = (
    *("blobs", "circles", "moons", "s_curve", "friedman1", "friedman2", "friedman3", "low_rank_matrix"),
    *("sparse_uncorrelated", "classification", "gaussian_quantiles", "biclusters"),
)
NUMPY = (
    *("normal", "normal_correlated", "normal_equal", "copula_lognormal", "copula_gamma", "copula_mixed"),
    *("mixture", "mixture_plane", "student", "laplace", "banana", "cube", "ball", "checkerboard", "rings"),
)
POOL = tuple(f"{kind}-{i}" for kind in sorted((*SCIKIT, *NUMPY)) for i in range(1, VARIATIONS + 1))


def draw(name: str, seed: int) -> Table:
    """The synthetic table `name` of the pool."""
    kind = name.rpartition("-")[0]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    rows = int(rng.choice(ROWS))
    return np.asarray((_scikit if kind in SCIKIT else _numpy)(kind, rows, rng), dtype=np.float64)


def _scikit(kind: str, n: int, rng: np.random.Generator) -> Table:
    from sklearn import datasets

    make: Callable[..., Any] = getattr(datasets, f"make_{kind}")
    state, d = int(rng.integers(2**31)), int(rng.integers(2, 11))
    noise = float(rng.uniform(0.02, 0.3))
    match kind:
        case "blobs":
            return make(n, d, centers=int(rng.integers(2, 7)), random_state=state)[0]
        case "circles":
            return make(n, noise=noise, factor=float(rng.uniform(0.3, 0.8)), random_state=state)[0]
        case "moons" | "s_curve":
            return make(n, noise=noise, random_state=state)[0]
        case "friedman1":
            return np.column_stack(make(n, n_features=5 + d // 2, noise=10 * noise, random_state=state))
        case "friedman2" | "friedman3":
            x, y = make(n, random_state=state)
            return np.column_stack([x, y + noise * y.std() * rng.standard_normal(n)])
        case "low_rank_matrix":
            return make(n, d, effective_rank=max(1, d // 2), tail_strength=3 * noise, random_state=state)
        case "sparse_uncorrelated":
            return np.column_stack(make(n, n_features=4 + d // 2, random_state=state))
        case "classification":
            sizes = {"n_features": 2 + d, "n_informative": 2 + d // 2, "n_redundant": 0}
            classes, apart = int(rng.integers(2, 5)), float(rng.uniform(0.5, 3))
            return make(n, **sizes, n_classes=classes, class_sep=apart, random_state=state)[0]
        case "gaussian_quantiles":
            return make(cov=10 * noise, n_samples=n, n_features=d, random_state=state)[0]
        case _:
            clusters = int(rng.integers(2, 5))
            return make((n, max(d, clusters)), clusters, noise=30 * noise, random_state=state)[0]


def _correlated(n: int, d: int, rng: np.random.Generator) -> Table:
    """Normal columns of deviation 1 with a drawn correlation."""
    factor = rng.standard_normal((d, d)) + np.eye(d)
    factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    return rng.standard_normal((n, d)) @ factor.T


def _mixture(n: int, d: int, rng: np.random.Generator) -> Table:
    """Two to six normals with drawn weights, deviations and separation."""
    k = int(rng.integers(2, 7))
    centres = rng.uniform(1, 6) * rng.standard_normal((k, d))
    which = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 5.0)))
    return centres[which] + rng.uniform(0.3, 1.5, k)[which, None] * rng.standard_normal((n, d))


def _numpy(kind: str, n: int, rng: np.random.Generator) -> Table:
    d, noise = int(rng.integers(2, 13)), float(rng.uniform(0.05, 0.3))
    normal = rng.standard_normal
    match kind:
        case "normal":
            return normal((n, d))
        case "normal_correlated":
            return _correlated(n, d, rng)
        case "normal_equal":
            share = rng.uniform(0.3, 0.95)
            return np.sqrt(1 - share) * normal((n, d)) + np.sqrt(share) * normal((n, 1))
        case "copula_lognormal":
            return np.exp(_correlated(n, d, rng) * rng.uniform(0.1, 1.2, d))
        case "copula_gamma":
            from scipy import special, stats

            return stats.gamma.ppf(special.ndtr(_correlated(n, d, rng)), rng.uniform(0.7, 8, d))
        case "copula_mixed":  # normal, skewed, bounded and heavy-tailed columns in turn
            z = _correlated(n, d, rng)
            shapes = (lambda t: t, np.exp, np.tanh, np.sinh)
            return np.column_stack([shapes[j % 4](z[:, j]) for j in range(d)])
        case "mixture":
            return _mixture(n, 2 + d // 2, rng)
        case "mixture_plane":
            return _mixture(n, 2, rng)
        case "student":
            freedom = rng.uniform(2, 10)
            return _correlated(n, d, rng) / np.sqrt(rng.chisquare(freedom, (n, 1)) / freedom)
        case "laplace":
            return rng.laplace(size=(n, d))
        case "banana":
            x = _correlated(n, 2 + d // 4, rng)
            x[:, 1] = noise * 3 * x[:, 1] + rng.uniform(0.2, 1) * x[:, 0] ** 2
            return x
        case "cube":
            return rng.random((n, d))
        case "ball":
            x = normal((n, d))
            return x / np.linalg.norm(x, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / d)
        case "checkerboard":
            side = int(rng.integers(2, 5))
            i, j = rng.integers(side, size=n), rng.integers((side + 1) // 2, size=n)
            return np.column_stack([i, 2 * j + i % 2]) + rng.random((n, 2))
        case _:  # two rings
            radius = np.where(rng.random(n) < 0.5, 1.0, rng.uniform(1.5, 3)) + noise * normal(n)
            turn = 2 * np.pi * rng.random(n)
            return np.column_stack([radius * np.cos(turn), radius * np.sin(turn)])
