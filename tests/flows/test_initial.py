"""`realnvp(..., initial=...)`: the untrained flow is the given Gaussian, in ordinary trainable couplings."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from shoal.bijections import Chain, ExponentialScale, Partition, Scan, SigmoidScale, SignFlip
from shoal.flows import load, realnvp, save
from shoal.theory.linear import Effort, factor, gaussian

QUICK = Effort(4)


def law(n: int, **settings: Any):
    """A Gaussian, SciPy's log density of it, and points."""
    rng = np.random.default_rng(n)
    root, mean = rng.normal(size=(n, n)) + 2 * np.eye(n), rng.normal(size=n)
    sigma: Any = root @ root.T
    made = gaussian(mean, sigma, effort=QUICK, **settings)
    x = mean + rng.normal(size=(20, n)) @ root.T
    return made, multivariate_normal(mean, sigma).logpdf(x), x


def couplings_of(flow: Any) -> list:
    """The single layers of a flow."""
    return flow.bijection.layers()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("n", "first", "depth"), [(2, "lower", 3), (2, "upper", 4), (5, "lower", 9), (5, "upper", 3)]
)
def test_untrained_flow_is_the_gaussian(n: int, first, depth: int):
    made, expected, x = law(n, layers=3, first=first)
    flow = realnvp(jr.key(0), n, depth, hidden=(8,), initial=made)
    assert len(couplings_of(flow)) == depth
    np.testing.assert_allclose(flow.log_prob(jnp.asarray(x)), expected, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("partition", ["alternating", Partition(6, (5, 0, 2)), Partition(6, (1, 3, 4))])
def test_the_partition_of_the_factors(partition):
    kept = (1, 3, 5) if partition == "alternating" else (5, 0, 2)
    made, expected, x = law(6, layers=2, kept=kept)
    flow = realnvp(jr.key(0), 6, 3, hidden=(8,), partition=partition, initial=made)
    np.testing.assert_allclose(flow.log_prob(jnp.asarray(x)), expected, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_nets_and_context_are_alive(tmp_path):
    """Zero at the start, but with a gradient: they train; and the flow is saved like any other."""
    made, expected, x = law(4, layers=2)
    flow = realnvp(jr.key(0), 4, 4, hidden=(8,), context_dim=2, initial=made)
    context = jr.normal(jr.key(1), (20, 2))
    np.testing.assert_allclose(flow.log_prob(jnp.asarray(x), context), expected, atol=1e-10)

    def loss(f):
        return jnp.mean(f.log_prob(jnp.asarray(x), context))

    gradients = [np.asarray(g) for g in jax.tree.leaves(jax.grad(loss)(flow)) if g.ndim == 3]
    assert any(
        g.shape[-1] == 8 and np.all(np.any(g != 0, axis=(1, 2))) for g in gradients
    )  # the nets' last layers
    save(flow, tmp_path / "m")
    got = load(tmp_path / "m").log_prob(jnp.asarray(x), context)
    assert np.asarray(got).tobytes() == np.asarray(flow.log_prob(jnp.asarray(x), context)).tobytes()


@pytest.mark.usefixtures("x64")
def test_a_matrix_with_a_sign():
    t = np.random.default_rng(3).normal(size=(4, 4))
    t[0] *= -np.sign(np.linalg.det(t))
    assert np.linalg.det(t) < 0
    made = factor(t, effort=QUICK)
    flow = realnvp(jr.key(0), 4, 8, hidden=(8,), scale=ExponentialScale(), initial=made)
    z = np.random.default_rng(0).normal(size=4)
    np.testing.assert_allclose(flow.bijection.forward(jnp.asarray(z)), t @ z, atol=1e-11)
    assert any(isinstance(layer, SignFlip) for layer in couplings_of(flow))


def test_couplings_stay_stacked():
    """Ten couplings are one compiled pair, repeated five times, as without `initial`."""
    made, expected, x = law(4, layers=3)
    flow: Any = realnvp(jr.key(0), 4, 10, hidden=(8,), initial=made)
    plain: Any = realnvp(jr.key(0), 4, 10, hidden=(8,))
    assert isinstance(flow.bijection, Scan)
    shapes = [sorted(jnp.shape(a) for a in jax.tree.leaves(f)) for f in (flow, plain)]
    assert shapes[0] == shapes[1]
    assert len(flow.bijection.units()) == len(plain.bijection.units()) == 5
    odd: Any = realnvp(jr.key(0), 4, 9, hidden=(8,), initial=made)
    assert isinstance(odd.bijection, Chain)
    assert isinstance(odd.bijection.bijections[0], Scan)
    np.testing.assert_allclose(flow.log_prob(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    made, _, _ = law(4, layers=3)
    with pytest.raises(ValueError, match="`depth` must be at least the 3 layers of `initial`; got 2"):
        realnvp(jr.key(0), 4, 2, initial=made)
    with pytest.raises(ValueError, match="`initial` is a map of 4 coordinates; the flow has `dim` 5"):
        realnvp(jr.key(0), 5, 4, initial=made)
    for partition in ("alternating", "random", [Partition(4, (0, 1))], Partition(4, (0, 2))):
        with pytest.raises(
            ValueError, match=r"keep \(0, 1\) and the others in turn.*Partition\(4, \(0, 1\)\)"
        ):
            realnvp(jr.key(0), 4, 4, partition=partition, initial=made)
    with pytest.raises(ValueError, match=r"layer 0 of `initial`.*outside the range.*ExponentialScale"):
        realnvp(jr.key(0), 4, 4, scale=SigmoidScale(), initial=made)
    wide = gaussian(np.zeros(2), np.diag([1e8, 1e8]), 2, effort=QUICK)
    with pytest.raises(
        ValueError, match=r"layer \d of `initial`: coordinate 0 needs log-scale 9.21.*wider bound"
    ):
        realnvp(jr.key(0), 2, 2, initial=wide)
