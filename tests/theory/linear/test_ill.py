"""Ill cases: each factors to 1e-12 in finite layers, or is one ValueError or NumericalFailure with the text given here.

Warnings are errors in this suite, so that an overflow on the way would show too.
"""

import json

import numpy as np
import pytest

from shoal._errors import NumericalFailure
from shoal.theory.linear import Effort, Factorization, factor, fewest_layers
from tests.theory.linear.oracles import exact, rational, written_out

QUICK = Effort(0)
NORMAL = np.random.default_rng(0).normal(size=(6, 6))
LEFT, _, RIGHT = np.linalg.svd(NORMAL)
TURN = np.array([[1.0, -2.0], [2.0, 1.0]])


def conditioned(condition: float) -> np.ndarray:
    return (LEFT * np.logspace(0, -np.log10(condition), 6)) @ RIGHT


def zeroed(*blocks: tuple[int, int]) -> np.ndarray:
    out = NORMAL.copy()
    for i, j in blocks:
        out[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = 0
    return out


def with_entry(t: np.ndarray, *entries: tuple[int, int, float]) -> np.ndarray:
    out = np.array(t, float)
    for i, j, value in entries:
        out[i, j] = value
    return out


ANSWERED = {
    "hardly-a-rotation": np.eye(6) + 1e-12 * NORMAL,  # the closed form alone misses it by more than 1e-12
    "symmetric-start": np.array([[7.0, 2, 2, 2], [2, 7, 2, 2], [0, 0, 7, 2], [0, 0, 2, 7]]),  # needs a detour
    "n3-integers": np.array([[2.0, 1, 0], [-2, -1, -3], [-3, -3, -2]]),
    "n3-cycle": np.eye(3)[[2, 0, 1]],
    "n3-swap": np.eye(3)[[1, 0, 2]],
    "det-1e-300": 1e-50 * NORMAL,
    "det-1e-300-of-4": 1e-75 * NORMAL[:4, :4],
    "det-minus-1e-300": 1e-50 * NORMAL[::-1],
    "1e150": 1e150 * NORMAL,
    "1e-150": 1e-150 * NORMAL,
    "1e300": 1e300 * NORMAL,
    "subnormal-all": 1e-310 * NORMAL,
    "subnormal-entries": with_entry(np.eye(4), (0, 2, 5e-324), (3, 1, 1e-310)),
    "subnormal-beside-normal": with_entry(NORMAL, (0, 4, 5e-324), (5, 1, -1e-310)),
    "identity-1e-14": np.eye(6) + 1e-14 * NORMAL,
    "identity-1e-8": np.eye(6) + 1e-8 * NORMAL,
    "identity-1e-3": np.eye(6) + 1e-3 * NORMAL,
    "minus-identity-1e-14": -np.eye(6) + 1e-14 * NORMAL,
    "minus-identity-1e-6": -np.eye(6) + 1e-6 * NORMAL,
    "T11-zero": zeroed((0, 0)),
    "T12-zero": zeroed((0, 1)),
    "T21-zero": zeroed((1, 0)),
    "T22-zero": zeroed((1, 1)),
    "block-diagonal": zeroed((0, 1), (1, 0)),
    "block-anti-diagonal": zeroed((0, 0), (1, 1)),
    "T12-rank-one": np.block([[NORMAL[:3, :3], np.ones((3, 3))], [NORMAL[3:]]]),
    "scalar": 3 * np.eye(6),
    "minus-scalar": -3 * np.eye(6),
    "small-scalar": 1e-5 * np.eye(6),
    "largest-scalar": np.finfo(np.float64).max * np.eye(4),
    "minus-two": -2 * np.eye(2),
    "repeated-complex": np.kron(np.eye(3), TURN),
    "defective-complex": np.kron(np.eye(4), TURN) + np.eye(8, k=2),
    "defective-complex-4": np.kron(np.eye(2), TURN) + np.eye(4, k=2),
    "one-jordan-block": np.eye(6) + np.eye(6, k=1),
    "one-negative-jordan-block": -np.eye(6) + np.eye(6, k=1),
    "permutation-with-fixed-points": np.eye(8)[[0, 2, 1, 3, 4, 6, 7, 5]],
    "one-transposition": np.eye(6)[[1, 0, 2, 3, 4, 5]],
    "graded": np.diag(10.0 ** np.arange(-6, 0)),
    "graded-columns": NORMAL * 10.0 ** np.arange(6),
    "condition-1e6": conditioned(1e6),
    "n1": np.array([[2.0]]),
    "n1-negative": np.array([[-2.0]]),
    "n1-smallest": np.array([[5e-324]]),
    "n1-largest": np.array([[1.7e308]]),
    "n2": NORMAL[:2, :2],
    "n2-minus": -np.eye(2),
    "n2-swap": np.eye(2)[::-1],
    "n2-diagonal": np.diag([-2.0, -0.5]),
    "n2-anti-diagonal": np.array([[0.0, 2.0], [-3.0, 0.0]]),
    "n2-shear": np.array([[1.0, 0.0], [5.0, 1.0]]),
    "n3": NORMAL[:3, :3],
    "n3-identity": np.eye(3),
    "n3-minus": -np.eye(3),
    "n3-transposition": np.eye(3)[[0, 2, 1]],
    "n3-diagonal": np.diag([1.0, 2.0, 3.0]),
    "n3-jordan": np.eye(3) + np.eye(3, k=1),
    "n5-permutation": np.eye(5)[[0, 2, 1, 3, 4]],
    "n5-shift": np.roll(np.eye(5), 1, axis=0),
}


def check(made: Factorization) -> None:
    assert exact(made).residual <= 1e-12
    assert made.residual.float64 <= 1e-12
    assert not np.any(np.isnan(made.conditions.layers))
    for layer in made.layers:
        assert np.all(np.isfinite(layer.block))
        assert np.all(np.isfinite(layer.log_scale))


SCALED = {
    "shear": np.array([[1.0, 1e12], [0.0, 1.0]]),
    "lower-shear": np.array([[1.0, 0.0], [-1e15, 1.0]]),
    "diagonal": np.diag([1e9, 1e-9]),
    "diagonal-of-3": np.diag([1e12, -1.0, 1e-12]),
    "anti-diagonal": np.array([[0.0, 1e10], [1e-10, 0.0]]),
    "integers": np.array([[1, 2**60], [0, 1]], np.int64),
    "one-tiny-row": NORMAL * np.array([1, 1, 1e-200, 1, 1, 1])[:, None],
    "one-huge-column": NORMAL * np.array([1, 1, 1e100, 1, 1, 1]),
    "far-apart": np.diag([1e200, 1e-200]),
    "far-apart-shear": np.array([[1e150, 1.0], [0.0, 1e-150]]),
    "rows-and-columns": np.outer(10.0 ** np.array([6, -9, 0, 3]), 10.0 ** np.array([-5, 8, 2, -7]))
    * NORMAL[:4, :4],
    "graded-columns": conditioned(1e3) * 10.0 ** np.arange(0, 24, 4),
}


@pytest.mark.parametrize("first", ["lower", "upper"])
@pytest.mark.parametrize("name", SCALED)
def test_badly_scaled_is_not_singular(name: str, first):
    """Numerical rank is judged after rows and columns are equilibrated; what came out is measured so too, exactly."""
    made = factor(SCALED[name], first=first, effort=QUICK)
    check(made)
    n, target = len(made.target), np.array(SCALED[name], float)
    product = rational(np.eye(n))
    for layer in made.layers:
        product = product @ written_out(layer, n)
    inner = np.empty_like(product)
    order = [*made.kept, *(i for i in range(n) if i not in made.kept)]
    inner[np.ix_(order, order)] = product
    missed = np.array((rational(np.diag(made.signs)) @ inner - rational(target)), object)
    left, right = np.ones(n), np.ones(n)
    for _ in range(60):  # rows and columns in turn by roots, so that both tend to 1 in the largest entry
        sizes = np.abs(target) / left[:, None] / right
        left, right = left * sizes.max(axis=1) ** 0.5, right * sizes.max(axis=0) ** 0.5
    missed = missed / rational(left)[:, None] / rational(right)
    assert max(abs(float(x)) for x in missed.ravel()) <= 1e-11


@pytest.mark.parametrize("scale", [1e120, 1e-120, 1e300, 1e-300])
def test_a_scalar_at_the_ends_of_float64_costs_no_digits(scale: float):
    """Its logarithm, of size 700, is rounded once for all coordinates: products of well-conditioned layers do not cancel."""
    turn = np.linalg.qr(NORMAL)[0] * np.array([1, 1, 1, 1, 1, np.linalg.det(np.linalg.qr(NORMAL)[0])])
    for t in (np.kron(np.eye(3), TURN), NORMAL, turn, np.eye(6), -np.eye(6) + 1e-13 * NORMAL):
        made = factor(scale * t, effort=Effort(2))
        check(made)
        assert exact(made).residual < 2e-13
        assert (
            t[0, 1] == -2.0 or made.certificate().proved
        )  # the repeated turn is a singular point at scale 1 too


@pytest.mark.parametrize("scale", [1e120, 1e-307])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_the_fewest_layers_are_those_of_a_multiple(count: int, scale: float):
    lower, upper = np.diag([1.0, 1, 2, 0.5]), np.diag([3.0, 1, 1, 1])
    lower[2:, :2], upper[:2, 2:] = [[1, 2], [-1, 1]], [[1, -2], [0.5, 1]]
    turns = np.kron(np.diag([1, 0]), np.eye(2)) + np.kron(np.diag([0, 1]), [[0.0, -1], [1, 0]])
    halves = np.diag([1.0, 1, -1, -1])
    t = [lower @ upper, lower @ upper @ lower, lower @ upper @ lower @ upper, halves, turns][count - 2]
    t = t + 0.2 * np.eye(4)[[2, 3, 1, 0]] if count == 5 else t
    answer = fewest_layers(scale * t)
    assert (answer.at_least, answer.at_most, answer.status) == (count, count, "proved")
    assert answer.witness is not None
    assert answer.witness.residual.float64 < 1e-12


BOTH = [(name, "lower") for name in ANSWERED] + [
    (n, "upper") for n in ANSWERED if n[:2] in ("T1", "T2", "n3", "n5")
]


@pytest.mark.parametrize(("name", "first"), BOTH)
def test_answered(name: str, first):
    t = ANSWERED[name]
    made = factor(t, first=first, effort=QUICK)
    assert np.array_equal(made.target, t)
    assert len(made.layers) == 6
    check(made)


@pytest.mark.parametrize("name", [name for name, t in ANSWERED.items() if len(t) % 2 == 0])
def test_answered_by_eleven_layers(name: str):
    check(factor(ANSWERED[name], 11))


@pytest.mark.parametrize("name", ["det-1e-300", "1e300", "subnormal-all", "graded"])
def test_descent_of_the_worst_condition_survives_extremes(name: str):
    check(factor(ANSWERED[name], effort=Effort(4)))


@pytest.mark.parametrize("condition", [1e8, 1e10, 1e12, 1e14])
def test_nearly_singular_in_eleven_layers(condition: float):
    made = factor(conditioned(condition), 11)
    check(made)
    values = np.linalg.svd(made.target, compute_uv=False)
    assert made.conditions.largest <= 49 * max(1, values[0]) / values[-1]


@pytest.mark.parametrize("first", ["lower", "upper"])
@pytest.mark.parametrize("condition", [1e8, 1e12, pytest.param(1e14, marks=pytest.mark.long)])
def test_nearly_singular_in_six_is_answered_or_refused(condition: float, first):
    """Six layers may fail beyond 1e6; then it is said, with what to do, and nothing is returned."""
    try:
        made = factor(conditioned(condition), first=first, effort=QUICK)
    except NumericalFailure as error:
        refused = str(error)
    else:
        refused = ""
        check(made)
    assert not refused or (condition >= 1e10 and "ry `layers=11`" in refused)


@pytest.mark.parametrize(
    ("t", "options", "text"),
    [
        (conditioned(1e17), {}, "singular to working precision: numerical rank 5 of 6"),
        (np.zeros((4, 4)), {}, "numerical rank 0 of 4"),
        (
            1e-320 * NORMAL,
            {},
            "too small for float64: its largest entry, 2.*e-320, has lost digits; scale it",
        ),
        (np.ones((3, 3)), {}, "numerical rank 1 of 3"),
        (np.array([[0.0]]), {}, "numerical rank 0 of 1"),
        (np.ones((2, 2)) * np.array([1e12, 1.0]), {}, "rank 1 of 2, however rows and columns are scaled"),
        (np.array([[2**53 - 1, 1], [2**53 - 2, 1]]), {}, "rank 1 of 2, however rows and columns are scaled"),
        (np.array([[1e150, 1.0], [0.0, 0.0]]), {}, "numerical rank 1 of 2"),
        (with_entry(NORMAL, (2, 3, np.nan)), {}, r"finite; entry \(2, 3\) is nan"),
        (with_entry(NORMAL, (5, 0, -np.inf)), {}, r"finite; entry \(5, 0\) is -inf"),
        (np.ones((2, 3)), {}, r"square matrix; got shape \(2, 3\)"),
        (np.zeros((0, 0)), {}, r"square matrix; got shape \(0, 0\)"),
        (np.ones(4), {}, r"square matrix; got shape \(4,\)"),
        (np.eye(2, dtype=complex), {}, "real numbers; got dtype complex128"),
        (np.array([["a", "b"], ["c", "d"]]), {}, "real numbers; got dtype <U1"),
        (zeroed((0, 1)), {"layers": 5}, 'block T12 of full rank; .* Use first="upper" or layers=6'),
        (
            zeroed((1, 0)),
            {"layers": 5, "first": "upper"},
            'block T21 of full rank; .* Use first="lower" or layers=6',
        ),
        (np.eye(4), {"layers": 5}, "block T12 of full rank"),
        (NORMAL, {"layers": 4}, "must be 5 ... 11"),
        (NORMAL, {"layers": 12}, "must be 5 ... 11"),
        (NORMAL, {"layers": True}, "must be 5 ... 11"),
        (NORMAL[:5, :5], {"layers": 4}, "must be 5 ... 11"),
        (NORMAL, {"first": "left"}, '`first` must be "lower" or "upper"'),
        (NORMAL, {"kept": (0, 1)}, r"`kept` must hold 3 distinct indices in 0 ... 5; got \(0, 1\)"),
        (NORMAL, {"kept": (0, 1, 1)}, "3 distinct indices"),
        (NORMAL, {"kept": (0, 1, 6)}, "3 distinct indices"),
        (NORMAL, {"max_condition": 9.0}, '`max_condition` is for `layers="auto"`'),
        (NORMAL, {"layers": "auto"}, "needs `max_condition` of at least 1; got None"),
        (NORMAL, {"layers": "auto", "max_condition": np.nan}, "needs `max_condition` of at least 1; got nan"),
    ],
    ids=str,
)
def test_refused_with_one_sentence(t, options, text: str, unchecked):
    with pytest.raises(ValueError, match=text) as caught:
        factor(t, **options)
    assert "\n" not in str(caught.value)


def test_a_tolerance_that_can_not_be_met_is_a_numerical_failure():
    with pytest.raises(NumericalFailure, match=r"miss T by .* relative to it; `tolerance` is 1e-20"):
        factor(NORMAL, tolerance=1e-20, effort=QUICK)


def altered(path, **changes) -> None:
    """Rewrite a saved factorization with other arrays, or with other keys of its header."""
    with np.load(path) as data:
        arrays = dict(data)
    about = json.loads(str(arrays.pop("about")))
    about |= changes.pop("about", {})
    np.savez(path, about=np.array(json.dumps(about)), **(arrays | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"about": {"format": 2}}, "its format is 2; this version reads 1"),
        ({"about": {"format": None}}, "its format is None"),
        ({"about": {"kinds": ["lower"] * 7}}, "block_6"),
        ({"about": {"kinds": []}}, "do not fit together"),
        ({"about": {"kinds": ["left"] * 6}}, 'is "lower" or "upper"'),
        ({"kept": np.array([0, 9])}, "do not fit together"),
        ({"target": np.eye(5)}, "do not fit together"),
        ({"block_2": np.zeros((3, 2))}, "needs a block"),
    ],
)
def test_altered_files_are_refused(tmp_path, changes, text: str, unchecked):
    path = tmp_path / "f.npz"
    factor(np.roll(np.eye(4), 1, axis=0)).save(path)
    altered(path)
    assert len(Factorization.load(path).layers) == 6
    altered(path, **changes)
    with pytest.raises(ValueError, match=text):
        Factorization.load(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, kept: float):
    path = tmp_path / "f.npz"
    factor(np.roll(np.eye(4), 1, axis=0)).save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match="not a factorization that Shoal wrote"):
        Factorization.load(path)
    with pytest.raises(ValueError, match="no such file"):
        Factorization.load(tmp_path / "none.npz")
