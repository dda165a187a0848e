"""Parts of the space that a map reaches, against what the map was made of; and what runs away, against what has a range."""

import numpy as np
import pytest

from shoal.conditioning._reach import LIMIT, reach
from shoal.conditioning._support import support
from tests.conditioning.numpy_maps import Rows, composed

N = 3
LOGIT = lambda p: np.log(p) - np.log1p(-p)
SIGMOID = lambda z: 1 / (1 + np.exp(-z))


def length(v):
    return np.linalg.norm(v, axis=1, keepdims=True)


def softmax(z):
    e = np.exp(z)
    return e / (1 + e.sum(axis=1, keepdims=True))


def mixed(z):
    return np.stack([np.exp(z[:, 0]) - 2, z[:, 1], 5 + 2 * SIGMOID(z[:, 2])], axis=1)


def unmixed(x):
    return np.stack([np.log(x[:, 0] + 2), x[:, 1], LOGIT((x[:, 2] - 5) / 2)], axis=1)


PARTS = {
    "all coordinates above 0": (np.exp, np.log),
    "all coordinates below 0": (lambda z: -np.exp(z), lambda x: np.log(-x)),
    "all coordinates between 0 and 1": (SIGMOID, LOGIT),
    "all coordinates between -1 and 1": (np.tanh, lambda x: np.arctanh(np.clip(x, -1 + 1e-9, 1 - 1e-9))),
    "all coordinates between -3 and 3": (lambda z: z / (1 + abs(z) / 3), lambda x: x / (1 - abs(x) / 3)),
    "coordinate 0 above -2, coordinate 2 between 5 and 7": (mixed, unmixed),
    "a ball of radius 1 about (0, 0, 0)": (
        lambda z: z / np.sqrt(1 + length(z) ** 2),
        lambda x: x / np.sqrt(1 - length(x) ** 2),
    ),
    "a ball of radius 2 about (4, 4, 4)": (
        lambda z: 4 + 2 * z / (1 + length(z)),
        lambda x: (x - 4) / 2 / (1 - length((x - 4) / 2)),
    ),
    "all coordinates above 0, with a sum below 1": (
        softmax,
        lambda x: np.log(x) - np.log(1 - x.sum(axis=1, keepdims=True)),
    ),
}


def sampled(forward, rows=200):
    with np.errstate(all="ignore"):
        return forward(np.random.default_rng(0).standard_normal((rows, N)))


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_space_are_recognised_by_where_rays_end(part):
    forward, inverse = PARTS[part]
    map, x = Rows(N, forward, inverse), sampled(forward)
    assert support(map, x, None) == f"The map reaches only a part of the space: {part}."
    walked = reach([map], x, None, direction="inverse", name="data")
    assert walked.outside > 0
    assert not walked.runs_away
    # and behind a layer that uses the latents
    cubic = Rows(N, np.cbrt, lambda v: v**3)
    assert not reach([cubic, map], x, None, direction="inverse", name="data").runs_away


def test_all_of_the_space_says_nothing():
    assert support(Rows(N, np.sinh, np.arcsinh), sampled(np.sinh), None) == ""


@pytest.mark.parametrize("lost", [np.inf, np.nan])
def test_what_overflows_runs_away_and_is_no_range(lost):
    """sinh twice on the way to the latent, which overflows between 6.5 and 7, to infinity or to NaN, as inf - inf is."""

    def away(x):
        y = np.sinh(np.sinh(x))
        return np.where(np.isfinite(y), y, lost)

    x = 3.6 * np.tile([[1.0, 1, 1], [-1, -1, -1], [0.1, 0.1, 0.1], [-0.1, -0.1, -0.1]], (10, 1))
    walked = reach(
        [Rows(N, lambda z: np.arcsinh(np.arcsinh(z)), away)], x, None, direction="inverse", name="data"
    )
    assert walked.runs_away
    assert walked.growth > LIMIT
    assert walked.outside == 0


def test_growth_behind_a_range_is_seen():
    """Eight layers v + v^3 after log, on the way to the latent: what is moved inside is driven out of float32 by them."""
    cubed = Rows(N, lambda z: z, lambda v: v + v**3)
    chain = composed(*[cubed] * 8, Rows(N, np.exp, np.log))
    x = np.exp(0.3 * np.random.default_rng(5).standard_normal((300, N)))
    walked = reach(chain.layers(), x, None, direction="inverse", name="data")
    assert walked.outside > 0
    assert walked.runs_away
