"""Upper bounds on boxes against dense Jacobians at random points, for large random and for trained parameters."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import (
    FFJORD,
    ActNorm,
    Additive,
    Affine,
    Chain,
    Coupling,
    DenseConditioner,
    DenseLinear,
    DiagonalPlusLowRank,
    ExponentialScale,
    HeldConditioner,
    Householder,
    Inverse,
    KnotConditioner,
    Layerwise,
    LULinear,
    OnPart,
    Partition,
    Permutation,
    PixelWise,
    Planar,
    Radial,
    RationalQuadratic,
    Residual,
    SigmoidScale,
    SignFlip,
    Squeeze,
    Standardize,
    StandardizedContext,
    Support,
    Sylvester,
    dense_coupling,
    halves,
    layers_of,
)
from shoal.conditioning import compute, extremes, from_bijection, lipschitz_bounds
from shoal.conditioning._coupling_bounds import transformer_bounds
from shoal.conditioning._intervals import Box
from tests.conditioning.shaken import shaken

N, POINTS = 4, 200
KEY = jr.key(5)


def affine(scale=None, **settings):
    return dense_coupling(halves(N), Affine(scale), hidden=(7, 5), key=KEY, **settings)


CASES = {
    "affine tanh": affine(),
    "affine silu": affine(activation="silu"),
    "affine gelu, exponential": affine(activation="gelu", scale=ExponentialScale()),
    "affine relu, sigmoid scale": affine(activation="relu", scale=SigmoidScale()),
    "affine, knots": Coupling(
        Partition(N, [0, 1]),
        Affine(ExponentialScale()),
        KnotConditioner(
            jnp.array([1.0, -2.0]),
            jnp.array([-1.0, 0.0, 0.5]),
            jnp.array([[0.0, 1.0], [2.0, 1.0], [-1.0, 3.0]]),
            jnp.array([0.3, -0.2]),
        ),
    ),
    "affine, held conditioner": eqx.tree_at(
        lambda b: b.conditioner,
        affine(),
        HeldConditioner(DenseConditioner(2, 4, hidden=(7, 5), context=0, activation="tanh", key=KEY), 0.9),
    ),
    "affine, linear conditioner": dense_coupling(halves(N), Affine(), hidden=(), key=KEY),
    "affine, nothing kept": dense_coupling(Partition(1, []), Affine(), key=KEY),
    "affine, context": affine(context_dim=2),
    "additive": dense_coupling(Partition(N, [3, 0, 1]), Additive(), hidden=(6,), key=KEY),
    "spline, nothing kept": dense_coupling(Partition(3, []), RationalQuadratic(4, 2.0), key=KEY),
    "inverse spline, nothing kept": Inverse(dense_coupling(Partition(3, []), RationalQuadratic(3), key=KEY)),
    "inverse affine": Inverse(affine()),
    "lu": LULinear(N, key=KEY),
    "dense": DenseLinear(N, key=KEY),
    "householder": Householder(N, 3, key=KEY),
    "permutation": Permutation([2, 0, 3, 1]),
    "sign flip": SignFlip(N, [1, 2]),
    "actnorm": ActNorm(N),
    "standardize": Standardize(jnp.arange(4.0), jnp.array([0.1, 1.0, 7.0, 2.0])),
    "support": Support(N, low=-1.0, high=3.0, alpha=0.05),
    "supports": Support(N, low=(-1.0, -np.inf, 2.0, -np.inf), high=(2.0, np.inf, np.inf, 3.0)),
    "squeeze": Squeeze((2, 2, 1), 2),
    "residual": Residual(N, hidden=(6, 6), tolerance=1e-9, key=KEY),
    "layerwise": Layerwise(DiagonalPlusLowRank(N, rank=2, key=KEY), key=KEY),
    "planar": Planar(N, key=KEY),
    "inverse planar": Inverse(Planar(N, key=KEY)),
    "radial": Radial(N, key=KEY),
    "sylvester": Sylvester(N, 2, key=KEY),
    "ffjord": FFJORD(N, hidden=(5,), key=KEY),
    "on part": OnPart(dense_coupling(halves(3), Affine(), hidden=(5,), key=KEY), Partition(N, [2])),
    "pixels": PixelWise(DenseLinear(2, key=KEY), (1, 2, 2)),
    "standardized context": StandardizedContext(
        affine(context_dim=2), jnp.array([1.0, 2.0]), jnp.array([2.0, 3.0])
    ),
}
SIZES = {
    "residual": 1.0,
    "ffjord": 0.2,
    "standardize": 0.0,
    "affine, knots": 0.0,
    "householder": 1.0,
    "sylvester": 0.7,
}


def check(bijection, low, high, context=None):
    """The share of each bound that the largest value at random points reaches, forward and inverse; images in boxes."""
    rng = np.random.default_rng(0)
    z = rng.uniform(low, high, size=(POINTS, len(low)))
    z[: POINTS // 4] = np.where(rng.random(z[: POINTS // 4].shape) < 0.5, low, high)  # corners too
    shares = []
    bounds = lipschitz_bounds(bijection, low, high, context)
    for layer, bound in zip(layers_of(bijection), bounds, strict=True):
        jacobian, image = compute(_jacobians, layer, z, context, precision="float64")
        sigma = np.linalg.svd(jacobian, compute_uv=False)
        assert (image >= bound.low).all()
        assert (image <= bound.high).all()
        assert bound.kind == "upper_bound"
        shares.append((sigma[:, 0].max() / bound.forward, 1 / sigma[:, -1].min() / bound.inverse))
        z = image
    return np.array(shares)


@eqx.filter_jit
def _jacobians(layer, z, context):
    f = lambda v: layer.forward(v, context)
    return jax.vmap(jax.jacfwd(f))(z), jax.vmap(f)(z)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long) if n == "ffjord" else n for n in CASES]
)
def test_bounds_hold_at_large_random_parameters(name):
    layer = shaken(CASES[name], SIZES.get(name, 0.5))
    n = layer.shape[0]
    centre = np.random.default_rng(1).normal(size=n)
    context = None if layer.context_shape is None else np.array([0.3, -1.2])
    for radius in (1e-3, 2.0):
        shares = check(layer, centre - radius, centre + radius, context)
        assert shares.max() <= 1 + 1e-9
    assert shares.min() > 1e-6


def test_on_small_boxes_the_bounds_are_sharp_enough_that_half_of_them_fails():
    for name in ("affine tanh", "additive", "lu", "dense", "planar", "actnorm", "inverse affine"):
        layer = shaken(CASES[name], 0.5)
        centre = np.random.default_rng(1).normal(size=layer.shape[0])
        assert check(layer, centre - 1e-3, centre + 1e-3).min() > 0.5, name


def test_a_trained_flow_between_both_kinds_of_bounds():
    x = np.random.default_rng(0).normal(size=(256, N)) @ np.diag([1.0, 0.3, 2.0, 0.5]) + 0.3
    x[:, 1] += x[:, 0] ** 2
    model = trained(flows.realnvp(jr.key(0), N, depth=3, hidden=(8,)), jnp.asarray(x, jnp.float32))
    low, high = np.full(N, -0.5), np.full(N, 0.5)
    assert check(model.bijection, low, high).max() <= 1 + 1e-9
    bounds = lipschitz_bounds(model.bijection, low, high)
    forward, inverse = (float(np.prod([getattr(b, way) for b in bounds])) for way in ("forward", "inverse"))
    points = np.random.default_rng(2).uniform(low, high, size=(20, N))
    found = extremes(from_bijection(model.bijection), points)
    assert found.condition_numbers.max() > 2
    assert (found.sigma_max <= forward).all()
    assert (found.sigma_min >= 1 / inverse).all()


def trained(flow, x):
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)

    @jax.jit
    def run(arrays):
        loss = lambda a: -jnp.mean(eqx.combine(a, static).log_prob(x))

        def step(a, _):
            grad = jax.grad(loss)(a)
            return jax.tree.map(lambda p, g: p - 0.02 * jnp.clip(g, -1, 1), a, grad), None

        return jax.lax.scan(step, arrays, None, length=200)[0]

    return eqx.combine(run(arrays), static)


@pytest.mark.parametrize("turned", [False, True], ids=["forward", "inverse"])
def test_images_and_slopes_of_splines_over_boxes_of_raw_values(turned):
    """Every image and every own slope lies in the stated range."""
    transformer, m = RationalQuadratic(4, 2.0), 3
    f = transformer.inverse if turned else transformer.forward
    rng = np.random.default_rng(4)
    run = jax.jit(jax.vmap(f))
    with jax.enable_x64(True):
        for radius in (1e-6, 0.3, 3.0):
            centre = rng.normal(size=13 * m)
            low, high = np.array([-3.0, -1.0, 0.5]), np.array([-1.5, 1.0, 4.0])
            raw = centre + radius * rng.uniform(-1, 1, size=(400, 13 * m))
            points = rng.uniform(low, high, size=(400, m))
            image, logs = run(jnp.asarray(raw), jnp.asarray(points))
            found = transformer_bounds(
                transformer, Box(centre - radius, centre + radius), Box(low, high), turned
            )
            assert found is not None
            own = (found.inverse if turned else found.forward).own
            assert (np.asarray(image) >= found.image.low).all()
            assert (np.asarray(image) <= found.image.high).all()
            assert (np.exp(logs) >= own.low).all()
            assert (np.exp(logs) <= own.high).all()
            if radius < 1e-3:
                assert (np.log(own.high) - np.log(own.low)).max() < 12


def test_where_no_bound_is_known_there_is_none():
    spline = dense_coupling(halves(N), RationalQuadratic(), hidden=(4,), key=KEY)
    rows = lipschitz_bounds(Chain([affine(), spline, affine(), SignFlip(N, [0])]), -np.ones(N), np.ones(N))
    assert [r.name for r in rows] == [
        "Coupling(Affine)",
        "Coupling(RationalQuadratic)",
        "Coupling(Affine)",
        "SignFlip",
    ]
    assert [r.forward is None for r in rows] == [False, True, False, False]
    assert (
        rows[1].low is not None
    )  # the image of a spline is known, and so are the bounds of what comes after it


def test_what_is_not_finite_is_no_finite_bound():
    layer = affine(scale=ExponentialScale())
    wide = eqx.tree_at(lambda c: c.conditioner.bias, layer, jnp.full(4, 2000.0))
    row = lipschitz_bounds(wide, -np.ones(N), np.ones(N))[0]
    assert row.forward is not None
    assert not np.isfinite(row.forward)


def test_bounds_are_data():
    row = lipschitz_bounds(SignFlip(N, [0]), -np.ones(N), np.ones(N))[0]
    assert dataclasses.asdict(row)["forward"] == 1.0


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (np.zeros(3), np.ones(3), "must hold 4 finite numbers"),
        (np.full(4, -np.inf), np.ones(4), "must hold 4 finite numbers"),
        (np.ones(4), np.zeros(4), "at coordinate 0 they are 1.0 and 0.0"),
    ],
    ids=["length", "infinite", "order"],
)
def test_words_on_bad_boxes(low, high, words):
    with pytest.raises(ValueError, match=words):
        lipschitz_bounds(SignFlip(N, [0]), low, high)
