"""Distributions: total mass, samples against densities, batch shapes, tables, words on bad input."""

# NumPy's and SciPy's stubs are narrower than the functions.
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from shoal import flows
from shoal.bijections import (
    Affine,
    Chain,
    Permutation,
    dense_coupling,
    halves,
)
from shoal.distributions import DiagonalNormal, Flow, Mixture, StandardNormal

MEANS = np.array([[-1.5, 0.0], [1.0, 1.0], [0.5, -2.0]])
LOG_SCALES = np.array([[-0.5, 0.2], [0.1, -0.7], [-1.0, 0.0]])
LOGITS = np.array([0.3, -0.2, 0.5])


def mixture():
    return Mixture(*(jnp.asarray(a, jnp.float32) for a in (LOGITS, MEANS, LOG_SCALES)))


def bent(seed=0):
    """A flow far from the identity: trained parameters would be as large."""
    flow = flows.spline(jr.key(seed), 2, 2, hidden=(8,))
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)
    flat, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(seed + 1), len(flat))
    flat = [a + 0.1 * jr.normal(k, a.shape, a.dtype) for a, k in zip(flat, keys, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, flat), static)


CASES = {
    "standard": lambda: StandardNormal(2),
    "diagonal": lambda: DiagonalNormal(jnp.array([0.5, -1.0]), jnp.array([0.3, -0.4])),
    "mixture": mixture,
    "flow": bent,
}


@pytest.fixture(params=CASES)
def distribution(request):
    return CASES[request.param]()


def test_the_density_integrates_to_one(distribution):
    edge = np.linspace(-14, 14, 401)
    grid = np.stack(np.meshgrid(edge, edge), -1)
    mass = np.exp(np.asarray(distribution.log_prob(grid), np.float64)).sum() * (edge[1] - edge[0]) ** 2
    assert mass == pytest.approx(1.0, abs=5e-3)


def test_samples_match_the_density(distribution):
    """N = 20,000 samples in 8 x 8 cells of a grid against the integrated density: chi-squared, p > 0.001."""
    x = np.asarray(distribution.sample(jr.key(3), (20_000,)))
    inner = np.quantile(x, [0.02, 0.98], axis=0)
    lines = [np.linspace(*inner[:, i], 9) for i in range(2)]
    counts = np.histogram2d(x[:, 0], x[:, 1], bins=lines)[0].ravel()
    fine = 25
    axes = [
        np.concatenate([a + (b - a) * (np.arange(fine) + 0.5) / fine for a, b in itertools.pairwise(e)])
        for e in lines
    ]
    density = np.exp(
        np.asarray(distribution.log_prob(np.stack(np.meshgrid(*axes, indexing="ij"), -1)), np.float64)
    )
    area = np.prod([(e[1] - e[0]) / fine for e in lines])
    expected = 20_000 * area * density.reshape(8, fine, 8, fine).sum(axis=(1, 3)).ravel()
    outside = 20_000 - np.array([counts.sum(), expected.sum()])
    counts, expected = np.append(counts, outside[0]), np.append(expected, outside[1])
    few = expected < 10
    counts = np.append(counts[~few], counts[few].sum())
    expected = np.append(expected[~few], expected[few].sum())
    keep = expected > 0
    statistic = np.sum((counts[keep] - expected[keep]) ** 2 / expected[keep])
    assert stats.chi2.sf(statistic, keep.sum() - 1) > 1e-3


def test_sample_and_log_prob_are_the_two_apart(distribution):
    x, log_prob = distribution.sample_and_log_prob(jr.key(5), (50,))
    assert np.array_equal(x, distribution.sample(jr.key(5), (50,)))
    assert np.abs(log_prob - distribution.log_prob(x)).max() < 1e-3


@pytest.mark.parametrize("batch", [(), (0,), (1,), (2, 3)])
def test_any_leading_shape(distribution, batch):
    x = distribution.sample(jr.key(1), batch)
    assert x.shape == (*batch, 2)
    assert distribution.log_prob(x).shape == batch


