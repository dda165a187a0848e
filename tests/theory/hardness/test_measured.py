"""Constants read off the weights against the maps themselves: never exceeded, and not absurdly large."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import Chain, Permutation, Standardize, layers_of, rolled
from shoal.distributions import DiagonalNormal, Flow, StandardNormal
from shoal.flows import layerwise, nice, planar, realnvp, spline
from shoal.theory.hardness import InstanceFamily, measured, minimum_depth, ring
from shoal.training import Settings, fit

RECIPES: dict[str, Any] = {
    "planar": lambda k, d, n: planar(k, d, n, fast="samples"),
    "inverse planar": planar,
    "layerwise": layerwise,
    "low rank": lambda k, d, n: layerwise(k, d, n, rank=1),
    "nice": lambda k, d, n: nice(k, d, n, hidden=(8, 8)),
}
CASES = [(name, d, depth) for name in RECIPES for d, depth in ((2, 1), (5, 3))]
every = pytest.mark.parametrize(
    ("name", "d", "depth"),
    [pytest.param(*c, marks=[] if c[2] > 1 else pytest.mark.long, id="-".join(map(str, c))) for c in CASES],
)
pytestmark = pytest.mark.usefixtures("x64")
EPS = float(np.finfo(float).eps)


def made(name: str, d: int, depth: int, seed: int = 0, size: float = 0.7) -> Flow:
    """A flow with random parameters of the given size, float64."""
    flow = RECIPES[name](jr.key(seed), d, depth)
    rng = np.random.default_rng([seed, d, depth])
    move = lambda a: a + size * rng.normal(size=a.shape)
    return jax.tree.map(lambda a: move(a) if eqx.is_inexact_array(a) else a, flow)


def theta(flow: Flow) -> np.ndarray:
    """The numbers that the layers' formulas have, written down anew: (layers, numbers)."""
    rows = []
    for layer in layers_of(flow.bijection):
        b: Any = getattr(layer, "bijection", layer)
        if hasattr(b, "w"):
            w, u = np.asarray(b.w), np.asarray(b.u)
            s, room = w @ u, 1 - b.least_slope
            m = s if s >= 0 else room * math.expm1(s / room)
            rows.append([w, u + (m - s) * w / (w @ w), b.b])
        elif hasattr(b, "linear"):
            a = np.asarray(columns(b.linear)).T
            raw = np.asarray(b.leaky.raw)
            slopes = b.leaky.slope ** (1 / (1 + np.exp(raw)))
            rows.append([a, b.shift.bias, slopes])
        else:
            net = b.conditioner
            rows.append([net.skip, net.bias, net.last, *net.weights, *net.biases])
    flat = [np.concatenate([np.ravel(np.asarray(a)) for a in row]) for row in rows]
    most = max(map(len, flat))
    return np.stack([np.pad(row, (0, most - len(row))) for row in flat])


def joint(*flows: Flow) -> Any:
    """The class that holds all of them: that of one stack of all their layers."""
    layers = [b for flow in flows for b in layers_of(flow.bijection)]
    return measured(Flow(flows[0].base, Chain(layers))).architecture


@eqx.filter_jit
def _jacobians(bijection: Any, z: Any) -> Any:
    return jax.vmap(jax.jacfwd(bijection.forward))(z)


@eqx.filter_jit
def _forward(bijection: Any, z: Any) -> Any:
    return jax.vmap(bijection.forward)(z)


@eqx.filter_jit
def columns(linear: Any) -> Any:
    return jax.vmap(linear.apply)(jnp.eye(linear.dim))


def forward(flow: Flow, z: np.ndarray) -> np.ndarray:
    return np.asarray(_forward(rolled(flow.bijection), jnp.asarray(z)))


def check(flow: Flow, seed: int) -> None:
    """Pairs of points near and far: no quotient above the flow's constant, nor above M^depth of its class."""
    rng, found = np.random.default_rng(seed), measured(flow)
    assert found.depth == len(layers_of(flow.bijection))
    assert found.lipschitz <= math.exp(found.architecture.log_input_lipschitz(found.depth)) * (1 + 1e-6)
    d, z = flow.shape[0], 3 * rng.normal(size=(4000, flow.shape[0]))
    steps = 10 ** rng.uniform(-3, 1, size=(4000, 1)) * rng.normal(size=(4000, d))
    x, y = forward(flow, z), forward(flow, z + steps)
    quotients = np.linalg.norm(y - x, axis=1) / np.linalg.norm(steps, axis=1)
    assert quotients.max() <= found.lipschitz * (1 + 1e-6)
    zero = np.linalg.norm(x, axis=1)
    assert found.lipschitz <= quotients.max() * math.exp(3 + 2 * found.depth)
    a = found.architecture
    if found.depth == 1:  # |f(h)| <= M |h| + B
        assert np.all(zero <= a.lipschitz * np.linalg.norm(z, axis=1) + a.offset + 1e-9)


