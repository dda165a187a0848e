"""Bounds of trained flows: three pairs anew, and the hundred of results/given-pairs.json."""

import json
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from hardness import pairs

from shoal.theory.hardness import total_variation_bound

ROOT = Path(__file__).parents[2]
SIZES = {"samples": 10_000, "transported": 500, "shares": 20_000, "alpha": 1e-3}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads((ROOT / "results" / "given-pairs.json").read_text())


@pytest.mark.parametrize(("family", "name"), [("nice", "pair"), ("realnvp", "pair"), ("planar", "pair")])
def test_a_trained_pair(family: str, name: str) -> None:
    """Short training, so that something is left to certify: the bound is above 0 and below the transport."""
    (result,) = pairs.trained(family, name, 1, seeds=1, max_epochs=4, rows=400)
    instance = pairs.instance_of(name)
    found = pairs.compared(result, family, instance, jr.key(0), SIZES)
    assert 0 < found["lower"] <= found["transported"]
    # two samples of other keys, by another library: within a few deviations of a mean over 500 rows
    assert found["transported"] == pytest.approx(found["upper"], rel=0.3)
    assert not found["violated"]
    if family == "realnvp":
        assert found["variation_bound"] is None
    else:
        assert 0 < found["variation_bound"] <= found["misplaced"] + 4 * found["misplaced_error"]


def test_the_instance_itself_misplaces_nothing() -> None:
    """And a wrong Lipschitz constant is caught: the exact law beats the bound of a constant that it does not have."""
    for name in ("pair", "code"):
        instance = pairs.instance_of(name)
        found = pairs.misplaced(instance, instance, jr.key(3), 50_000)
        assert found["misplaced"] <= 4 * found["misplaced_error"]
        apart = instance.distance - 2 * pairs.ball(instance)
        bound = total_variation_bound(len(instance.means), apart, 0.5 * apart, pairs.MASS)
        assert found["misplaced"] + 4 * found["misplaced_error"] < bound


def test_the_stored_pairs_violate_nothing(record: dict[str, Any]) -> None:
    rows = record["rows"]
    assert record["status"] == "done"
    assert len(rows) == 100
    assert len({(r["family"], r["instance"], r["depth"], r["seed"]) for r in rows}) == 100
    assert {r["family"] for r in rows} == set(pairs.FAMILIES)
    assert {r["depth"] for r in rows} == {1, 2, 4, 6, 8}
    assert {r["k"] for r in rows} == {r["d"] for r in rows} == {2, 4, 8}
    assert all(np.isfinite(r["lower"]) and np.isfinite(r["transported"]) for r in rows)
    assert sum(r["lower"] > r["transported"] for r in rows) == 0 == record["counts"]["violations"]
    assert sum(r["lower"] > 0 for r in rows) == record["counts"]["lower_above_zero"] >= 50


def test_no_stored_flow_beats_the_variation_bound(record: dict[str, Any]) -> None:
    """The bound anew from the stored constant, for the families that have one."""
    rows = [r for r in record["rows"] if r["family"] in ("planar", "layerwise", "nice")]
    assert len(rows) == 60 == record["counts"]["with_lipschitz"]
    positive = 0
    for r in rows:
        instance = pairs.instance_of(r["instance"])
        apart = instance.distance - 2 * pairs.ball(instance)
        bound = total_variation_bound(r["k"], apart, r["lipschitz"], pairs.MASS)
        assert bound == pytest.approx(r["variation_bound"], rel=1e-6, abs=1e-9)
        assert r["misplaced"] + 4 * r["misplaced_error"] >= bound
        positive += bound > 0
    assert positive == record["counts"]["variation_above_zero"] >= 20
