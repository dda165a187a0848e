"""`audit` against maps whose spectra and faults are known, fresh and trained."""

import functools
import threading
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import Chain, Standardize, layers_of
from shoal.conditioning import Audit, JaxMap, attack, audit, first_nonfinite, from_bijection
from shoal.distributions import Flow, StandardNormal
from shoal.training import Settings, fit
from tests.conditioning.maps import Cubic, CubicInverse, Linear, Planar, PlanarInverse, linear_pair

EPS = float(np.finfo(np.float64).eps)
N = 4


@functools.cache
def trained() -> Flow:
    """RealNVP, eight layers, trained on a bent Gaussian in four dimensions."""
    z = np.random.default_rng(0).standard_normal((600, N))
    x = np.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2 - 1, 0.3 * z[:, 2] + z[:, 3], z[:, 3]], axis=1).astype(
        np.float32
    )
    flow = flows.realnvp(jr.key(0), N, 8, hidden=(16,))
    result = fit(
        flow, x[:500], validation=x[500:], key=jr.key(1), settings=Settings(max_epochs=30, batch_size=100)
    )
    return result.flow


def data(rows: int = 16) -> np.ndarray:
    return np.asarray(trained().sample(jr.key(5), (rows,)), np.float64)


def diagonal(scale: Any) -> Flow:
    """x = scale z."""
    return Flow(
        StandardNormal(N), Chain([Standardize(jnp.zeros(N, jnp.float32), jnp.asarray(scale, jnp.float32))])
    )


@pytest.mark.parametrize("kappa", [1.0, 1e3, 1e6, 1e9, 1e12])
def test_linear_maps_of_known_spectra(kappa):
    rng = np.random.default_rng(1)
    spectrum = np.geomspace(3.0, 3.0 / kappa, N)
    forward, back = linear_pair(rng, spectrum)
    found = audit(forward, rng.standard_normal((20, N)), inverse=back)
    # both ends are computed as largest singular values; what is left is the rounding of the factors' product
    assert np.abs(found.singular_values / spectrum - 1).max() <= 20 * EPS * kappa
    assert np.abs(found.condition_numbers / kappa - 1).max() <= 20 * EPS * kappa
    assert set(found.condition_kinds) == {"exact"}
    assert found.kinds["condition_numbers"] == found.kinds["singular_values"] == "exact"
    assert found.spectrum.log_dets is not None
    assert found.spectrum.log_dets.own is None
    assert found.spectrum.log_dets.gap <= 20 * N * EPS * kappa


def test_kappa_beyond_one_over_eps_is_unresolved():
    rng = np.random.default_rng(2)
    forward, back = linear_pair(rng, np.geomspace(1.0, 1e-18, N))
    found = audit(forward, rng.standard_normal((5, N)), inverse=back)
    assert set(found.condition_kinds) == {"unresolved"}
    assert found.kinds["condition_numbers"] == "unresolved"
    assert found.to_record().condition.unresolved == 5
    assert not found.healthy


def test_planar_and_diagonal_maps_in_closed_form():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((15, N))
    u, w = rng.standard_normal(N), rng.standard_normal(N)
    u = u * np.sign(u @ w)
    found = audit(Planar(u, w), x, inverse=PlanarInverse(u, w))
    slope = 1 - np.tanh(found.z @ w) ** 2
    exact = np.array([np.linalg.svd(np.eye(N) + s * np.outer(u, w), compute_uv=False) for s in slope])
    np.testing.assert_allclose(found.singular_values, exact, rtol=1e-12)
    a, b = rng.uniform(0.5, 2, N), rng.uniform(0.1, 1, N)
    found = audit(Cubic(a, b), x, inverse=CubicInverse(a, b))
    exact = -np.sort(-(a + 3 * b * found.z**2), axis=1)
    np.testing.assert_allclose(found.singular_values, exact, rtol=1e-12)


