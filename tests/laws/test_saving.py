"""The law of files can fail: seeded mistakes in reading a model are caught. `test_bijections` runs it on every case."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from shoal.flows import _files, _tree
from tests.laws.saving import law_saved
from tests.laws.scaling import prepared


def last_bit(found: dict[str, Any]) -> dict[str, Any]:
    """The first entry of the first array, moved to the next number."""
    name, array = next((n, a) for n, a in found.items() if a.size)
    entry = array.reshape(-1)[0]
    return found | {name: array.reshape(-1).at[0].set(jnp.nextafter(entry, entry + 1)).reshape(array.shape)}


def exchanged(found: dict[str, Any]) -> dict[str, Any]:
    """The arrays of an `ActNorm`, of one shape and dtype, each in the other's place."""
    (one, first), (two, second) = found.items()
    return {one: second, two: first}


def word_lost(found: Any) -> Any:
    """A static word comes back as another one."""
    return "silu" if found == "tanh" else found


MISTAKES: dict[str, tuple[str, object, str, Callable[[Any], Any]]] = {
    "last bit": ("affine-no-hidden-layer", _files, "to_jax", last_bit),
    "arrays exchanged": ("actnorm", _files, "to_jax", exchanged),
    "static field": ("maf-reverse-context", _tree, "_decode", word_lost),
}


@pytest.mark.parametrize(("case", "module", "function", "wrong"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_caught(
    case: str,
    module: object,
    function: str,
    wrong: Callable[[Any], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    law_saved(*prepared(case, "float32"), "float32", tmp_path)
    right = getattr(module, function)
    monkeypatch.setattr(module, function, lambda *given, **named: wrong(right(*given, **named)))
    with pytest.raises(AssertionError, match="came back"):
        law_saved(*prepared(case, "float32"), "float32", tmp_path)
