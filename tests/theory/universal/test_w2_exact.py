"""The W2 certificate once more, from the stored arrays of the flow alone: rational and ball arithmetic, no code shared.

Theorem D's terms are written out again here. Weights are summed as fractions, Phi is enclosed by python-flint. A sample
of 1e5 rows is where cumulative float64 sums lost the borders.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ulp
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from shoal.theory import universal
from shoal.theory.universal._atoms import integers
from shoal.theory.universal._staircase import cell_borders, levels
from shoal.theory.universal._w2_certificate import displaced
from tests.searching import searched
from tests.theory.universal.test_parts import staircase

FRACTIONS = np.vectorize(Fraction, otypes=[object])
WEIGHTS = {
    "equal": np.ones(100_000),
    "uneven": np.random.default_rng(0).uniform(size=100_000) ** 4,
    "wide": np.exp(np.random.default_rng(1).uniform(-500, 1, size=2000)),
}


@pytest.fixture(autouse=True)
def digits():
    with ctx.workprec(256):
        yield


def ball(x: Any) -> arb:
    """A float or fraction as a ball."""
    x = Fraction(x)
    return arb(x.numerator) / arb(x.denominator)


def phi(x: Any) -> arb:
    """The distribution function of N(0, 1)."""
    return (-ball(x) / arb(2).sqrt()).erfc() / 2


def below(borders: np.ndarray, sums: list[Fraction], places: range) -> list[arb]:
    """|Phi(c_i) - exact mass below border i| at some borders."""
    return [abs(phi(borders[i]) - ball(sums[i] / sums[-1])) for i in places]


@pytest.mark.parametrize("name", WEIGHTS)
def test_borders_are_measured_against_exact_sums(name: str) -> None:
    w = WEIGHTS[name]
    sums = list(accumulate(FRACTIONS(w)))
    low, high = levels(integers(w))
    made = replace(staircase(1, 0), below=low, above=high, borders=cell_borders(low, high))
    places = range(7, len(w) - 1, len(w) // 100)
    claims = displaced(made)
    for i, true in zip(places, below(made.borders, sums, places), strict=True):
        assert true <= arb(claims[i]) <= true + arb(2e-15)
        assert abs(Fraction(low[i]) - sums[i] / sums[-1]) <= Fraction(ulp(low[i])) / 2
        assert abs(Fraction(high[i]) - 1 + sums[i] / sums[-1]) <= Fraction(ulp(high[i])) / 2


def test_rounded_sums_would_have_been_seen() -> None:
    """Borders set and measured by one cumulative sum in float64 agree with each other and not with the truth."""
    w = np.full(100_000, 1e-5)
    rounded = np.cumsum(w)
    borders = ndtri(rounded[:50_000])
    claims = np.abs(ndtr(borders) - rounded[:50_000]) + 4 * np.finfo(float).eps
    true = below(borders, list(accumulate(FRACTIONS(np.ones(100_000)))), range(40_000, 50_000, 500))
    assert all(t > 5 * arb(c) for t, c in zip(true, claims[40_000::500], strict=True))


def square(rows: np.ndarray) -> np.ndarray:
    """Sums of squares of the rows, as fractions."""
    return (rows * rows).sum(axis=1) if len(rows) else np.zeros(0, object)


def exact_terms(made: Any, x: np.ndarray, w: np.ndarray) -> dict[str, arb]:
    """The terms of Theorem D, enclosed: knots, values and scales are read off the flow, the clusters off the atoms."""
    n = x.shape[1]
    layers: Any = made.flow.joint.bijection
    first, second = (layer.conditioner for layer in layers.bijections)
    a, b = (FRACTIONS(np.asarray(net.values, float)) for net in (first, second))
    used = w > 0
    x, w = FRACTIONS(x[used]), FRACTIONS(w[used]) / sum(FRACTIONS(w[used]))
    centres = FRACTIONS(made.atoms.points)
    mass = [sum(w[made.atoms.labels == i]) for i in made.staircase.order]
    delta = ball(float(first.constant[0])).exp()
    assert (np.asarray(first.constant) == np.asarray(second.constant)[0]).all()
    out = {
        "quantization": root(w @ square(x - centres[made.atoms.labels])),
        "scales": arb(n).sqrt() * delta,
        **dict.fromkeys(("push", "ramps", "tails", "borders"), arb(0)),
    }
    at = np.concatenate([a, b], axis=1)[:, :n][:: 1 if len(mass) == 1 else 2]
    at = at if len(mass) == 1 else np.concatenate([at, np.concatenate([a, b], axis=1)[-1:, :n]])
    out["push"] = root(np.array(mass) @ square(at - centres[made.staircase.order]))
    if len(mass) == 1:
        return out
    d, jumps = a.shape[1], np.diff(at, axis=0)
    knots, steps = (FRACTIONS(np.asarray(net.knots, float)).reshape(-1, 2) for net in (first, second))
    ramps, flows = arb(0), []
    for (low, high), c, jump, sums in zip(
        knots, made.staircase.borders, jumps, list(accumulate(mass))[:-1], strict=True
    ):
        c = Fraction(c)
        share = max(c - low, high - c) / (high - low)
        one, two = ball(sum(jump[:d] ** 2) * share**2), ball(sum(jump[d:] ** 2))
        ramps += (phi(high) - phi(low)) * (one + two)
        flows.append((abs(phi(c) - ball(sums)), ball(sum(jump**2))))
    out["ramps"] = arb(ramps).sqrt()
    v = FRACTIONS(np.asarray(second.direction, float))
    u = at[:, :d] @ v
    margin = min(min(low - p, q - high) for (p, q), (low, high) in zip(pairwise(u), steps, strict=True))
    far = ball(margin) / (delta * root(v @ v))
    width = at[:, d:].max(axis=0) - at[:, d:].min(axis=0) if n > d else np.zeros(0, object)
    out["tails"] = ((far / arb(2).sqrt()).erfc() * ball(width @ width)).sqrt() if n > d else arb(0)
    whole = all(f <= ball(min(mass)) / 2 for f, _ in flows)
    out["borders"] = (
        sum((f * j for f, j in flows), arb(0)).sqrt()
        if whole
        else sum(((f * j).sqrt() for f, j in flows), arb(0))
    )
    return out


def root(x: Any) -> arb:
    """The root of a fraction."""
    return ball(x).sqrt()


def holds(x: np.ndarray, w: np.ndarray, epsilon: float, dtype: Any) -> dict[str, float]:
    """Every stated term is at least the enclosed one, and so is the bound; how many times each, for those above 1e-12."""
    with jax.enable_x64(True):
        made: Any = universal.construct(x, epsilon, key=jr.key(1), weights=w, dtype=dtype)
        found = exact_terms(made, x, w)
    stated = {name: getattr(made.certificate.terms, name) for name in found}
    for name, value in found.items():
        assert value <= arb(stated[name]), name
    ramps = (found["ramps"] ** 2 + found["tails"] ** 2).sqrt()
    total = found["quantization"] + found["push"] + found["scales"] + ramps + found["borders"]
    assert total <= arb(made.certificate.w2_bound.value) <= arb(epsilon)
    return {name: stated[name] / float(v) for name, v in found.items() if v > arb(1e-12)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [2, 3])
def test_every_term_is_at_least_what_the_stored_layers_have(dtype: str, columns: int) -> None:
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(60, columns)) * np.array([1.0, 3.0, 0.2])[:columns]
    ratios = holds(x, rng.integers(0, 4, size=60) * 1.0, 0.8, dtype)
    assert all(r < 1.1 for name, r in ratios.items() if name not in ("tails", "borders"))
    assert ratios.get("tails", 1.0) < 2
    assert holds(x[:1], np.ones(1), 0.5, dtype)["scales"] < 1.1


COORDINATE = st.one_of(st.integers(-4, 4).map(float), st.floats(-1e3, 1e3, width=32))


@searched(
    rows=st.lists(st.tuples(*(COORDINATE,) * 4), min_size=1, max_size=12),
    columns=st.integers(2, 4),
    weights=st.lists(st.floats(1e-12, 1.0), min_size=12, max_size=12),
    share=st.floats(0.02, 1.0),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_no_sample_breaks_the_certificate(rows, columns, weights, share, dtype) -> None:
    x = np.array(rows)[:, :columns]
    epsilon = share * max(float(np.ptp(x, axis=0).max()), 1e-3)
    try:
        holds(x, np.array(weights[: len(x)]), epsilon, dtype)
    except ValueError as error:
        if "out of reach" not in str(error):
            raise