@pytest.mark.parametrize("bad", [0, 3, 5])
def test_the_ill_conditioned_layer_is_named(bad):
    rng = np.random.default_rng(4)
    spectra = [np.geomspace(2.0, 0.5, N) for _ in range(6)]
    spectra[bad] = np.geomspace(30.0, 3e-5, N)
    pairs = [linear_pair(rng, s) for s in spectra]
    forward, back = _composed([p[0] for p in pairs]), _composed([p[1] for p in reversed(pairs)])
    found = audit(forward, rng.standard_normal((30, N)), inverse=back, layers=pairs)
    assert found.worst_layer == bad
    assert found.diagnosis.cause == "layer"
    np.testing.assert_allclose(found.layers[bad].condition_max, 1e6, rtol=1e-9)
    assert max(r.condition_max for r in found.layers if r.index != bad) < 4.1
    # the same layers alone give the inverse
    assert audit(forward, rng.standard_normal((5, N)), layers=pairs).worst_layer == bad


def test_a_healthy_trained_flow_has_no_worst_layer():
    found = audit(trained(), data())
    assert found.healthy
    assert found.worst_layer is None
    assert len(found.layers) == 8
    assert (
        found.round_trip["float64"].max < found.round_trip["float32"].max < found.round_trip["bfloat16"].max
    )
    assert found.spectrum.log_dets is not None
    assert found.spectrum.log_dets.own is not None
    assert found.spectrum.log_dets.gap < 1e-11


@pytest.mark.parametrize("bad", [1, pytest.param(6, marks=pytest.mark.long)])
def test_a_layer_broken_in_a_trained_flow_is_named(bad):
    flow = trained()
    singles = list(layers_of(flow.bijection))
    squeeze = Standardize(jnp.zeros(N), jnp.array([30.0, 1.0, 1.0, 1e-4]))
    broken = Flow(StandardNormal(N), Chain([*singles[:bad], squeeze, *singles[bad:]]))
    found = audit(broken, np.asarray(broken.sample(jr.key(2), (40,)), np.float64), scale=np.ones(N))
    assert found.worst_layer == bad
    assert found.layers[bad].name == "Standardize"


def test_many_mild_layers_are_called_a_product():
    rng = np.random.default_rng(5)
    q = linear_pair(rng, np.ones(N))[0].matrix
    step = np.diag(np.geomspace(3.0, 1 / 3.0, N))
    pairs = [(Linear(q @ step @ q.T, np.zeros(N)), Linear(q @ np.linalg.inv(step) @ q.T, np.zeros(N)))] * 8
    found = audit(_composed([p[0] for p in pairs]), rng.standard_normal((20, N)), layers=pairs)
    assert found.diagnosis.cause == "product"
    assert found.worst_layer is not None


def test_one_bad_layer_of_two_is_no_product():
    rng = np.random.default_rng(12)
    pairs = [linear_pair(rng, np.geomspace(1, 1e-5, N)), linear_pair(rng, np.geomspace(2, 1, N))]
    found = audit(_composed([p[0] for p in pairs]), rng.standard_normal((20, N)), layers=pairs)
    assert (found.diagnosis.cause, found.worst_layer) == ("layer", 0)


def test_dependent_columns_of_the_data_are_the_cause():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((50, 2)).repeat(2, axis=1) + 1e-6 * rng.standard_normal((50, N))
    values, vectors = np.linalg.eigh(np.cov(x.T))
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    found = audit(Linear(root, np.zeros(N)), x, inverse=Linear(np.linalg.inv(root), np.zeros(N)))
    assert found.diagnosis.cause == "data"
    assert "2 of 4 directions" in found.diagnosis.sentence


def test_what_leaves_the_range_of_float32_is_traced_to_its_layer():
    rng = np.random.default_rng(7)
    mild, mild_back = linear_pair(rng, np.ones(N))
    huge, tiny = Linear(1e39 * np.eye(N), np.zeros(N)), Linear(1e-39 * np.eye(N), np.zeros(N))
    pairs = [(mild, mild_back), (huge, tiny), (tiny, huge)]
    x = rng.standard_normal((10, N))
    found = audit(_composed([p[0] for p in pairs]), x, layers=pairs)
    # data -> latent runs the layers backwards: layer 2's inverse multiplies by 1e39
    data_trace = next(n for n in found.nonfinite if n.direction == "inverse")
    assert (data_trace.layer, data_trace.precision, data_trace.rows) == (2, "float32", 10)
    forward_trace = next(n for n in found.nonfinite if n.direction == "forward")
    assert forward_trace.layer == 1
    assert not any(n.precision == "float64" for n in found.nonfinite)
    assert found.worst_layer == 2
    assert audit(mild, x, inverse=mild_back, layers=[(mild, mild_back)]).nonfinite == ()


