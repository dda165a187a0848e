"""The law on products can fail: a plain product is found wherever it stands."""

import importlib

import jax.numpy as jnp
import pytest

from tests.laws.products import law_products
from tests.laws.scaling import prepared

PLACES = [
    ("_linear", "lu"),
    ("conditioners._dense", "affine-soft-context-alternating"),
    ("conditioners._dense", "scan-pairs"),
    ("_planar", "planar"),
    ("_lipschitz", "residual"),
]


@pytest.mark.parametrize(("module", "name"), PLACES)
def test_a_plain_product_is_found(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bijection, points = prepared(name, "float32")
    law_products(bijection, points)
    monkeypatch.setattr(importlib.import_module(f"shoal.bijections.{module}"), "matmul", jnp.matmul)
    with pytest.raises(AssertionError, match="a product at precision None"):
        law_products(bijection, points)
