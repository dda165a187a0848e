"""The six functions: nothing foreign is loaded before it is used, absent libraries and wrong objects get one sentence."""

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from shoal import adapters

LIBRARIES = ["torch", "zuko", "nflows", "normflows", "FrEIA", "flowjax", "distrax", "tensorflow_probability"]
NAMES = {"zuko": "zuko", "nflows": "nflows", "normflows": "normflows", "freia": "FrEIA", "flowjax": "flowjax"}
NAMES |= {"distrax": "distrax"}

# What the libraries say at their import, see their own tests.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),
    pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings:DeprecationWarning"),
]


def test_import_loads_nothing_foreign() -> None:
    code = f"import sys, shoal.adapters; print([n for n in {LIBRARIES} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("extra", "library"), NAMES.items(), ids=NAMES)
def test_library_that_is_not_installed(extra: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == library else find(name, *a)
    )
    with pytest.raises(
        ImportError, match=rf'is not installed: run `pip install "shoal\[{extra}\]"`\.$'
    ) as caught:
        getattr(adapters, extra)(object())
    assert caught.value.name == library


@pytest.mark.parametrize("extra", NAMES)
def test_wrong_object(extra: str) -> None:
    wrong: Any = {"a": 1}
    with pytest.raises(ValueError, match=rf"`adapters\.{extra}` takes an? .*; got builtins\.dict\.$"):
        getattr(adapters, extra)(wrong)
