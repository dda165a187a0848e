"""A model written by every past release must load: the committed models, one folder a release."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import shoal
from shoal.flows._files import load

MODELS = Path(__file__).parent / "models"
FAMILIES = {
    "nice",
    "realnvp",
    "spline",
    "maf",
    "iaf",
    "nsf",
    "written",
    "context",
    "mixed",
    "fronts",
    "whole",
    "float64",
}
FOLDERS = sorted(folder.parent for folder in MODELS.glob("v*/*/model.json"))


def test_every_release_has_its_models() -> None:
    versions = {folder.parent.name for folder in FOLDERS}
    assert f"v{shoal.__version__}" in versions, "run scripts/make_model_fixtures.py for the new version"
    for version in versions:
        assert {f.name for f in FOLDERS if f.parent.name == version} >= FAMILIES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_log_prob_is_as_it_was(folder: Path) -> None:
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert document["format"] == 1
    with jax.enable_x64(document["dtype"] == "float64"):
        flow = load(folder)
        assert str(flow.dtype) == document["dtype"]
        found = np.asarray(flow.log_prob(np.asarray(expected["x"]), _array(expected["context"])))
    want = np.asarray(expected["log_prob"])
    assert want.shape == (6,)
    assert np.ptp(want) > 1.0  # values that tell one flow from another
    digits = 1e-12 if document["dtype"] == "float64" else 1e-4  # the rounding of other processors, times κ
    np.testing.assert_allclose(found, want, rtol=digits, atol=digits)


def test_names_and_integers_are_as_they_were() -> None:
    flow = load(MODELS / "v0.1.0" / "mixed")
    assert flow.columns == ("carat", "σ", 'a "b", c')
    arrays = {str(a.dtype): a for a in jax.tree.leaves(flow.bijection)}
    assert set(arrays) == {"float32", "int32"}
    assert load(MODELS / "v0.1.0" / "context").context_columns == ("temperature", "pressure")


def _array(values: list | None) -> np.ndarray | None:
    return None if values is None else np.asarray(values)