def test_a_wrong_inverse_is_said_to_be_one():
    rng = np.random.default_rng(8)
    forward, back = linear_pair(rng, np.geomspace(2, 1, N))
    wrong = Linear(back.matrix * 1.01, back.offset)
    found = audit(forward, rng.standard_normal((10, N)), inverse=wrong, layers=[(forward, wrong)])
    assert found.diagnosis.cause == "inverse"
    assert found.worst_layer == 0


@pytest.mark.parametrize("digits", [2, 4, 5])
def test_an_inverse_with_few_digits_is_said_to_be_none(digits: int):
    """The kind of a matrix whose inverse was copied from a print: within the limits of a round trip, and no rounding."""
    rng = np.random.default_rng(3)
    forward, back = linear_pair(rng, np.geomspace(2, 1, N))
    short = Linear(np.round(back.matrix, digits), back.offset)
    x = rng.standard_normal((40, N))
    found = audit(forward, x, inverse=short, layers=[(forward, short)])
    assert (found.diagnosis.cause, found.worst_layer) == ("inverse", 0)
    assert "Forward and inverse disagree: layer 0 (Linear)" in found.diagnosis.sentence
    assert audit(forward, x, inverse=back, layers=[(forward, back)]).diagnosis.healthy
    float32 = Linear(
        np.asarray(back.matrix, np.float32).astype(float), back.offset
    )  # as fine as float32 shows
    assert audit(forward, x, inverse=float32, layers=[(forward, float32)]).diagnosis.healthy


@pytest.mark.parametrize("seed", [0, 1])
def test_a_map_onto_a_half_line_is_healthy_and_the_half_line_is_named(seed: int):
    """Log-normal rows with log and exp: doubled about their mean some leave the half-line, and nothing grows."""
    x = np.exp(np.random.default_rng(seed).standard_normal((300, 2)))
    found = audit(jnp.exp, x, inverse=jnp.log)
    assert found.diagnosis.healthy, found.diagnosis.sentence
    assert found.diagnosis.sentence.endswith(
        "The map reaches only a part of the space: all coordinates above 0."
    )
    data, samples = found.reach
    assert data.outside > 50
    assert samples.outside == 0


def test_samples_that_come_to_lie_on_the_edge_are_traced_on_their_way_back():
    """tanh(20 z) is 1 in float32 and in float64, where arctanh is infinite: the way back of samples, not the way there."""
    steep = lambda z: jnp.tanh(20 * z)
    x = np.tanh(20 * np.random.default_rng(0).uniform(-0.1, 0.1, (60, 2)))
    found = audit(steep, x, inverse=lambda x: jnp.arctanh(x) / 20)
    assert (found.diagnosis.cause, found.worst_layer) == ("non-finite", 0)
    assert {n.direction for n in found.nonfinite if n.points == "samples"} == {"inverse"}


def test_a_log_det_that_lies_shows_as_a_gap_and_is_a_cause():
    class Lying(eqx.Module):
        flow: Flow

        def to_map(self):
            real = from_bijection(self.flow.bijection)
            forward = lambda z, c: (real.function("forward")(z, c)[0], jnp.ones((), z.dtype))
            inverse = real.function("inverse")
            return type(real)(forward, inverse, N, log_dets=True)

    found = audit(Lying(diagonal([2.0, 0.5, 1.0, 3.0])), data(10))
    gap = found.to_record().log_det_gap
    assert gap is not None
    assert gap > 0.01
    assert found.diagnosis.cause == "log-det"
    assert audit(diagonal([2.0, 0.5, 1.0, 3.0]), data(10)).diagnosis.cause == "none"


