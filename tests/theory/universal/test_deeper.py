"""Triangular transport: splines that are what was meant, laws that come near, layers that get milder with depth."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import kstest

from shoal import flows
from shoal.bijections.transformers import _rational_quadratic as rq
from shoal.theory import universal
from shoal.theory.universal import _transport
from shoal.theory.universal._directions import direction, halves
from shoal.theory.universal._transport import spline_raw, transport
from tests.theory.universal.targets import TARGETS

BINS, BOUND = 24, 6.0


def moved(raw: np.ndarray, x: np.ndarray) -> np.ndarray:
    knots = rq.knots(jnp.asarray(raw)[None], BINS, BOUND)
    return np.asarray(jax.jit(jax.vmap(lambda v: rq.evaluate(knots, v[None], BOUND)[0][0]))(jnp.asarray(x)))


def test_constants_are_those_of_the_splines() -> None:
    assert (_transport.MIN_BIN, _transport.MIN_DERIVATIVE) == (rq.MIN_BIN, rq.MIN_DERIVATIVE)


@pytest.mark.usefixtures("x64")
def test_the_whole_map_is_that_of_the_quantiles() -> None:
    """Of a shifted logistic sample, whose distribution function is known in closed form."""
    level = (np.arange(4000) + 0.5) / 4000
    v = 0.5 * np.log(level / (1 - level)) + 0.3
    raw = spline_raw(v, np.full(4000, 1 / 4000), BINS, BOUND, 1.0, 1e-2)
    at = np.linspace(-1.5, 2.1, 50)
    exact = ndtri(1 / (1 + np.exp(-2 * (at - 0.3))))
    np.testing.assert_allclose(moved(raw, at), exact, atol=0.03)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("steps", [2, 4])
def test_parts_after_each_other_are_the_whole_and_share_its_slopes(steps: int) -> None:
    """Two clusters with a gap: steps of slopes to the power 1 / r reach N(0, 1), none much steeper than the others."""
    rng = np.random.default_rng(0)
    v = np.concatenate([rng.normal(-1, 0.2, 3000), rng.normal(1, 0.2, 3000)])
    w = np.full(6000, 1 / 6000)
    least = []
    for i in range(steps):
        raw = spline_raw(v, w, BINS, BOUND, 1 / (steps - i), 1e-2)
        low, high = np.quantile(v, [0.05, 0.95])
        grid = np.linspace(low, high, 400)
        least.append(np.diff(moved(raw, grid)).min() / np.diff(grid).min())
        v = moved(raw, v)
    assert kstest(v, "norm").statistic < 0.05
    assert min(least) > 0.5 * 1e-2 ** (1 / steps)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [pytest.param("moons", marks=pytest.mark.long), pytest.param("pinwheel", marks=pytest.mark.long)]
)
def test_latents_are_gaussian_and_layers_milder_with_depth(name: str) -> None:
    x = TARGETS[name](np.random.default_rng(0), 4000)
    fresh = TARGETS[name](np.random.default_rng(1), 2000)
    worst = []
    for layers, limit in ((2, 0.1), (8, 0.05)):  # a coarse fit, which later layers mend
        flow = transport(x, np.full(4000, 1 / 4000), layers, bins=16, slices=12, shared=48, dtype="float64")
        z = np.asarray(flow.inverse(fresh))
        assert max(kstest(z[:, 0], "norm").statistic, kstest(z[:, 1], "norm").statistic) < limit
        halves = ndtr(z[:, 0]) < 0.5
        assert abs(np.mean(z[halves, 1]) - np.mean(z[~halves, 1])) < 0.15  # dependence is gone too
        points, worst_here = jnp.asarray(jr.normal(jr.key(0), (500, 2))), 0.0
        for part in flow.bijection.bijections[:-1]:  # pyright: ignore[reportAttributeAccessIssue]
            jacobians = jax.vmap(jax.jacfwd(part.forward))(points)
            points = jax.vmap(part.forward)(points)
            worst_here = max(worst_here, float(np.quantile(np.linalg.cond(np.asarray(jacobians)), 0.99)))
        worst.append(worst_here)
    assert worst[1] < worst[0] / 3


@pytest.mark.parametrize("n", range(2, 10))
def test_halves_part_any_two_columns(n: int) -> None:
    for cycle in (0, 1):
        stages = range(cycle * (n - 1).bit_length(), (cycle + 1) * (n - 1).bit_length())
        pairs = [halves(n, stage) for stage in stages]
        assert all(sorted([*a, *b]) == list(range(n)) for a, b in pairs)
        parted = {frozenset((int(i), int(j))) for a, b in pairs for i in a for j in b}
        assert len(parted) == n * (n - 1) // 2
    assert n > 2 or {tuple(a) for a, _ in map(halves, [2] * 8, range(8))} == {(0,)}


def test_the_direction_that_tells_most_is_found() -> None:
    """Of a mean, and of a spread that no mean shows."""
    rng = np.random.default_rng(0)
    b, w = rng.normal(size=(8000, 3)) @ rng.normal(size=(3, 3)), np.array([2.0, -1.0, 2.0]) / 3
    told = b @ w / np.std(b @ w)
    for v in (np.sin(told) + 0.3 * rng.normal(size=8000), told * rng.choice([-1, 1], size=8000)):
        found = direction(b, v, np.full(8000, 1 / 8000))
        assert abs(np.corrcoef(b @ found, told)[0, 1]) > 0.99


@pytest.mark.usefixtures("x64")
def test_more_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bent chain of three: latents near N(0, I) in every pair, whole maps nearer and steeper than shared slopes."""

    def chain(rng: np.random.Generator, rows: int) -> np.ndarray:
        columns = [rng.normal(size=rows)]
        for _ in range(2):
            columns.append(np.sin(2 * columns[-1]) + 0.3 * rng.normal(size=rows))
        return np.stack(columns, axis=1)

    monkeypatch.setattr(_transport, "LATENTS", 300)
    x, fresh = chain(np.random.default_rng(0), 4000), chain(np.random.default_rng(1), 2000)
    far, steep = [], []
    for shared in (48, 1):
        flow = transport(x, np.full(4000, 1 / 4000), 4, bins=16, slices=12, shared=shared, dtype="float64")
        z = np.asarray(flow.inverse(fresh))
        assert max(kstest(column, "norm").statistic for column in z.T) < 0.1
        np.testing.assert_allclose(np.asarray(flow.forward(z)), fresh, atol=1e-8)
        products = np.column_stack([np.sin(2 * z[:, [0, 1]]) * z[:, [1, 2]], z[:, [0]] * z[:, [2]]])
        far.append(np.abs(products.mean(axis=0)).max())
        steep.append(max(a.value for a, _ in _transport._conditions(flow, 0).values()))
    assert far[1] < 0.08
    assert steep[1] > 2 * steep[0]
    assert [_transport.changed_halves(n, 16) for n in (2, 3, 6)] == [0, 6, 7]


