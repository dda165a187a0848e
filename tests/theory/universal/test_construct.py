"""Constructed flows: distances, densities, networks, files, odd sizes, weights, and what is refused."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist
from scipy.special import ndtri
from scipy.stats import kstest

from shoal import conditioning, flows
from shoal.bijections import Chain
from shoal.distributions import Flow, Padded
from shoal.theory import universal
from tests.theory.universal.targets import TARGETS, product

KEY = jr.key(3)
mapped = eqx.filter_jit(lambda net, z: jax.vmap(net)(z))
jacobians_of = eqx.filter_jit(lambda f, z: jax.vmap(jax.jacfwd(f.forward))(z))


def sample(name: str, rows: int = 1000, copies: int = 1) -> np.ndarray:
    return product(name, np.random.default_rng(7), rows, copies)


def built(x: np.ndarray, epsilon: float, **settings) -> Any:
    return universal.construct(x, epsilon, key=KEY, **settings)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("epsilon", [0.3, 0.1, 0.01])
def test_measured_below_certificate_below_epsilon(name: str, epsilon: float) -> None:
    c = built(sample(name), epsilon).certificate
    assert (c.w2_bound.kind, c.w2_measured.kind) == ("upper_bound", "estimate")
    assert c.w2_measured.high is not None
    assert c.w2_measured.high <= c.w2_bound.value <= epsilon
    assert c.w2_bound.value > 0.3 * epsilon  # epsilon is used: nothing is conditioned worse than need be
    assert c.conditions["composition"].cells.value == pytest.approx(1.0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "copies"), [("moons", 4), ("checkerboard", 16)])
def test_products(name: str, copies: int) -> None:
    c = built(sample(name, copies=copies), 0.1).certificate
    assert c.w2_measured.high is not None
    assert c.w2_measured.high <= c.w2_bound.value <= 0.1


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("epsilon", [0.3, 0.1])
def test_optimal_transport_finds_no_larger_distance(epsilon: float) -> None:
    """POT between equally many images per atom and the sample itself: exact, and it shares no code with the certificate."""
    x = sample("moons", 200)
    made = built(x, epsilon)
    weights, atoms = made.atoms.weights[made.staircase.order], len(made.atoms)
    each = 4
    below = np.concatenate([[0.0], np.cumsum(weights)])
    inside = below[:-1, None] + weights[:, None] * (np.arange(each) + 0.5) / each
    z = np.random.default_rng(1).standard_normal((atoms * each, 2))
    z[:, 1] = ndtri(inside.reshape(-1))
    images = np.asarray(made.flow.forward(z))
    plan = ot.emd2(np.repeat(weights / each, each), np.full(len(x), 1 / len(x)), cdist(images, x) ** 2)
    assert np.sqrt(plan) <= made.certificate.w2_bound.value
    assert np.sqrt(plan) <= 1.05 * made.certificate.w2_measured.value
    assert np.sqrt(plan) > 0.5 * made.certificate.terms.quantization


@pytest.mark.usefixtures("x64")
def test_a_wrong_step_is_seen_by_the_measurement() -> None:
    x = sample("rings")
    made = built(x, 0.1)
    c = made.certificate
    moved = made.atoms.points[made.staircase.order].copy()
    moved[::10] += 1.0
    from shoal.theory.universal._w2_certificate import measured_w2

    again = measured_w2(
        lambda z: np.asarray(made.flow.forward(z)),
        moved,
        c.terms.quantization,
        made.staircase.borders,
        size=2,
        driver=1,
        seed=0,
    )
    assert again.low is not None
    assert again.low > c.w2_bound.value


@pytest.mark.usefixtures("x64")
def test_one_layer_leaves_a_marginal_gaussian() -> None:
    """The first layer of every construction, and so any single coupling, keeps y ~ N(0, I)."""
    made = built(sample("eight_gaussians"), 0.1)
    assert isinstance(made.flow, Flow)
    assert isinstance(made.flow.bijection, Chain)
    one = Flow(made.flow.base, Chain([made.flow.bijection.bijections[0]]))
    z = jr.normal(jr.key(1), (20_000, 2))
    np.testing.assert_array_equal(one.forward(z)[:, 1], z[:, 1])
    assert kstest(np.asarray(one.forward(z)[:, 1]), "norm").pvalue > 1e-3
    assert kstest(np.asarray(made.flow.forward(z)[:, 1]), "norm").pvalue < 1e-6


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("rows", "epsilon"), [(1000, 0.01), (300, 0.2)])
def test_knots_equal_the_dense_network(rows: int, epsilon: float) -> None:
    """Dense sums of up to 2 N ReLUs cancel: the error allowed is 16 eps times the sum of what is added."""
    made = built(sample("pinwheel", rows), epsilon)
    layers: Any = made.flow.bijection.bijections
    rng = np.random.default_rng(0)
    for layer, net in zip(layers, made.as_relu(), strict=True):
        knots = np.asarray(layer.conditioner.knots)
        u = np.concatenate([rng.normal(size=500) * 2, knots, (knots[1:] + knots[:-1]) / 2, [-1e3, 1e3]])
        inputs = u[:, None]
        hidden = np.maximum(inputs @ net.weight.T + net.bias, 0.0)
        dense = hidden @ net.last.T + net.offset
        scale = (np.abs(inputs) @ np.abs(net.weight.T) + np.abs(net.bias)) @ np.abs(net.last.T) + np.abs(
            net.offset
        )
        written = np.asarray(mapped(layer.conditioner, jnp.asarray(inputs)))
        assert written.shape == dense.shape
        assert (np.abs(written - dense) <= 16 * np.finfo(np.float64).eps * scale).all()
        assert len(net.weight) <= 2 * made.certificate.atoms


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("copies", [1, 2])
def test_density_is_that_of_the_change_of_variables(copies: int) -> None:
    made = built(sample("moons", 100, copies), 0.3)
    flow = made.flow
    z = jr.normal(jr.key(2), (200, 2 * copies))
    x, density = flow.forward(z), flow.log_prob(flow.forward(z))
    jacobians = jacobians_of(flow.bijection, z)
    expected = jax.scipy.stats.norm.logpdf(z).sum(axis=1) - jnp.linalg.slogdet(jacobians)[1]
    kappa = np.linalg.cond(np.asarray(jacobians))
    good = kappa < 1e6  # elsewhere slogdet itself has no digits
    assert good.mean() > 0.9
    tolerance = 1e4 * np.finfo(np.float64).eps * made.certificate.conditions["layer 1"].cells.value ** 2
    np.testing.assert_allclose(density[good], expected[good], atol=tolerance)
    assert bool(jnp.isfinite(x).all())


def test_saves_and_loads(tmp_path) -> None:
    made = built(sample("moons", 200), 0.3)
    flows.save(made.flow, tmp_path / "model")
    again = flows.load(tmp_path / "model")
    assert jax.tree.structure(again) == jax.tree.structure(made.flow)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(made.flow), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_audits() -> None:
    made = built(sample("moons", 200), 0.3)
    found = conditioning.audit(made.flow, np.asarray(made.flow.sample(jr.key(5), (32,))))
    assert len(found.layers) == 2
    cells = made.certificate.conditions["layer 1"].cells.value
    assert max(row.condition_worst for row in found.layers) >= 0.99 * cells


@pytest.mark.parametrize("columns", [3])
def test_odd_sizes_have_exact_densities(columns: int, x64) -> None:
    x = np.random.default_rng(0).normal(size=(300, columns))
    made = built(x, 0.3)
    assert isinstance(made.flow, Padded)
    assert made.flow.shape == (columns,)
    points = made.flow.sample(jr.key(1), (50,))
    bound = made.flow.log_prob_bound(jr.key(2), points, samples=8)
    scale = 1 / made.staircase.delta**2
    assert (
        float(jnp.max(bound.error)) < 1e3 * np.finfo(np.float64).eps * scale
    )  # tight: e is independent of x
    c = made.certificate
    assert c.w2_measured.high is not None
    assert c.w2_measured.high <= c.w2_bound.value <= 0.3


@pytest.mark.usefixtures("x64")
def test_weights_are_repetitions() -> None:
    x = sample("rings", 40)
    counts = np.random.default_rng(0).integers(0, 4, size=40)
    once = built(x, 0.1, weights=counts / counts.sum())
    often = built(np.repeat(x, counts, axis=0), 0.1)
    np.testing.assert_allclose(once.staircase.borders, often.staircase.borders, rtol=1e-12)
    np.testing.assert_allclose(once.staircase.a, often.staircase.a, rtol=1e-10, atol=1e-12)
    assert once.certificate.w2_bound.value == pytest.approx(often.certificate.w2_bound.value)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 2)),
        np.repeat([[1.0, 2.0], [1.0, -2.0]], 5, axis=0),
        np.stack([np.zeros(200), np.arange(200.0)], axis=1),
        np.stack([np.arange(200.0), np.zeros(200)], axis=1) * 1e6,
        np.random.default_rng(0).integers(0, 3, size=(500, 4)) * 1.0,
        np.random.default_rng(0).standard_cauchy(size=(300, 2)),
    ],
    ids=["point", "same-first", "flat-first", "flat-second-large", "lattice", "cauchy"],
)
def test_awkward_samples(x: np.ndarray) -> None:
    epsilon = 0.1 * max(1.0, float(x.std()))
    c = built(x, epsilon).certificate
    assert c.w2_measured.value <= c.w2_bound.value <= epsilon  # a single point meets its bound, but for noise


def test_float32_names_the_smallest_epsilon_and_reaches_it() -> None:
    x = sample("checkerboard")
    with pytest.raises(
        ValueError, match=r"out of reach in float32.*smallest reachable.*in float64"
    ) as caught:
        built(x, 0.01)
    named = re.search(r"smallest reachable epsilon is ([\d.e-]+)", str(caught.value))
    assert named is not None
    least = float(named[1])
    c = built(x, least).certificate
    assert c.w2_measured.high is not None
    assert c.dtype == "float32"
    assert c.w2_measured.high <= c.w2_bound.value <= least


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"samples": np.zeros((5, 1))}, r"shape \(rows, n\) with 2 <= n <= 64"),
        ({"samples": np.zeros((5, 65))}, r"got \(5, 65\)"),
        ({"samples": np.zeros((0, 2))}, "at least one row"),
        ({"samples": [[0.0, np.nan]]}, "nan in row 0, column 1"),
        ({"epsilon": 0.0}, "`epsilon` must be a positive number"),
        ({"epsilon": np.inf}, "`epsilon` must be a positive number"),
        ({"weights": np.ones(3)}, "`weights` must be 4 numbers"),
        ({"weights": [1.0, -1.0, 1.0, 1.0]}, "at least 0"),
        ({"layers": 3}, "`layers` must be 2, 4, 8 or 16"),
        ({"dtype": "float64"}, "float64, which is off"),
        ({"dtype": "float16"}, "`dtype` must be None"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_refuses_in_one_sentence(arguments: dict, words: str) -> None:
    given = {"samples": np.arange(8.0).reshape(4, 2), "epsilon": 0.1} | arguments
    with pytest.raises(ValueError, match=words):
        universal.construct(given.pop("samples"), given.pop("epsilon"), key=KEY, **given)