def test_condition_numbers_do_not_depend_on_the_units_of_the_data():
    units = np.array([1e-3, 1.0, 50.0, 1e4])
    flow = diagonal([2.0, 0.5, 1.0, 3.0])
    in_units = Flow(StandardNormal(N), Chain([flow.bijection, *layers_of(diagonal(units).bijection)]))
    x = np.asarray(flow.sample(jr.key(5), (16,)), np.float64)
    plain, scaled = audit(flow, x, scale=np.ones(N)), audit(in_units, x * np.float32(units))
    np.testing.assert_allclose(scaled.condition_numbers, plain.condition_numbers, rtol=1e-9)
    assert scaled.condition_numbers_user_units.min() > 1e5
    assert scaled.worst_layer is None
    # columns in far-off units are put into their deviations where no layer knows them
    assert audit(trained(), 1e3 * data()).scale.min() > 100


def test_context_is_passed():
    flow = flows.realnvp(jr.key(3), 2, 2, context_dim=3, hidden=(8,))
    flow = jax.tree.map(lambda a: a + 0.3 if eqx.is_inexact_array(a) else a, flow)
    rng = np.random.default_rng(9)
    x, c = rng.standard_normal((12, 2)), rng.standard_normal((12, 3))
    found = audit(flow, x, context=c)
    z = np.asarray(flow.inverse(x.astype(np.float32), c.astype(np.float32)))
    np.testing.assert_allclose(found.z, z, rtol=1e-4, atol=1e-4)
    other = audit(flow, x, context=c[::-1])
    assert not np.allclose(found.z, other.z, atol=1e-3)


def test_precision_and_arrays_of_the_caller_stay_in_threads_too(x64):
    del x64
    flow, x = diagonal([2.0, 0.5, 1.0, 3.0]), data(8)
    seen: list[str] = []

    def work():
        audit(flow, x)
        seen.append(str(jnp.zeros(()).dtype))

    thread = threading.Thread(target=work)
    thread.start()
    work()
    thread.join()
    assert sorted(seen) == ["float32", "float64"]  # the switch is on in this thread only
    assert {a.dtype for a in jax.tree.leaves(eqx.filter(flow, eqx.is_inexact_array))} == {
        jnp.dtype("float32")
    }


def test_predicted_round_off_is_met_from_above_and_not_by_far():
    rng = np.random.default_rng(10)
    for kappa in (1e2, 1e4):
        pairs = [linear_pair(rng, np.geomspace(1.0, 1 / kappa, N)) for _ in range(1)]
        x = rng.standard_normal((200, N))
        found = audit(pairs[0][0], x, inverse=pairs[0][1], layers=pairs)
        trip = found.round_trip["float32"]
        assert trip.predicted is not None
        assert trip.max <= N * trip.predicted
        assert trip.max >= trip.predicted / 100


def test_attack_finds_what_breaks_and_stays_in_its_ball():
    # twice as steep as it was trained, so that slopes and not the last bits of float32 say where it breaks
    flow, x = jax.tree.map(lambda a: 2 * a if eqx.is_inexact_array(a) else a, trained()), data(16)
    found = attack(flow.to_map(), x, 1.0, steps=25)
    assert np.linalg.norm(np.subtract(found.point, found.start)) <= 1.0 + 1e-9
    assert found.stretch > 1.2 * found.start_stretch
    assert found.error >= found.start_error
    random = x + _in_ball(np.random.default_rng(0), x.shape)
    errors = audit(flow, random).round_trip["float32"].max
    assert found.error > 0.3 * errors
    with pytest.raises(ValueError, match="`radius` must be a positive number"):
        attack(flow.to_map(), x, 0.0)


def test_couplings_of_different_halves_share_their_programs():
    bijection = flows.realnvp(jr.key(0), 4, 2, hidden=(4,)).bijection
    layers = [layer for layer in from_bijection(bijection).layers() if isinstance(layer, JaxMap)]
    assert len(layers) == 2
    alike = {jax.tree.structure(layer.bijection) for layer in layers}
    assert len(alike) == 1
    assert len({jax.tree.structure(layer) for layer in layers_of(bijection)}) == 2


