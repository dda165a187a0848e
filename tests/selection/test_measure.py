"""The layer profile of a fit: its figures against dense Jacobians, and what a limit of time leaves out."""

# A figure that is not there fails its test by itself.
# pyright: reportArgumentType=false

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from msgspec.structs import replace

from shoal import flows
from shoal.bijections import layers_of
from shoal.conditioning import cast, summarize
from shoal.flows import FAMILIES
from shoal.records.fit import LayersRecord
from shoal.selection import _ladder
from shoal.selection._measure import PART, Figures, allowed_seconds, layer_record
from shoal.selection._prepare import Part
from shoal.selection._race import Clock
from shoal.selection._rung import Rung

EPS = float(np.finfo(np.float64).eps)
DIM, DEPTH = 3, 2


@pytest.fixture(scope="module")
def flow():
    made = flows.realnvp(jr.key(0), DIM, DEPTH, hidden=(8,))
    leaves, structure = jax.tree.flatten(made)
    keys = jr.split(jr.key(1), len(leaves))
    moved = [
        leaf + 0.4 * jr.normal(key, leaf.shape) if leaf.dtype == np.float32 else leaf
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


@pytest.fixture(scope="module")
def part() -> Part:
    x = np.random.default_rng(2).normal(size=(30, DIM))
    return Part(x, None, None, np.arange(30))


def whole(flow: Any, part: Part, seconds: float) -> LayersRecord:
    return layer_record(flow, part, figures(), seed=0, seconds=seconds, measuring=0.0)


def figures() -> Figures:
    """Whose condition numbers are 1, 2, ..., 30."""
    values = np.stack([np.arange(1.0, 31.0), np.ones(30)], axis=1)
    summary = summarize(values[:, 0])
    return Figures(np.zeros(30), values, summary, summary, {}, np.zeros(30))


@pytest.fixture(scope="module")
def record(flow, part):
    return whole(flow, part, np.inf)


def test_the_figures_are_those_of_dense_jacobians(flow, part, record):
    singles = layers_of(flow.bijection)
    assert [row.name for row in record.rows] == ["Coupling(Affine)"] * DEPTH
    assert record.points == 30
    with jax.enable_x64(True):
        h = jnp.asarray(part.x)
        for layer, row in zip(reversed(cast(singles, "float64")), reversed(record.rows), strict=True):
            h = jax.vmap(lambda v, layer=layer: layer.inverse(v))(h)
            dense = np.asarray(jax.vmap(jax.jacfwd(lambda v, layer=layer: layer.forward(v)))(h))
            kappa = np.linalg.cond(dense)
            tolerance = 1e3 * EPS * kappa.max()
            np.testing.assert_allclose(row.condition_max, kappa.max(), rtol=tolerance)
            np.testing.assert_allclose(row.condition_worst, kappa[-16:].max(), rtol=tolerance)
            np.testing.assert_allclose(row.lipschitz, np.linalg.norm(dense, 2, (1, 2)).max(), rtol=tolerance)
            np.testing.assert_allclose(row.log_det, np.linalg.slogdet(dense)[1].mean(), rtol=tolerance)
    assert all(row.gradient > 0 and row.curvature > 0 and row.round_trip > 0 for row in record.rows)
    assert record.kinds["lipschitz"] == "lower_bound"


def test_without_time_only_what_the_inverse_tells_is_measured(flow, part, record):
    nothing = dict.fromkeys(("round_trip", "gradient", "curvature"))
    for row, full in zip(whole(flow, part, 0.0).rows, record.rows, strict=True):
        assert row == replace(full, **nothing)


@pytest.mark.parametrize(
    ("limit", "elapsed", "seconds"),
    [(None, 1e9, np.inf), (60.0, 0.0, 5.0), (60.0, 57.0, 3.0), (400.0, 100.0, 20.0), (60.0, 61.0, -1.0)],
)
def test_the_time_that_it_may_take(limit: float | None, elapsed: float, seconds: float):
    assert allowed_seconds(limit, elapsed) == seconds


def test_what_would_take_too_long_is_not_begun(flow, part):
    out = layer_record(flow, part, figures(), seed=0, seconds=4.9, measuring=5 / PART)
    assert out == LayersRecord(note="Not measured: out of time.")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("before", [True, False])
def test_an_interrupt_keeps_the_rest(before: bool, flow, monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: Any, **__: Any) -> Any:
        assert not before
        raise KeyboardInterrupt

    monkeypatch.setattr(_ladder, "layer_record", stopped)
    rung = Rung("gaussian", FAMILIES["realnvp"], DEPTH, flows=[flow])
    one: Any = SimpleNamespace(flow=flow)
    rung.figures = [one]
    prepared: Any = SimpleNamespace(parts={"validation": None})
    found, interrupted = _ladder._layers(rung, 0, prepared, Clock(None), 0, before)
    assert found.note == "Not measured: interrupted."
    assert interrupted