@every
def test_no_pair_of_points_exceeds_the_constant(name: str, d: int, depth: int) -> None:
    check(made(name, d, depth), 0)


@pytest.mark.parametrize("order", [1, -1])
def test_layers_of_unequal_widths_count_with_the_widest(order: int) -> None:
    """A layer of 100 units behind one of 1: its offset and its step in the parameters are the largest."""
    narrow, wide = (nice(jr.key(0), 2, 1, hidden=(h,), activation="tanh") for h in (1, 100))

    def set_to(value: float) -> Any:
        layer: Any = layers_of(wide.bijection)[0]
        net = layer.conditioner
        net = eqx.tree_at(
            lambda n: (n.last, n.biases[0]),
            net,
            (jnp.full_like(net.last, value), jnp.full_like(net.biases[0], 10.0)),
        )
        return eqx.tree_at(lambda b: b.conditioner, layer, net)

    (one,) = layers_of(narrow.bijection)
    flows = [Flow(StandardNormal(2), Chain([one, set_to(v)][::order])) for v in (0.1, 0.2)]
    bounds = joint(*flows)
    zero = [np.linalg.norm(set_to(v).forward(jnp.zeros(2))) for v in (0.1, 0.2)]
    assert bounds.offset >= max(zero) - 1e-9
    assert zero[1] > 19  # so that the widths matter
    step = 0.1 * math.sqrt(100)
    assert zero[1] - zero[0] <= bounds.parameter_lipschitz * step


@pytest.mark.parametrize(("name", "d", "depth"), [case for case in CASES if case[2] > 1])
def test_no_pair_of_parameters_exceeds_the_constant(name: str, d: int, depth: int) -> None:
    """Mean distance of the images of 2,000 normal points; small and large changes of all, or one, layer's numbers."""
    rng = np.random.default_rng([d, depth])
    z = rng.normal(size=(2000, d))
    # a mean of 2,000: E |z| is sqrt(d) at most, the sample's may be a little more
    slack = 1 + 4 / math.sqrt(2000)
    flow, largest = made(name, d, depth), -math.inf
    before, here = forward(flow, z), theta(flow)
    for i, size in enumerate([1e-4, 1e-2, 0.3, 1.0] * 2):
        other = jax.tree.map(
            lambda a, i=i, s=size: (
                a + s * rng.normal(size=a.shape) * (rng.random(a.shape) < (1.0 if i < 4 else 0.15))
                if eqx.is_inexact_array(a)
                else a
            ),
            flow,
        )
        there = theta(other)
        apart = float(np.linalg.norm(there - here))
        if apart == 0:
            continue
        a = joint(flow, other)
        sizes = np.linalg.norm(np.concatenate([here, there]), axis=1)
        assert sizes.max() == pytest.approx(a.radius, rel=1e-6)
        assert here.shape[1] == a.parameters
        change = float(np.linalg.norm(forward(other, z) - before, axis=1).mean())
        log_ratio = math.log(max(change, 1e-300)) - math.log(apart) - a.log_lipschitz(depth)
        assert log_ratio <= math.log(slack)
        largest = max(largest, log_ratio)
    assert largest > -(3 + 2 * depth) - math.log(here.size)  # random directions are not the worst ones


@pytest.mark.parametrize(
    "name", ["inverse planar", *(pytest.param(n, marks=pytest.mark.long) for n in ("layerwise", "nice"))]
)
def test_trained_flows(name: str) -> None:
    """On a ring, where layers grow."""
    rows = ring(4, radius=2.0, gamma=0.2).sample(jr.key(1), 400)
    settings = Settings(max_epochs=15, batch_size=100, patience=None)
    made = fit(RECIPES[name](jr.key(0), 2, 3), rows, key=jr.key(2), settings=settings)
    check(made.flow, 3)