@pytest.mark.long
def test_construct_with_more_layers(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(_transport, "POINTS", 300)  # exact transport is what takes the time
    x = TARGETS["moons"](np.random.default_rng(0), 2000)
    made = universal.construct(x, 0.3, key=jr.key(0), layers=4)
    c = made.certificate
    assert (c.w2.kind, c.dtype) == ("estimate", "float32")
    assert c.w2.high is not None
    assert c.w2.high <= 0.3
    assert c.worst_layer.value < 50
    two = universal.construct(x, 0.3, key=jr.key(0))
    assert c.worst_layer.value < two.certificate.conditions["layer 1"].cells.value / 10
    flows.save(made.flow, tmp_path / "model")
    again = flows.load(tmp_path / "model")
    np.testing.assert_array_equal(again.log_prob(x[:50]), made.flow.log_prob(x[:50]))
    monkeypatch.setattr(_transport, "RESOLUTIONS_OF_MORE", _transport.RESOLUTIONS_OF_MORE[:1])
    three = np.column_stack([x, np.sin(x[:, 0]) + 0.3 * np.random.default_rng(1).normal(size=2000)])
    more = universal.construct(three, 1.0, key=jr.key(0), layers=4)
    assert more.flow.shape == (3,)
    assert (more.certificate.changes, more.certificate.shared, c.changes) == (1, 48, 0)
    monkeypatch.setattr(_transport, "RESOLUTIONS", _transport.RESOLUTIONS[:1])
    with pytest.raises(
        ValueError, match=r"is not reached by 4 layers: the smallest distance measured is 0\.\d+"
    ):
        universal.construct(x, 0.01, key=jr.key(0), layers=4)
