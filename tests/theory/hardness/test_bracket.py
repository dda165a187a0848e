"""The condition bracket: lower ends below known constants, upper ends above those of maps that are integrated."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.stats import norm

from shoal.theory.hardness import _bracket as bracket
from shoal.theory.hardness import _explicit_map as explicit
from shoal.theory.hardness import _heat_flow as heat
from shoal.theory.hardness import condition_bracket


def bent(z: np.ndarray) -> np.ndarray:
    """The first coordinate with slopes from 1 to 9, the others times 1/2, then turned: L = 9, M = 2."""
    x = np.concatenate([z[:, :1] + 2 * np.tanh(4 * z[:, :1]), 0.5 * z[:, 1:]], axis=1)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(z.shape[1], z.shape[1])))[0]
    return x @ turn


@pytest.mark.parametrize("d", [2, *(pytest.param(d, marks=pytest.mark.long) for d in (1, 4))])
def test_lower_ends_hold_for_a_known_flow(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At confidence 0.5 and variation 0, where there is the least to spare: broken in fewer than half of the seeds."""
    monkeypatch.setattr(bracket, "COMPONENTS", (1, 2))
    monkeypatch.setattr(bracket, "explicit_maps", lambda *_: [explicit.ExplicitMap(0, 1, 9.0, 2.0, 0.0, 0.0)])
    most, least = (9.0, 2.0) if d > 1 else (9.0, 1.0)
    made = [
        condition_bracket(
            bent(np.random.default_rng(seed).normal(size=(3000, d))), variation=0.0, confidence=0.5
        )
        for seed in range(4)
    ]
    assert sum(b.lipschitz.lower > most or b.inverse.lower > least for b in made) <= 1
    assert np.median([b.lipschitz.lower for b in made]) > 0.3 * most
    assert np.median([b.inverse.lower for b in made]) > 0.4 * least
    sure = condition_bracket(bent(np.random.default_rng(9).normal(size=(3000, d))), variation=0.02)
    assert 0 < sure.lipschitz.lower < made[0].lipschitz.lower
    assert sure.condition.lower == max(sure.lipschitz.lower * sure.inverse.lower, 1.0)
    assert (sure.variation, sure.confidence) == (0.02, 0.99)


def test_variation_is_what_a_cut_flow_gains() -> None:
    """A continuous map may leave a gap of width D to a share 2 eps of the normal's middle: its slope there is the bound."""
    gap, eps = 6.0, 0.03
    edge = norm.ppf(0.5 + eps)
    slope = gap / (
        2 * edge
    )  # linear through the gap, any smaller slope outside: misplaces 2 eps of mass, so TV = 2 eps
    assert bracket.stretch(0.5, 0.5, gap, eps) == pytest.approx(slope)
    assert bracket.stretch(0.02, 0.5, gap, eps) == 0.0
    assert bracket.stretch(0.5, 0.98, gap, eps) == 0.0


def test_concentration_is_sharp_for_the_ball() -> None:
    """z -> z / 3 puts mass 0.6 into the ball that has it: M = 3, also in 5 dimensions by sampling."""
    radius = np.quantile(np.linalg.norm(np.random.default_rng(0).normal(size=(400_000, 5)), axis=1), 0.6) / 3
    log_volume = math.log(8 * math.pi**2 / 15) + 5 * math.log(radius)
    assert bracket.concentration(0.6, log_volume, 5, 0.0) == pytest.approx(3, rel=3e-3)
    assert bracket.concentration(0.01, log_volume, 5, 0.02) == 0.0


def test_shares_are_covered() -> None:
    rng = np.random.default_rng(1)
    hits = rng.binomial(50, 0.1, size=4000)
    assert np.mean([bracket.least_share(int(h), 50, 0.05) > 0.1 for h in hits]) <= 0.06
    assert np.mean([bracket.most_share(int(h), 50, 0.05) < 0.1 for h in hits]) <= 0.06
    assert (bracket.least_share(0, 50, 0.05), bracket.most_share(50, 50, 0.05)) == (0.0, 1.0)


