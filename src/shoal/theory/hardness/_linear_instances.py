"""Matrices that need a proved number of affine coupling layers: hard instances for *maps*, not for laws.

The proof is Theorem C of docs/dev/mathematics.md, section 2.4; `shoal.linear.fewest_layers` finds its certificate and a
factorization. Layers have positive diagonals. That six block unitriangular factors are enough for every matrix of
determinant 1, and sometimes necessary, was proved by Urschel (arXiv 2023).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from shoal._errors import InputError
from shoal._scalars import FloatArray

THEOREM_C = (
    "Theorem C (docs/linear.md): diag(X, W) as five layers L U L U L gives X^-1 D and W D' one spectrum for some positive "
    "diagonals D, D', and as U L U L U W^-1 D and X D'; "
)


@dataclass(frozen=True, eq=False)
class LinearInstance:
    r"""z -> T z on R^{2d}, the first d coordinates kept by one kind of layer and the others by the other kind.

    **Fields:** `name`; `matrix`: T, (2d, 2d), det T = 1; `at_least`: layers that are proved to be necessary, in both
    orders; `at_most`: layers that are proved to be enough; `argument`: where the lower bound is from, in words.

    An instance for maps. As a law T N(0, I) = N(0, T T^T) it is a Gaussian, which one pair of layers has exactly
    (`shoal.linear.gaussian`), and here T is orthogonal, so that it is N(0, I) itself. And it is about equality: five
    layers come as near to T as one likes, at a price in conditioning (Theorem B of docs/linear.md).
    """

    name: str
    matrix: FloatArray
    at_least: int
    at_most: int
    argument: str


def quarter_turns(d: int) -> LinearInstance:
    r"""diag(I_d, quarter turns of d / 2 planes): six layers with positive diagonals, no fewer, d even.

    **Raises:** InputError for a d that is odd or below 2.

    >>> from shoal.theory.hardness import quarter_turns
    >>> quarter_turns(2).at_least
    6
    """
    if d < 2 or d % 2:
        raise InputError(f"`quarter_turns` needs an even d of at least 2; got {d}.")
    turns = np.kron(np.eye(d // 2), [[0.0, -1.0], [1.0, 0.0]])
    words = (
        THEOREM_C
        + "with X = I one is positive and the other imaginary. With diagonals of any sign four layers do."
    )
    return LinearInstance("quarter turns", np.asarray(block_diag(np.eye(d), turns)), 6, 6, words)


def cycle(d: int) -> LinearInstance:
    r"""diag(cyclic shift of d coordinates, I_d), one sign changed for even d (det T = 1): six layers, no fewer, d >= 3.

    With diagonals of any sign too: the example for Theorem 3 of Koehler, Mehta and Risteski (2021).

    **Raises:** InputError for d below 3: the shift of two coordinates has a real spectrum.

    >>> from shoal.theory.hardness import cycle
    >>> cycle(3).at_most
    6
    """
    if d < 3:
        raise InputError(f"`cycle` needs a d of at least 3; got {d}.")
    shift = np.roll(np.eye(d), 1, axis=0)
    shift[0] *= (-1.0) ** (d - 1)
    words = "with W = I one is real and the other all d-th roots of a real number, with diagonals of any sign too, "
    words += "as in Koehler, Mehta and Risteski 2021, Theorem 3."
    return LinearInstance("cycle", np.asarray(block_diag(shift, np.eye(d))), 6, 6, THEOREM_C + words)


def half_turn() -> LinearInstance:
    r"""-I on R^2: four layers, no fewer; in the plane four are enough for every T with det T > 0.

    L U L = (1, 0; a, b) (c, d; 0, 1) (1, 0; e, f) has the upper right entry d f: it is 0 for d = 0 only, and then the upper
    left one is c > 0. U L U is its mirror image, and fewer layers have identity layers among these.
    """
    words = (
        "The upper right entry of L U L vanishes only where the upper left one is a positive scale, and -1 is none; "
        "U L U mirrors it (docs/linear.md, d = 1)."
    )
    return LinearInstance("half turn", -np.eye(2), 4, 4, words)
