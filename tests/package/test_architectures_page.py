"""The catalogue of docs/architectures.md names every recipe."""

import inspect
import runpy
from pathlib import Path

from shoal import flows

ROOT = Path(__file__).parents[2]


def test_the_catalogue_has_every_recipe():
    recipes = {
        name
        for name, f in vars(flows).items()
        if inspect.isfunction(f) and list(inspect.signature(f).parameters)[:1] == ["key"]
    }
    architectures = runpy.run_path(str(ROOT / "scripts" / "_architectures.py"))["ARCHITECTURES"]
    assert {a.recipe for a in architectures} == recipes - {"padded"}  # which wraps any of them
    assert all(all(vars(a).values()) for a in architectures)