@pytest.mark.parametrize("shape", [-1, (2, -1), 2.5, (2.5,), "3", None], ids=str)
@pytest.mark.usefixtures("unchecked")
def test_a_shape_that_is_none_is_one_sentence(shape):
    with pytest.raises(ValueError, match="`shape` must be a whole number"):
        StandardNormal(2).sample(jr.key(0), shape)


def test_one_number_is_a_shape():
    assert StandardNormal(2).sample(jr.key(0), 3).shape == (3, 2)


def test_mixture_is_scipy_s():
    x = np.random.default_rng(0).normal(size=(50, 2)) * 2
    weights = np.exp(LOGITS) / np.exp(LOGITS).sum()
    parts = [stats.norm(m, np.exp(s)).pdf(x).prod(axis=1) for m, s in zip(MEANS, LOG_SCALES, strict=True)]
    assert np.asarray(mixture().log_prob(x)) == pytest.approx(np.log(weights @ np.stack(parts)), abs=1e-4)


def test_flow_directions_and_names():
    flow = bent()
    z = np.random.default_rng(1).normal(size=(3, 4, 2))
    x = flow.to_data(z)
    assert np.array_equal(x, flow.forward(z))
    assert np.abs(flow.to_latent(x) - z).max() < 1e-2  # float32, kappa up to 1e3
    assert np.array_equal(flow.inverse(x), flow.to_latent(x))


def named():
    bijection = dense_coupling(halves(3), Affine(), key=jr.key(0))
    return Flow(StandardNormal(3), Chain([bijection, Permutation([2, 0, 1])]), columns=("a", "b", "c"))


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame], ids=["polars", "pandas"])
def test_tables_are_read_by_name(frame):
    x = np.random.default_rng(2).normal(size=(5, 3))
    columns = {"c": x[:, 2], "extra": x[:, 0] * 9, "a": x[:, 0], "b": x[:, 1]}
    assert np.array_equal(named().log_prob(frame(columns)), named().log_prob(x))
    with pytest.raises(ValueError, match="no column 'b'"):
        named().log_prob(frame({"a": x[:, 0], "c": x[:, 2]}))


def test_contexts_broadcast_and_are_asked_for():
    flow = flows.realnvp(jr.key(0), 2, 2, context_dim=3)
    x, c = np.zeros((4, 5, 2)), np.ones((5, 3))
    assert flow.log_prob(x, c).shape == (4, 5)
    assert flow.sample(jr.key(0), (7,), c).shape == (7, 5, 2)
    assert flow.forward(x, c).shape == x.shape
    with pytest.raises(ValueError, match="needs a context"):
        flow.log_prob(x)
    with pytest.raises(ValueError, match="does not fit"):
        flow.log_prob(x, np.ones((4, 3)))
    for direction in (flow.forward, flow.inverse):
        with pytest.raises(ValueError, match="does not fit"):
            direction(x, np.ones((4, 3)))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((4, 3)), r"shape \(..., 2\)"),
        (np.float32(1.0), r"shape \(..., 2\)"),
        (np.zeros((4, 2), complex), "real numbers"),
        (np.array([["a", "b"]]), "real numbers"),
    ],
)
def test_bad_input_is_one_sentence(x, words):
    with pytest.raises(ValueError, match=words):
        StandardNormal(2).log_prob(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Flow(StandardNormal(2), Permutation([0, 2, 1])), "base has shape"),
        (lambda: Flow(StandardNormal(2), Permutation([1, 0]), columns=("a",)), "column names"),
        (lambda: Flow(StandardNormal(2), Permutation([1, 0]), context_columns=("a",)), "context columns"),
        (lambda: StandardNormal(0), "at least 1"),
        (lambda: Mixture(jnp.zeros(2), jnp.zeros((3, 1)), jnp.zeros((3, 1))), "3 logits"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_construction_is_one_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
