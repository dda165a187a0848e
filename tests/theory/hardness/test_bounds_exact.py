"""Depth bounds, variations and planar gaps once more, in ball arithmetic from the proofs' formulas: no code shared."""

import math
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import strategies as st
from scipy.special import gammainc

from shoal.theory import hardness
from shoal.theory.hardness import HeavyTails, InstanceFamily, minimum_depth, planar_gap, total_variation_bound
from shoal.theory.hardness._minimum_depth import ANGLES, OVERLAPS  # the places it may state
from tests.searching import searched


@pytest.fixture(autouse=True)
def digits():
    with ctx.workprec(400):
        yield


def phi(x: arb) -> arb:
    return (-x / arb(2).sqrt()).erfc() / 2


def log_family(l: int, d: int, radius: float, m: arb, k: arb, b: arb) -> arb:
    """log of R L(l): the parameters' radius times sqrt(sum_j (M^{l-j} K (1 + E|h_{j-1}|))^2)."""
    total = arb(0)
    for j in range(1, l + 1):
        size = m ** (j - 1) * arb(d).sqrt() + (b * (m ** (j - 1) - 1) / (m - 1) if m > 1 else b * (j - 1))
        total += (m ** (l - j) * k * (1 + size)) ** 2
    return (arb(radius) ** 2 * l * total).log() / 2


def checked(a: Any, family: InstanceFamily, delta: float) -> int:
    """The inequality of the depth below the stated one, at the stated angle and overlap; what it says in KL."""
    found = minimum_depth(a, family, delta, 1 - delta / 2)
    drawn(a, family, found.drawn - 1, arb(1) - arb(1 - delta / 2))
    if found.vacuous:
        return found.depth
    l, d, k = found.depth - 1, family.d, family.k
    r, angle = arb(family.r), arb(found.angle)
    s = math.floor(found.overlap * k) + 1  # two instances share at most s - 1 of their means
    gap = (1 - arb(s - 1) / k) * 2 * r * (angle / 2).sin() - 2 * arb(family.gamma) * arb(d).sqrt()
    gap -= 4 * arb(family.ramps) * r + 2 * arb(family.epsilon)
    log_m = arb(2).log() - (d - 1) * angle.sin().log()
    binomial = arb(k + 1).lgamma() - arb(s + 1).lgamma() - arb(k - s + 1).lgamma()
    log_i = s * (log_m - arb(k).log()) - binomial
    assert gap > 0
    assert arb(found.log_instances) <= log_i
    constants = [arb(v) for v in (max(a.lipschitz, 1.0), a.parameter_lipschitz, a.offset)]
    served = l * a.parameters * (1 + 2 * log_family(l, d, a.radius, *constants).exp() / gap).log()
    assert served <= log_i + arb(delta).log()
    epsilon = arb(family.epsilon)
    assert arb(found.kl_to_flow) <= epsilon**2 / 2 / arb(a.lipschitz) ** (2 * l) * (1 + arb(1e-12))
    assert arb(found.kl_from_flow) <= epsilon**2 / 2 / (r**2 + arb(family.gamma) ** 2) * (1 + arb(1e-12))
    return found.depth


def drawn(a: Any, family: InstanceFamily, l: int, failing: arb) -> None:
    """Some angle and overlap, of those that are tried, have (1 + 4 R L(l) / gap)^(l p) < failing^2 I."""
    if l < 1:
        return
    constants = [arb(v) for v in (max(a.lipschitz, 1.0), a.parameter_lipschitz, a.offset)]
    log_size = log_family(l, family.d, a.radius, *constants)
    best = max(
        ((float(angle), math.floor(overlap * family.k) + 1) for angle in ANGLES for overlap in OVERLAPS),
        key=lambda at: room(float(log_size), a, family, l, *at),
    )
    angle, s, d, k = arb(best[0]), best[1], family.d, family.k
    gap = (1 - arb(s - 1) / k) * 2 * arb(family.r) * (angle / 2).sin() - 2 * arb(family.gamma) * arb(d).sqrt()
    gap -= 4 * arb(family.ramps) * arb(family.r) + 2 * arb(family.epsilon)
    log_i = s * (arb(2).log() - (d - 1) * angle.sin().log() - arb(k).log())
    log_i -= arb(k + 1).lgamma() - arb(s + 1).lgamma() - arb(k - s + 1).lgamma()
    assert gap > 0
    assert l * a.parameters * (1 + 4 * log_size.exp() / gap).log() < log_i + 2 * failing.log()


def room(log_size: float, a: Any, family: InstanceFamily, l: int, angle: float, s: int) -> float:
    """log I less the log of the number of balls, in float64."""
    d, k = family.d, family.k
    gap = (1 - (s - 1) / k) * 2 * family.r * math.sin(angle / 2) - 2 * family.gamma * math.sqrt(d)
    gap -= 4 * family.ramps * family.r + 2 * family.epsilon
    if gap <= 0 or s > k:
        return -math.inf
    log_i = s * (math.log(2 / k) - (d - 1) * math.log(math.sin(angle)))
    log_i -= math.lgamma(k + 1) - math.lgamma(s + 1) - math.lgamma(k - s + 1)
    return log_i - l * a.parameters * np.logaddexp(0.0, log_size + math.log(4 / gap))


