"""Lipschitz bounds in ball arithmetic where a formula is short, and a search for a layer that breaks its own."""

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest
from flint import arb, arb_mat, ctx
from hypothesis import strategies as st

from shoal.bijections import ActNorm, DenseLinear, Radial, layers_of
from shoal.conditioning import compute, lipschitz_bounds
from shoal.conditioning._intervals import Box, activation_ranges
from tests.conditioning.shaken import shaken
from tests.conditioning.test_lipschitz import CASES, SIZES, _jacobians
from tests.laws.registry import BY_NAME
from tests.searching import searched


@pytest.fixture(autouse=True)
def digits():
    with ctx.workprec(200):
        yield


def tanh_gelu(t: arb) -> tuple[arb, arb]:
    root, c = (2 / arb.pi()).sqrt(), arb(44715) / 1_000_000
    h = (root * (t + c * t**3)).tanh()
    return t * (1 + h) / 2, (1 + h) / 2 + t * (1 - h * h) * root * (1 + 3 * c * t * t) / 2


def silu(t: arb) -> tuple[arb, arb]:
    s = (1 + (-t).exp()) ** -1
    return t * s, s + t * s * (1 - s)


EXACT = {
    "relu": lambda t: (t, arb(1)) if t > 0 else (arb(0), arb(0)),
    "tanh": lambda t: (t.tanh(), 1 - t.tanh() ** 2),
    "silu": silu,
    "gelu": tanh_gelu,
}


@pytest.mark.parametrize("name", EXACT)
def test_ranges_of_activations_hold_their_values_and_slopes(name: str) -> None:
    """Near every turn of value and slope, at both ends, and inside."""
    rng = np.random.default_rng(0)
    turns = np.array(
        [-2.399357280520326, -1.418504, -1.2784645, -0.7524614, 0.0, 1.418504, 2.399357280520326]
    )
    centre = np.concatenate([turns, turns + 1e-7, 6 * rng.normal(size=60)])
    radius = np.concatenate([np.full(7, 1e-3), np.full(7, 1e-9), 3 * rng.random(60)])
    box = Box(centre - radius, centre + radius)
    values, slopes = activation_ranges(name, box)
    for share in (0.0, 0.5, 1.0, *rng.random(5)):
        at = np.clip(box.low + share * (box.high - box.low), *box)
        for i, t in enumerate(at):
            value, slope = EXACT[name](arb(float(t)))
            assert arb(float(values.low[i])) <= value <= arb(float(values.high[i]))
            assert arb(float(slopes.low[i])) <= slope <= arb(float(slopes.high[i]))


@pytest.mark.parametrize(("name", "most"), [("silu", 1.09984), ("gelu", 1.12900)])
def test_the_largest_slopes_that_continuous_flows_use(name: str, most: float) -> None:
    """Enclosed on pieces of [-12, 12] of length 2^-9; beyond, the slope is within 1e-3 of 0 or 1."""
    for k in range(-12 * 512, 12 * 512):
        assert abs(EXACT[name](arb((2 * k + 1) / 1024, 1 / 1024))[1]) < arb(most) + arb(6e-3)
    peak = {"silu": 2.399357280520326, "gelu": 1.418504}[name]
    for k in range(-1000, 1000):  # finer where it is largest
        assert EXACT[name](arb(peak + k * 2e-5, 1e-5))[1] < arb(most) + arb(4e-5)
        assert EXACT[name](arb(peak + k * 2e-5))[1] <= arb(most)


def singular(j: list[list[arb]], largest: float, inverse: float) -> None:
    """largest^2 - J^T J and J^T J - inverse^-2 have positive leading minors, so are positive definite."""
    n, matrix = len(j), arb_mat(j)
    gram = matrix.transpose() * matrix
    for sign, shift in ((-1, arb(largest) ** 2), (1, -(arb(inverse) ** -2))):
        m = [[sign * gram[a, b] + (shift if a == b else 0) for b in range(n)] for a in range(n)]
        for k in range(1, n + 1):
            assert arb_mat([row[:k] for row in m[:k]]).det() > 0


