"""The same numbers as nflows' invertible 1x1 convolution at the same weights: tests/fixtures/parity-glow.json."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import AbstractBijection, Chain, DenseLinear, LULinear, Permutation, PixelWise
from shoal.flows import from_factors
from shoal.theory.linear import factor

PEER: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "parity-glow.json").read_text(encoding="utf-8")
)


def plain() -> AbstractBijection:
    made = DenseLinear(4, key=jr.key(0))
    return eqx.tree_at(
        lambda d: (d.weight, d.bias), made, (jnp.array(PEER["weight"]), jnp.array(PEER["bias"]))
    )


def lu() -> AbstractBijection:
    upper = np.array(PEER["upper"])
    parts = (np.array(PEER["lower"]), upper, np.log(np.diagonal(upper)), np.array(PEER["bias"]))
    where = lambda m: (m.lower, m.upper, m.log_diagonal, m.bias)
    made = eqx.tree_at(where, LULinear(4, key=jr.key(0)), tuple(jnp.asarray(p) for p in parts))
    return Chain([Permutation(PEER["order"]), made])


def six() -> AbstractBijection:
    return from_factors(factor(np.array(PEER["weight"])), PEER["bias"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("make", [plain, lu, six])
def test_one_by_one_convolution(make):
    images = jnp.array(PEER["images"])
    layer = PixelWise(make(), images.shape[1:])
    out, log_det = jax.vmap(layer.forward_and_log_det)(images.reshape(len(images), -1))
    np.testing.assert_allclose(out, np.array(PEER["outputs"]).reshape(out.shape), atol=1e-10)
    np.testing.assert_allclose(log_det, PEER["log_det"], atol=1e-10)