@pytest.mark.parametrize(("d", "k"), [(32, 10_000), (300, 20_000), (64, 3_000)])
@pytest.mark.parametrize("build", [hardness.planar, hardness.layerwise, hardness.additive])
def test_the_stated_depth_satisfies_the_inequality_exactly(build: Any, d: int, k: int) -> None:
    assert checked(build(d), InstanceFamily(k, d, distance=0.5 * math.sqrt(d)), 0.01) > 1


def test_a_flow_of_enormous_lipschitz_constant_has_no_kl_left() -> None:
    """e^300 in place of L, which was larger, said more than is proved."""
    a = hardness.coupling(64, parameters=1, radius=1.0, lipschitz=math.exp(50.0), parameter_lipschitz=1.0)
    assert checked(a, InstanceFamily(100_000, 64, distance=4.0), 0.5) > 8


@pytest.mark.parametrize("modes", [2, 3, 50])
def test_the_variation_is_below_the_isoperimetric_one(modes: int) -> None:
    for distance in (0.1, 3.0, 30.0, 300.0):
        for mass in (1.0, 0.7, 1e-3):
            variation(modes, distance, mass)


def variation(modes: int, distance: float, mass: float) -> None:
    """Phi^{-1}(m) as the q of [q - h, q + h] that encloses it."""
    bound, m = total_variation_bound(modes, distance, 1.0, mass), arb(mass) / modes
    q = arb(0)
    for _ in range(60):  # Newton; Phi is concave above its median and convex below
        q -= (phi(q) - m) * (arb.pi() * 2).sqrt() * (q * q / 2).exp()
        q = q.mid()
    h = arb(1e-30)
    assert phi(q - h) < m < phi(q + h)
    values = [arb(0), arb(mass) - m / phi(q - h + arb(distance) / 2)]
    if modes == 2:
        values.append(arb(mass) - m - phi(-(q - h) - arb(distance)))
    assert any(arb(bound) <= v for v in values)


@pytest.mark.parametrize(
    ("d", "tail", "scale"), [(1, 0.5, 1.0), (64, 0.5, 2.0), (400, 1.5, 0.3), (3, 2.0, 1.0)]
)
def test_planar_gaps_are_below_the_exact_ones(d: int, tail: float, scale: float) -> None:
    planar(d, tail, scale)


def planar(d: int, tail: float, scale: float) -> None:
    """A ball whose masses differ by what is stated, and S(p) in closed form."""
    law = HeavyTails(d, tail, scale)
    reach = np.geomspace(1e-3, 1e3, 20_001) * math.sqrt(d)
    ours, normal = gammainc(d / tail, (reach / scale) ** tail), gammainc(d / 2, reach**2 / 2)
    r = arb(float(reach[np.argmax(np.abs(ours - normal))]))
    inside = (r / arb(scale)) ** arb(tail)
    apart = abs(inside.gamma_upper(arb(d) / arb(tail), 1) - (r * r / 2).gamma_upper(arb(d) / 2, 1))
    assert arb(law.from_normal()) <= apart
    power = arb(d) / arb(tail)
    radial = (power + (arb(tail) - 1) / arb(tail)).lgamma() - power.lgamma()
    along = (arb(d) / 2).lgamma() - (arb(d + 1) / 2).lgamma()
    score = arb(tail) / arb(scale) * (radial + along).exp() / arb.pi().sqrt()
    assert score <= arb(law.score) <= score * (1 + arb(1e-6))
    shifts = [0.1 / law.score] * 3
    left = apart - score * sum(map(arb, shifts))
    assert arb(planar_gap(law, shifts)) <= left or planar_gap(law, shifts) == 0


@searched(
    st.sampled_from([hardness.planar, hardness.layerwise, hardness.additive]),
    st.integers(2, 1024),
    st.integers(1, 100_000),
    st.floats(0.01, 1.0),
    st.floats(0.1, 100),
    st.floats(1e-6, 0.5),
    st.floats(0.1, 4.0),
)
def test_no_family_has_a_depth_that_is_not_proved(build, d, k, delta, radius, share, size) -> None:
    family = InstanceFamily(k, d, radius=radius * math.sqrt(d), distance=share * radius * math.sqrt(d))
    checked(build(d, radius=size), family, delta)


@searched(st.integers(2, 1000), st.floats(0, 60), st.floats(1e-9, 1.0))
def test_no_target_has_a_variation_that_is_not_proved(modes, distance, mass) -> None:
    variation(modes, distance, mass)


@searched(st.integers(1, 3000), st.floats(0.05, 2.0), st.floats(0.01, 100.0))
def test_no_heavy_tail_has_a_gap_that_is_not_proved(d, tail, scale) -> None:
    planar(d, tail, scale)
