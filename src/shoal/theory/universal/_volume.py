r"""How near a volume-preserving flow can come to a Gaussian in KL, exactly, and what closes the gap.

A volume-preserving flow moves the levels of its base's density and keeps their volumes: q = N(0, I) o f^{-1} has
|{q > t}| = |{N(0, I) > t}| for every t. Let p = N(m, S) in R^n and c = det(S)^{1/n}. Then

    KL(p || q) = -H(p) - E_p[log q],    E_p[log q] <= E_{p*}[log N(0, I)],

by the rearrangement inequality (Hardy, Littlewood): p* is p's symmetric decreasing rearrangement, the density of round level
sets with the volumes of p's, here N(0, c I), and that of q is N(0, I) itself. H(p) = H(p*), so that

    KL(p || q) >= KL(N(0, c I) || N(0, I)) = n (c - 1 - log c) / 2,

for every volume-preserving map, smooth or not, of any depth. z -> m + c^{-1/2} S^{1/2} z has determinant 1 and attains it.
The other direction is the same with the roles exchanged: KL(q || p) >= n (1/c - 1 + log c) / 2. Both are 0 only for c = 1.
Multiplying by c^{1/2} after that map gives p: one scaling layer is all that is missing. Draxler, Wahl, Schnoerr, Koethe
(2024) show that volume-preserving flows are not universal and what they learn; the infimum is derived here.
"""

from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.records.figures import Figure


@dataclass(frozen=True)
class VolumePreservingGap:
    """The least KL of volume-preserving flows of N(0, I) to N(mean, S), and the flow's law that has it.

    `kl`: of KL(data || flow), what maximum likelihood leaves; `reverse_kl`: of KL(flow || data); both minima, exact.
    `covariance`: S / c of the nearest law, which is the same in both directions; `scale`: c^{1/2}, the one scaling layer
    x -> scale (x - mean) + mean that makes N(mean, S) of it.
    """

    kl: Figure
    reverse_kl: Figure
    covariance: FloatArray
    scale: float


def volume_preserving_gap(covariance: FloatArray) -> VolumePreservingGap:
    r"""inf KL(N(m, S) || N(0, I) o f^{-1}) over all volume-preserving f: n (c - 1 - log c) / 2, c = det(S)^{1/n}.

    Additive couplings (NICE), orthogonal and unit-determinant layers and their compositions are such f: none comes below.
    `linear.gaussian` reaches 0 with affine couplings for every S.

    **Arguments:** `covariance`: S, (n, n), symmetric, positive definite. The mean costs nothing: a shift keeps volumes.
    **Returns:** a `VolumePreservingGap`; its figures are exact but for rounding, about n eps cond(S)^{1/2}.
    **Raises:** ValueError for a covariance that is not square, finite, symmetric or positive definite.

    Source: Draxler et al. (2024), "On the Universality of Volume-Preserving and Coupling-Based Normalizing Flows"; the
    module derives the infimum.

    >>> import numpy as np
    >>> round(volume_preserving_gap(np.diag([4.0, 4.0])).kl.value, 6)  # 4 - 1 - log 4
    1.613706
    """
    s = np.asarray(covariance, np.float64)
    if s.ndim != 2 or s.shape[0] != s.shape[1] or s.shape[0] < 1 or not np.isfinite(s).all():
        raise InputError(f"`covariance` must be a finite (n, n) matrix; got shape {s.shape}.")
    if np.abs(s - s.T).max() > 1e-12 * np.abs(s).max():
        raise InputError("`covariance` must be symmetric; take (S + S.T) / 2 if the difference is rounding.")
    n = len(s)
    deviations = np.sqrt(np.maximum(np.diag(s), 0.0))
    try:
        root = np.linalg.cholesky(s / np.outer(deviations, deviations)) if (deviations > 0).all() else None
    except np.linalg.LinAlgError:
        root = None
    if root is None:
        raise InputError("`covariance` must be positive definite; leave out columns that depend on others.")
    log_c = 2 * float(np.log(np.diag(root)).sum() + np.log(deviations).sum()) / n
    off = np.expm1(log_c)  # c - 1 and 1 / c - 1 without cancellation
    return VolumePreservingGap(
        Figure(max(n * (float(off) - log_c) / 2, 0.0), "exact"),
        Figure(max(n * (float(np.expm1(-log_c)) + log_c) / 2, 0.0), "exact"),
        s * np.exp(-log_c),
        float(np.exp(log_c / 2)),
    )