def test_heat_flow_of_two_normals_on_a_line() -> None:
    """F^-1(Phi(z)) by root finding; the slope in the middle is s exp(D^2 / 8 s^2): the bound, but for its upper sum."""
    s, apart = 0.6, 2.4
    cdf = lambda x: 0.5 * (norm.cdf((x + apart / 2) / s) + norm.cdf((x - apart / 2) / s))
    image = lambda z: float(np.asarray(brentq(lambda x: cdf(x) - norm.cdf(z), -20, 20, xtol=1e-13)))
    z = np.linspace(-4, 4, 401)
    slopes = [(image(a + 1e-4) - image(a - 1e-4)) / 2e-4 for a in z]
    mixture = heat.TiedMixture(np.full(2, 0.5), np.array([[-apart / 2], [apart / 2]]), np.array([[s**2]]))
    lipschitz, inverse = heat.heat_flow_bounds(mixture)
    assert max(slopes) == pytest.approx(s * math.exp(apart**2 / (8 * s**2)), rel=1e-3)
    assert max(slopes) <= lipschitz <= 1.1 * max(slopes)
    assert max(1 / np.array(slopes)) <= inverse == pytest.approx(1 / s)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_heat_flow_of_a_mixture_in_the_plane(seed: int) -> None:
    """The particles' equation integrated from the normal to the mixture, its Jacobians by differences."""
    rng = np.random.default_rng(seed)
    means, root = rng.normal(size=(3, 2)), np.tril(rng.normal(size=(2, 2))) * 0.4 + 0.8 * np.eye(2)
    mixture = heat.TiedMixture(np.array([0.5, 0.3, 0.2]), means, root @ root.T)

    def velocity(t: float, flat: np.ndarray) -> np.ndarray:
        x = flat.reshape(-1, 2)
        inner = np.linalg.inv(np.eye(2) + math.exp(-2 * t) * (mixture.covariance - np.eye(2)))
        away = x[:, None] - math.exp(-t) * means
        logs = np.log(mixture.weights) - 0.5 * np.einsum("rki,ij,rkj->rk", away, inner, away)
        shares = np.exp(logs - logs.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return (np.einsum("rk,rki,ij->rj", shares, away, inner) - x).ravel()

    step = 1e-4
    z = rng.normal(size=(150, 1, 2)) + step * np.array([[0, 0], [1, 0], [0, 1]])
    ends = solve_ivp(velocity, (9.0, 0.0), z.ravel(), rtol=1e-9, atol=1e-10).y[:, -1].reshape(-1, 3, 2)
    spectra = np.linalg.svd((ends[:, 1:] - ends[:, :1]) / step, compute_uv=False)
    lipschitz, inverse = heat.heat_flow_bounds(mixture)
    assert spectra[:, 0].max() <= lipschitz * (1 + 1e-3)
    assert 1 / spectra[:, 1].min() <= inverse * (1 + 1e-3)
    assert spectra[:, 0].max() > 0.2 * lipschitz


def test_margins_and_densities_of_explicit_maps() -> None:
    """T(S^(1/2) z) built anew by interpolation: Jacobians within the bounds, and the densities integrate to 1."""
    rng = np.random.default_rng(2)
    rows = np.stack([rng.gamma(1.0, size=2000), rng.normal(size=2000)], axis=1) @ [[1, 0.5], [0, 1]]
    made = explicit.margins(rows, 8)
    mixture = heat.fit_tied(made.inverse(rows)[0], 1, 0)
    lipschitz, inverse = explicit._bounds(mixture, made)
    root = np.linalg.cholesky(mixture.covariance)

    def image(z: np.ndarray) -> np.ndarray:
        y = mixture.means[0] + root @ z
        ends = [(s[0], s[-1]) for s in made.slopes]
        low = [x[0] + e[0] * min(v - k[0], 0.0) for v, k, x, e in zip(y, made.y, made.x, ends, strict=True)]
        return np.array(
            [
                np.interp(v, k, x) + l - x[0] + e[1] * max(v - k[-1], 0.0)
                for v, k, x, e, l in zip(y, made.y, made.x, ends, low, strict=True)
            ]
        )

    for z in rng.normal(size=(300, 2)):
        jacobian = np.stack([(image(z + e) - image(z - e)) / 2e-6 for e in 1e-6 * np.eye(2)], axis=1)
        most, least = np.linalg.svd(jacobian, compute_uv=False)
        assert most <= lipschitz * (1 + 1e-6)
        assert 1 / least <= inverse * (1 + 1e-6)
        assert made.inverse(image(z)[None])[0] == pytest.approx((mixture.means[0] + root @ z)[None], abs=1e-8)
    x, y = np.meshgrid(np.linspace(-8, 30, 1500), np.linspace(-12, 20, 1500))
    grid = np.stack([x.ravel(), y.ravel()], axis=1)
    u, logs = made.inverse(grid)
    total = np.exp(mixture.log_density(u) + logs).sum() * (38 / 1499) * (32 / 1499)
    assert total == pytest.approx(1, abs=2e-2)


def test_a_law_below_a_lower_end_is_no_candidate() -> None:
    """Two far groups: the normal's map is proved to be too far from the rows, so that a mixture's is taken."""
    rng = np.random.default_rng(3)
    rows = 0.3 * rng.normal(size=(1500, 2)) + 2.0 * rng.choice([-1.0, 1.0], size=(1500, 1))
    found = condition_bracket(rows, variation=0.01)
    assert found.lipschitz.lower > 5
    assert found.lipschitz.upper >= found.lipschitz.lower
    assert found.inverse.upper >= found.inverse.lower
    plain = next(m for m in found.maps if (m.knots, m.components) == (0, 1))
    assert plain.lipschitz < found.lipschitz.lower


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: condition_bracket(x[:30]), "at least 20"),
        (lambda x: condition_bracket(x, x[:, :1]), "at least 20"),
        (lambda x: condition_bracket(np.where(x > 2, np.nan, x)), "finite"),
        (lambda x: condition_bracket(x, variation=0.5), "variation"),
        (lambda x: condition_bracket(x, confidence=1.0), "confidence"),
    ],
)
def test_refuses(call: Callable, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0).normal(size=(200, 2)))
