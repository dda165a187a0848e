"""`expected_coverage` against laws whose coverage is known: normal ones that are s times as wide as the truth."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from shoal.conditioning import AbstractMap, JaxMap, expected_coverage, from_callables
from shoal.conditioning._map import Posterior

ROWS, SIZE = 400, 3


def law(width: float) -> JaxMap:
    """N(c, width^2 I) as a map of the latent, with its log-det."""
    log_det = SIZE * float(np.log(width))
    return JaxMap(
        lambda z, c: (width * z + c, jnp.full((), log_det, z.dtype)),
        lambda x, c: ((x - c) / width, jnp.full((), -log_det, x.dtype)),
        SIZE,
        log_dets=True,
    )


def rows(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    context = rng.normal(size=(ROWS, SIZE))
    return context + rng.normal(size=(ROWS, SIZE)), context


@pytest.mark.parametrize(("width", "verdict"), [(0.8, "too narrow"), (1.0, "not refuted"), (1.3, "too wide")])
def test_shares_and_width_are_those_of_the_normal_law(width: float, verdict: str) -> None:
    x, context = rows()
    found = expected_coverage(law(width), x, context=context, samples=60)
    truth = chi2.cdf(width**2 * chi2.ppf(found.levels, SIZE), SIZE)
    assert found.verdict == verdict
    for share, wanted in zip(found.shares, truth, strict=True):
        assert share.low is not None
        assert share.high is not None
        assert share.low < wanted < share.high
        assert share.high - share.low < 0.16
    assert found.width.low is not None
    assert found.width.high is not None
    assert found.width.low < width < found.width.high
    assert found.width.value == pytest.approx(width, rel=0.1)
    assert f"{found.verdict}. A normal law that misses so at 80%" in str(found)


def test_ranks_are_uniform_even_of_few_samples() -> None:
    """With one sample the ranks still are, by their own random part; a law of another shape is wrong both ways."""
    x, context = rows(1)
    assert expected_coverage(law(1.0), x, context=context, samples=1).verdict == "not refuted"
    rng = np.random.default_rng(2)
    heavy = context + rng.standard_t(1.2, size=(ROWS, 1)) * rng.normal(size=(ROWS, SIZE)) * 0.5
    assert expected_coverage(law(1.0), heavy, context=context).verdict == "of another shape"


def test_a_posterior_counts_inside_its_prior() -> None:
    """Truth: the normal law cut to positive first coordinates; the map has it uncut, and its cut is known."""
    rng = np.random.default_rng(3)
    context = np.zeros((ROWS, SIZE))
    draws = rng.normal(size=(4 * ROWS, SIZE))
    x = draws[draws[:, 0] > 0.5][:ROWS]
    uncut = law(1.0)
    assert expected_coverage(uncut, x, context=context[: len(x)]).verdict != "not refuted"
    uncut.posterior = Posterior(True, lambda points: points[:, 0] > 0.5)
    assert expected_coverage(uncut, x, context=context[: len(x)]).verdict == "not refuted"
    with pytest.raises(ValueError, match="Expected coverage of a posterior needs simulations"):
        expected_coverage(uncut, x)


def test_wrong_input() -> None:
    x, context = rows()
    with pytest.raises(ValueError, match="needs 50 rows or more; got 3"):
        expected_coverage(law(1.0), x[:3], context=context[:3])
    with pytest.raises(ValueError, match="`samples` must be at least 1; got 0"):
        expected_coverage(law(1.0), x, context=context, samples=0)
    other = law(1.0)
    other.latent = "StudentT"
    with pytest.raises(ValueError, match="needs a standard normal latent; this one is StudentT"):
        expected_coverage(other, x, context=context)
    bare: AbstractMap = from_callables(lambda z: 2 * z, lambda x: x / 2, SIZE)
    with pytest.raises(ValueError, match="needs log-dets, which <lambda> does not report"):
        expected_coverage(bare, x)