@pytest.mark.parametrize("seed", range(4))
def test_linear_and_radial_layers_against_their_own_matrices(seed: int) -> None:
    rng, ends = np.random.default_rng(seed), (-np.ones(4), np.ones(4))
    dense = shaken(DenseLinear(4, key=jr.key(seed)), 0.5 * 10.0**-seed)
    bound = lipschitz_bounds(dense, *ends)[0]
    assert bound.forward is not None
    assert bound.inverse is not None
    weight = np.asarray(dense.weight, float).tolist()
    singular([[arb(v) for v in row] for row in weight], bound.forward, bound.inverse)
    norm = shaken(ActNorm(4), 3.0)
    bound = lipschitz_bounds(norm, *ends)[0]
    scales = [arb(float(v)).exp() for v in norm.log_scale]
    assert all(s <= arb(bound.forward) and 1 / s <= arb(bound.inverse) for s in scales)
    radial = shaken(Radial(4, key=jr.key(seed)), 1.0)
    bound = lipschitz_bounds(radial, *ends)[0]
    assert bound.forward is not None
    assert bound.inverse is not None
    centre, alpha, expansion = (
        np.asarray(v) for v in compute(lambda r: r._parameters(None), radial, precision="float64")
    )
    a, beta = arb(float(alpha)), (arb(float(expansion)) - 1) * arb(float(alpha))
    for scale in (1e-6, 0.1, 10.0):
        d = [arb(float(v)) for v in scale * rng.normal(size=4)]
        r = sum((v * v for v in d), arb(0)).sqrt()
        h, slope = beta / (a + r), -beta / (a + r) ** 2
        j = [[(1 + h if p == q else arb(0)) + slope * d[p] * d[q] / r for q in range(4)] for p in range(4)]
        singular(j, bound.forward, bound.inverse)
    assert centre.shape == (4,)


LAYERS = {**CASES, **{f"law: {name}": None for name in BY_NAME}}


@eqx.filter_jit
def _reached(layer, z, context):
    return _jacobians(layer, z, context)


def unbroken(name: str, seed: int, size: float, far: float, wide: float) -> None:
    """Dense Jacobians at corners and inside, of layers far from their start; images in their boxes."""
    rng = np.random.default_rng(seed)
    made = BY_NAME[name[5:]].build(jr.key(seed)) if name.startswith("law: ") else CASES[name]
    if name not in ("standardize", "affine, knots") and not name.startswith("law: "):
        made = shaken(made, SIZES.get(name, 0.5) * 10**size)
    n = int(np.prod(made.shape))
    centre, radius = 10**far * rng.normal(size=n), 10**wide * rng.random(n)
    context = None if made.context_shape is None else rng.normal(size=made.context_shape)
    low, high = centre - radius, centre + radius
    z = rng.uniform(low, high, size=(64, n))
    z[:32] = np.where(rng.random((32, n)) < 0.5, low, high)
    for layer, bound in zip(layers_of(made), lipschitz_bounds(made, low, high, context), strict=True):
        if bound.low is None or bound.high is None:
            return
        j, image = compute(_reached, layer, z, context, precision="float64")
        if not np.isfinite(j).all():
            return
        sigma = np.linalg.svd(j, compute_uv=False)
        rounding = 1e-13 * sigma[:, 0] / sigma[:, -1]
        assert bound.forward is None or (sigma[:, 0] <= bound.forward * (1 + 1e-12)).all()
        assert bound.inverse is None or (1 / sigma[:, -1] <= bound.inverse * (1 + 1e-9 + rounding)).all()
        assert (image >= bound.low).all()
        assert (image <= bound.high).all()
        z = image


def test_the_far_tails_of_a_front_are_bounded_in_float64() -> None:
    """Slopes of the outer knots in float32 were off by more than the margin."""
    unbroken("law: front", 0, 0.0, 0.0, 1.0)


@searched(
    st.sampled_from(sorted(LAYERS)),
    st.integers(0, 2**31),
    st.floats(-2, 0.6),
    st.floats(-1, 1.5),
    st.floats(-6, 1),
)
def test_no_layer_breaks_its_bound(name: str, seed: int, size: float, far: float, wide: float) -> None:
    unbroken(name, seed, size, far, wide)
