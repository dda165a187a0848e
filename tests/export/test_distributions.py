"""Flows as distributions of numpyro and distrax: the same numbers, in models, under `jit`, with contexts as a batch."""

import jax
import jax.random as jr
import numpy as np
import numpyro
import pytest
from numpyro import infer
from numpyro.distributions import constraints
from numpyro.infer.util import log_density

from shoal._errors import InputError
from shoal.bijections import Chain, Support
from shoal.distributions import Flow
from shoal.export import to_distrax, to_numpyro
from tests.export.sample_flows import conditional, context_rows, of_family

pytestmark = pytest.mark.filterwarnings(
    "ignore:jax.core.pytype_aval_mappings:DeprecationWarning"
)  # of distrax


@pytest.mark.parametrize("convert", [to_numpyro, to_distrax])
def test_densities_and_draws_are_the_flows(convert):
    flow = of_family("realnvp")
    made, x = convert(flow), np.asarray(flow.sample(jr.key(1), 6))
    assert (made.batch_shape, made.event_shape) == ((), (3,))
    np.testing.assert_array_equal(made.log_prob(x), flow.log_prob(x))
    np.testing.assert_allclose(jax.jit(lambda d, v: d.log_prob(v))(made, x), flow.log_prob(x), rtol=1e-5)
    key = jr.key(2)
    drawn = made.sample(key, (4,)) if convert is to_numpyro else made.sample(seed=key, sample_shape=(4,))
    np.testing.assert_array_equal(drawn, flow.sample(key, (4,)))


def test_distrax_draws_with_their_densities():
    flow = of_family("realnvp")
    x, logs = to_distrax(flow).sample_and_log_prob(seed=jr.key(1), sample_shape=(2, 3))
    assert x.shape == (2, 3, 3)
    np.testing.assert_allclose(logs, flow.log_prob(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("convert", [to_numpyro, to_distrax])
def test_contexts_are_the_batch(convert):
    flow, context = conditional(), context_rows(4)
    made, x = convert(flow, context), np.random.default_rng(1).normal(size=(4, 3))
    assert made.batch_shape == (4,)
    np.testing.assert_array_equal(made.log_prob(x), flow.log_prob(x, context))
    drawn = (
        made.sample(jr.key(0), (7,))
        if convert is to_numpyro
        else made.sample(seed=jr.key(0), sample_shape=(7,))
    )
    assert drawn.shape == (7, 4, 3)
    with pytest.raises(InputError, match=r"needs a context of shape \(..., 2\)"):
        convert(flow)
    with pytest.raises(InputError, match=r"`context` must have shape \(..., 2\); got \(4, 3\)"):
        convert(flow, x)


def test_a_model_of_numpyro_observes_and_draws():
    flow = of_family("realnvp")
    x = np.asarray(flow.sample(jr.key(1)))

    def model(seen: np.ndarray | None = None) -> None:
        numpyro.sample("x", to_numpyro(flow), obs=seen)

    logs, _ = log_density(model, (x,), {}, {})
    np.testing.assert_allclose(logs, flow.log_prob(x), rtol=1e-6)
    drawn = infer.Predictive(model, num_samples=5)(jr.PRNGKey(0))["x"]
    assert drawn.shape == (5, 3)


def test_the_support_is_that_of_the_columns():
    inner = of_family("realnvp")
    inf = np.inf
    for low, high, inside, outside in (
        (0.0, 1.0, [0.5, 0.5, 0.5], [0.5, 1.5, 0.5]),
        (0.0, inf, [0.5, 9.0, 0.5], [0.5, -1.0, 0.5]),
        (-inf, 0.0, [-1.0, -9.0, -1.0], [-1.0, 1.0, -1.0]),
    ):
        bounded = Flow(inner.base, Chain([inner.bijection, Support(3, low=low, high=high)]))
        support = to_numpyro(bounded).support
        assert bool(support(np.array(inside)))
        assert not bool(support(np.array(outside)))
    mixed = Flow(inner.base, Chain([inner.bijection, Support(3, low=(0.0, -inf, 0.0), high=inf)]))
    assert to_numpyro(mixed).support is constraints.real_vector
    assert to_numpyro(inner).support is constraints.real_vector
