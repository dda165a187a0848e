"""Singular values and condition numbers against maps whose spectrum is known."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.conditioning import (
    JaxMap,
    compute,
    condition_numbers,
    from_bijection,
    singular_values,
    summarize,
)

EPS = np.finfo(np.float64).eps


class Matrix(eqx.Module):
    """x -> A x, with A kept as it was given."""

    a: np.ndarray

    def __call__(self, x, context=None):
        return jnp.asarray(self.a, x.dtype) @ x


def spectra(function, x):
    return singular_values(JaxMap(function, function, x.shape[1]).at().jacobian(x))


@eqx.filter_jit
def forward(bijection, v):
    return jax.vmap(bijection.forward)(v)


def rotation(seed, n):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


@pytest.mark.parametrize("kappa", [1.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_prescribed_spectrum(n, kappa):
    sigma = np.geomspace(1.0, 1.0 / kappa, n)
    a = rotation(1, n) @ np.diag(sigma) @ rotation(2, n)
    x = np.random.default_rng(3).normal(size=(5, n))
    found = spectra(Matrix(a), x)
    assert found.shape == (5, n)
    assert np.abs(found - sigma).max() <= 20 * n * EPS  # absolute: eps times the largest singular value
    if n > 1:
        tolerance = 20 * n * EPS * kappa
        assert np.abs(condition_numbers(found) / kappa - 1).max() <= tolerance


def test_kappa_beyond_one_over_eps_is_unresolved():
    a = rotation(1, 3) @ np.diag([1.0, 1e-2, 1e-18]) @ rotation(2, 3)
    kappa = condition_numbers(spectra(Matrix(a), np.zeros((4, 3))))
    summary = summarize(kappa)
    assert summary.unresolved == 4
    assert summary.max == np.inf


def test_singular_and_non_finite_rows_stay_visible():
    kappa = condition_numbers(
        singular_values(np.stack([np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.nan)]))
    )
    assert kappa[0] == 1.0
    assert np.isnan(kappa[1]) or kappa[1] == np.inf
    assert np.isnan(kappa[2])
    summary = summarize(kappa)
    assert summary.unresolved == 2
    assert summary.q99 == np.inf


def test_the_caller_s_precision_is_untouched():
    flow = flows.realnvp(jr.key(0), 3, 2)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    whole = from_bijection(flow.bijection)
    out = whole.at("inverse").jacobian(x)
    assert out.dtype == np.float64
    assert flow.dtype == np.float32
    assert jnp.zeros(1).dtype == jnp.float32
    single = whole.at("inverse", "float32").jacobian(x)
    assert single.dtype == np.float32


@pytest.mark.usefixtures("unchecked")
def test_other_precisions_are_refused():
    other: Any = "float16"
    with pytest.raises(ValueError, match="`precision` must be"):
        JaxMap(Matrix(np.eye(2)), Matrix(np.eye(2)), 2).at("forward", other).jacobian(np.zeros((1, 2)))


def test_forward_spectrum_is_the_inverse_s_reversed_and_agrees_with_finite_differences():
    flow = flows.spline(jr.key(0), 4, 3, hidden=(8,))
    arrays, static = eqx.partition(flow.bijection, eqx.is_inexact_array)
    keys = iter(jr.split(jr.key(1), 200))
    arrays = jax.tree.map(lambda a: a + 0.3 * jr.normal(next(keys), a.shape, a.dtype), arrays)
    bijection = eqx.combine(arrays, static)
    z = np.random.default_rng(2).normal(size=(6, 4))
    step = 1e-5
    shifts = step * np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4)])
    moved = (z + shifts[:, None]).reshape(-1, 4)  # all points in one program
    images = compute(forward, bijection, moved, precision="float64")
    x, ahead, behind = np.split(images.reshape(9, 6, 4), [1, 5])
    x = x[0]
    whole = from_bijection(bijection)
    there = singular_values(whole.at().jacobian(z))
    back = singular_values(whole.at("inverse").jacobian(x))
    kappa = condition_numbers(there)
    assert np.max(kappa) > 3  # not the identity
    assert np.abs(there * back[:, ::-1] - 1).max() <= 1e3 * EPS * np.max(kappa)
    differences = np.moveaxis(ahead - behind, 0, -1) / (2 * step)
    relative = np.abs(np.linalg.svd(differences, compute_uv=False) - there) / there[:, :1]
    assert relative.max() < 1e-6


def test_many_rows_take_one_program_and_come_back_in_order():
    a = np.diag([3.0, 1.0])
    x = np.random.default_rng(0).normal(size=(2500, 2))

    class Square(eqx.Module):
        def __call__(self, v, context=None):
            return jnp.stack([v[0] ** 3 / 3 + v[0], v[1]]) + 0 * jnp.asarray(a, v.dtype)[0, 1]

    found = spectra(Square(), x)
    expected = np.sort(np.stack([1 + x[:, 0] ** 2, np.ones(2500)], 1), axis=1)[:, ::-1]
    assert np.abs(found / expected - 1).max() < 1e-13