def test_start_beside_trained_and_records():
    fresh = flows.realnvp(jr.key(0), N, 8, hidden=(16,))
    found = audit(trained(), data(), start=fresh, attack_radius=0.1, ood={"far": 9 + data(7)})
    assert found.start is not None
    assert max(r.condition_max for r in found.start) < 1.0 + 1e-5 < max(r.condition_max for r in found.layers)
    assert all(r.gradient is not None and r.gradient > 0 for r in found.layers)
    assert {"data", "uniform noise", "far", "samples", "tails x2", "tails x4", "tails x8"} == set(
        found.round_trips
    )
    record = found.to_record(points=10)
    assert len(record.shown.rows) == 10
    np.testing.assert_allclose(found.points_table()["condition"].to_numpy(), found.condition_numbers)
    assert found.layers_table().height == 8
    assert "Coupling(Affine)" in str(found)


def test_matrix_free_agrees_with_dense_and_says_its_kinds():
    x = data(12)
    dense, free = audit(trained(), x), audit(trained(), x, dense=False)
    assert free.singular_values.shape == (12, 2)
    np.testing.assert_allclose(free.condition_numbers, dense.condition_numbers, rtol=1e-2)
    assert (free.condition_numbers <= dense.condition_numbers * (1 + 1e-9)).all()
    assert free.kinds["sigma_max"] == "lower_bound"
    assert free.kinds["sigma_min"] == "upper_bound"
    assert free.kinds["condition_numbers"] == "lower_bound"


def test_gradients_agree_with_the_gradient_of_the_whole_loss():
    flow, x = trained(), data()
    found: Audit = audit(flow, x)
    with jax.enable_x64(True):
        cast = jax.tree.map(lambda a: a.astype(np.float64) if eqx.is_inexact_array(a) else a, flow)
        chain = Flow(StandardNormal(N), Chain(list(layers_of(cast.bijection))))
        points = jnp.asarray(x)
        loss = lambda f: -jnp.mean(jax.vmap(lambda v: f.log_prob_one(v))(points))
        gradient = eqx.filter_jit(eqx.filter_grad(loss))(chain)
        norms = [
            float(jnp.sqrt(sum(jnp.sum(a**2) for a in jax.tree.leaves(part))))
            for part in gradient.bijection.bijections
        ]
    measured = np.array([r.gradient for r in found.layers], np.float64)
    np.testing.assert_allclose(measured, norms, rtol=1e-9)


def test_layers_in_the_wrong_order_are_refused():
    rng = np.random.default_rng(11)
    pairs = [linear_pair(rng, np.geomspace(2, 1, N)) for _ in range(3)]
    with pytest.raises(ValueError, match="the layers do not compose to the map"):
        audit(
            _composed([p[0] for p in pairs]),
            rng.standard_normal((5, N)),
            inverse=_composed([p[1] for p in reversed(pairs)]),
            layers=pairs[::-1],
        )


def test_bad_input_gets_one_sentence():
    f, g = linear_pair(np.random.default_rng(0), np.ones(N))
    x = np.zeros((3, N))
    for call, words in [
        (lambda: audit(f, x), "needs the inverse of a callable"),
        (lambda: audit(3, x), "got int"),
        (lambda: audit(trained(), x[:, :2]), "must have shape"),
        (lambda: audit(trained(), x[:0]), "at least one row"),
        (lambda: audit(trained(), np.full((3, N), np.nan)), "not finite; the first is row 0"),
        (lambda: audit(trained(), x, inverse=g), "brings its own inverse"),
        (lambda: audit(f, x, inverse=g, layers=[f]), "layer 0 is not one"),
        (lambda: audit(trained(), x, scale=-np.ones(N)), "positive numbers"),
        (lambda: audit(trained(), x, context=np.zeros((2, 1))), "a row a point"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def test_first_nonfinite_counts_rows_and_is_none_for_finite_ones():
    layers = trained().to_map().layers()
    z = np.random.default_rng(0).standard_normal((9, N))
    assert first_nonfinite(layers, z, direction="forward") is None
    z[4] = 1e38
    hit = first_nonfinite(layers, z, direction="forward")
    assert hit is not None
    assert hit.rows == 1


def _in_ball(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    v = rng.standard_normal(shape)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


class _composed(eqx.Module):
    functions: list

    def __call__(self, v):
        for function in self.functions:
            v = function(v)
        return v
