"""The two-coupling map of zero padding: near the target as the contraction falls, and singular in that limit."""

from itertools import pairwise
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal import conditioning
from shoal.bijections import Chain
from shoal.distributions import Padded, ZeroPadding
from shoal.theory import universal

KEY = jr.key(2)
LOGISTIC = lambda x: np.tanh(x / 2)
QUARTIC = lambda x: x**3
CONTRACTIONS = (0.1, 0.01, 0.001)


def test_w2_falls_and_kappa_grows_like_its_inverse_square() -> None:
    made = [universal.zero_padded(QUARTIC, contraction=c, key=KEY) for c in CONTRACTIONS]
    for coarse, fine in pairwise(made):
        assert fine.w2.value < 0.2 * coarse.w2.value
        assert fine.padding_w2.value == pytest.approx(0.1 * coarse.padding_w2.value, rel=1e-5)
        for name in ("median", "at999", "largest"):
            ratio = getattr(fine, name).value / getattr(coarse, name).value
            assert ratio == pytest.approx(100, rel=0.05)
    assert made[0].median.value > 30
    assert made[0].largest.kind == made[0].padding_w2.kind == "exact"


@pytest.mark.usefixtures("x64")
def test_kappa_against_autodiff() -> None:
    made = universal.zero_padded([QUARTIC, LOGISTIC], contraction=0.01, key=KEY, dtype="float64")
    d = made.flow.shape[0]
    inner = conditioning.from_bijection(Chain(made.flow.bijection.bijections[:-1]))  # pyright: ignore[reportAttributeAccessIssue]
    z = np.zeros((4096, 2 * d))
    z[:, d:] = np.asarray(jr.normal(KEY, (4096, d)))
    kappa = np.linalg.cond(inner.at().jacobian(z[:500]))
    assert np.quantile(kappa, 0.5) == pytest.approx(made.median.value, rel=0.05)
    assert kappa.max() <= made.largest.value * (1 + 1e-6)
    assert made.largest.value < 30 * made.median.value


def test_the_law_is_the_targets_and_the_padding_nearly_nothing() -> None:
    made = universal.zero_padded(LOGISTIC, contraction=0.01, key=KEY)
    assert isinstance(made.flow, Padded)
    assert isinstance(made.flow.padding, ZeroPadding)
    joint = np.asarray(made.flow.joint.sample(jr.key(4), 20_000))
    assert stats.kstest(joint[:, 0], stats.logistic.cdf).pvalue > 1e-3
    assert np.sqrt(np.mean(joint[:, 1] ** 2)) == pytest.approx(made.padding_w2.value, rel=0.05)
    sorted_x, levels = np.sort(joint[:, 0]), (np.arange(20_000) + 0.5) / 20_000
    sampled = np.sqrt(np.mean((sorted_x - stats.logistic.ppf(levels)) ** 2))
    assert made.w2.value < sampled < 0.1  # the sample's own distance is the larger part
    assert made.w2.value == pytest.approx(0.01 * np.pi / 3**0.5, rel=0.02)


@pytest.mark.long
def test_float32_cannot_invert_what_langevin_inverts() -> None:
    """The padding's price: the round trip of latents, in the same dtype and on the same target."""
    z = np.asarray(jr.normal(jr.key(5), (500, 2)))
    errors = []
    for flow in (
        universal.zero_padded(QUARTIC, contraction=0.001, key=KEY).flow,
        universal.langevin(QUARTIC, steps=10, key=KEY, knots=257).flow,
    ):
        errors.append(float(np.abs(np.asarray(flow.joint.inverse(flow.joint.forward(z))) - z).max()))
    assert errors[0] > 20 * errors[1]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"contraction": 1e-6}, "contraction"),
        ({"contraction": 1.0}, "contraction"),
        ({"knots": 3}, "knots"),
        ({"dtype": "float64"}, "float64, which is off"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_bad_input(settings: dict[str, Any], text: str) -> None:
    given: Any = {"contraction": 0.1} | settings
    with pytest.raises(ValueError, match=text):
        universal.zero_padded(QUARTIC, key=KEY, **given)
    with pytest.raises(ValueError, match="at least one"):
        universal.zero_padded([], key=KEY, contraction=0.1)