@pytest.mark.parametrize("name", ["planar", "inverse planar", "layerwise"])
def test_the_constant_of_one_layer_is_reached(name: str) -> None:
    """The largest singular value over a fine grid along the direction that bends, within a thousandth."""
    flow = made(name, 2, 1, 5)
    layer: Any = layers_of(flow.bijection)[0]
    b = getattr(layer, "bijection", layer)
    way = np.asarray(b.w) if hasattr(b, "w") else None
    if way is None:  # far out in every quadrant all slopes are at an end of their range
        angles = np.linspace(0, 2 * np.pi, 400)
        z = 1e4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    else:
        z = np.linspace(-40, 40, 8001)[:, None] * way / (way @ way)
    jacobians = np.asarray(_jacobians(flow.bijection, jnp.asarray(z)))
    top = np.linalg.svd(jacobians, compute_uv=False)[:, 0].max()
    assert top == pytest.approx(measured(flow).lipschitz, rel=1e-3)


@pytest.mark.parametrize("name", ["planar", "nice"])
def test_the_constant_in_the_parameters_is_nearly_reached(name: str) -> None:
    """One layer with a small u and a large w, moved along u; one affine shift, moved by its bias: |change| ~ |dtheta|."""
    size, d, rng = 1e-3, 2, np.random.default_rng(0)
    if name == "planar":
        flow = RECIPES[name](jr.key(0), d, 1)
        change = lambda u: eqx.tree_at(
            lambda f: (f.bijection.w, f.bijection.u), flow, (jnp.asarray([40.0, 0.0]), jnp.asarray([0.0, u]))
        )
    else:
        flow = nice(jr.key(0), d, 1, hidden=())
        change = lambda b: eqx.tree_at(lambda f: f.bijection.conditioner.bias, flow, jnp.asarray([b]))
    one, other, z = change(0.05), change(0.05 + size), rng.normal(size=(2000, d))
    moved = float(np.linalg.norm(forward(other, z) - forward(one, z), axis=1).mean()) / size
    assert float(np.linalg.norm(theta(other) - theta(one))) == pytest.approx(size, rel=1e-6)
    constant = math.exp(joint(one, other).log_lipschitz(1))
    assert 0.9 * constant / (1 + math.sqrt(d)) < moved <= constant


def test_fixed_layers_are_multiplied_in() -> None:
    flow = made("planar", 3, 2)
    fixed = Standardize(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([0.5, 4.0, 1.0]))
    whole = Flow(flow.base, Chain([Permutation([2, 0, 1]), *layers_of(flow.bijection), fixed]))
    one, two = measured(flow), measured(whole)
    assert two.depth == one.depth
    assert two.lipschitz == pytest.approx(4 * one.lipschitz, rel=1e-12)
    assert two.architecture.parameter_lipschitz == pytest.approx(
        4 * one.architecture.parameter_lipschitz, rel=1e-12
    )
    assert two.architecture.lipschitz == pytest.approx(4 * one.architecture.lipschitz, rel=1e-12)


def test_the_depth_bound_takes_the_class() -> None:
    found = measured(made("planar", 64, 2, size=0.1)).architecture
    bound = minimum_depth(found, InstanceFamily(10_000, 64, distance=8.0))
    assert bound.depth >= 2


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (lambda: realnvp(jr.key(0), 2, 2), r"Coupling\(Affine\).*coupling\("),
        (lambda: spline(jr.key(0), 2, 2), r"Coupling\(RationalQuadratic\)"),
        (lambda: nice(jr.key(0), 2, 2, activation="relu"), "tanh"),
        (lambda: planar(jr.key(0), 2, 2, context_dim=1), "context"),
        (lambda: Flow(StandardNormal(2), Permutation([1, 0])), "no layers"),
        (
            lambda: Flow(DiagonalNormal(jnp.zeros(2), jnp.full(2, 5.0)), nice(jr.key(0), 2, 2).bijection),
            r"base N\(0, I\)",
        ),
        (
            lambda: jax.tree.map(
                lambda a: a * jnp.nan if eqx.is_inexact_array(a) else a, nice(jr.key(0), 2, 2)
            ),
            "finite",
        ),
    ],
    ids=["affine", "spline", "relu", "context", "nothing", "base", "nan"],
)
def test_refusals(flow: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measured(flow())
