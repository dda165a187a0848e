"""Damaged, changed and foreign model folders: each an `InputError` of one sentence, at once.

A change of a byte is seen by the checksums. Changes of the tree or the arrays are also made with both checksums
computed anew (`resealed`), so that the checks behind them are the ones that must answer.
"""

import copy
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from shoal._errors import InputError
from shoal.bijections import (
    ActNorm,
    Affine,
    ArrayPartition,
    Chain,
    Partition,
    Permutation,
    RationalQuadratic,
    Scan,
    Standardize,
    dense_coupling,
)
from shoal.distributions import Flow, StandardNormal
from shoal.flows._files import load, save
from shoal.flows._tree import register
from shoal.records import _model as _document
from shoal.records._model import read_document, seal

Tree = dict[str, Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow of dimension 3 that has a class of every kind; no test writes into this folder."""
    couplings = [
        dense_coupling(ArrayPartition(Partition(3, [i])), Affine(), hidden=(2,), context_dim=1, key=jr.key(i))
        for i in (0, 1)
    ]
    layers = [
        Scan(couplings),
        dense_coupling(Partition(3, [0, 2]), RationalQuadratic(bins=4), hidden=(), key=jr.key(2)),
        Permutation([1, 2, 0]),
        ActNorm(3),
        Standardize(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([4.0, 5.0, 6.0])),
    ]
    folder = tmp_path_factory.mktemp("model")
    save(Flow(StandardNormal(3), Chain(layers), columns=("a", "b", "c"), context_columns=("d",)), folder)
    assert isinstance(load(folder), Flow)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refused(folder: Path, text: str, read: Callable[[Path], object] = load) -> str:
    """The message of the `InputError` that must come, which is one sentence and contains `text`."""
    with pytest.raises(InputError, match=text) as caught:
        read(folder)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 800
    return message


def document(folder: Path) -> Tree:
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def write(folder: Path, content: Any) -> None:
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def resealed(folder: Path, content: Tree, weights: bytes | None = None) -> None:
    """Writes the model with checksums that are right again."""
    if weights is not None:
        (folder / content["weights"]).write_bytes(weights)
        content["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    write(folder, content | {"sha256": seal(content)})


def layer(content: Tree, index: int) -> Tree:
    return content["tree"]["fields"]["bijection"]["fields"]["bijections"][index]["fields"]


def transformer(content: Tree) -> Tree:
    return layer(content, 1)["transformer"]["fields"]


class TestFolders:
    def test_missing(self, tmp_path: Path) -> None:
        refused(tmp_path / "no", r"no does not exist; name a folder that `shoal fit` or `shoal.save` wrote")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        refused(tmp_path / "file", "is not a folder")

    def test_empty(self, tmp_path: Path) -> None:
        refused(tmp_path, "has no model.json; name a folder")

    def test_without_weights(self, model: Path) -> None:
        (model / "weights.safetensors").unlink()
        refused(model, "has no weights.safetensors")

    def test_a_folder_in_the_place_of_a_file(self, model: Path) -> None:
        (model / "weights.safetensors").unlink()
        (model / "weights.safetensors").mkdir()
        refused(model, "has no weights.safetensors")

    def test_a_pipe_is_not_waited_for(self, model: Path) -> None:
        (model / "model.json").unlink()
        os.mkfifo(model / "model.json")
        refused(model, "has no model.json")

    def test_a_name_that_no_file_can_have(self, tmp_path: Path) -> None:
        refused(tmp_path / ("x" * 300), "can not be read: File name too long|does not exist")


class TestBytes:
    def test_every_flipped_byte_of_the_weights(self, model: Path) -> None:
        file = model / "weights.safetensors"
        whole = file.read_bytes()
        for i in range(0, len(whole), 13):
            file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
            refused(
                model,
                r"weights.safetensors is damaged .* its checksum is not the one in model.json",
                read_document,
            )

    def test_every_flipped_byte_of_the_tree(self, model: Path) -> None:
        file = model / "model.json"
        whole = file.read_bytes()
        for i in range(0, len(whole) - 1, 23):
            file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
            refused(model, "model.json ", read_document)

    @pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
    def test_every_truncation(self, name: str, model: Path) -> None:
        whole = (model / name).read_bytes()
        for i in range(0, len(whole) - 1, 97):
            (model / name).write_bytes(whole[:i])
            refused(model, f"{name} is damaged", read_document)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (b"\xff\xfe", "not JSON"),
            (b"\x80\x04K\x01.", "not JSON"),  # a pickle
            (b"[1]", "Expected `object`, got `array`"),
            (b"null", "Expected `object`, got `null`"),
            (b'{"format": NaN}', "the constant NaN"),
            (b'{"format": 1, "format": 1}', "a key that is there twice"),
            (b'{"format": ' + b"1" * 5000 + b"}", "not JSON"),
            (b"[" * 200_000, "nested deeper"),
            (b'{"format": 1, "tree": ' + b'{"a":' * 100_000, "nested deeper"),
            (b"{}", "missing required field `format`"),
        ],
        ids=["utf16", "pickle", "list", "null", "nan", "twice", "digits", "lists", "objects", "empty"],
    )
    def test_other_texts(self, text: bytes, found: str, model: Path) -> None:
        (model / "model.json").write_bytes(text)
        start = time.perf_counter()
        refused(model, found)
        assert time.perf_counter() - start < 1.0


class TestHead:
    @pytest.mark.parametrize("number", [0, -1, True, "1", 1.0, None])
    def test_no_format(self, number: Any, model: Path) -> None:
        resealed(model, document(model) | {"format": number})
        refused(model, "Expected `int`.* - at `format`")

    def test_a_later_format(self, model: Path) -> None:
        write(model, document(model) | {"format": 2, "new": 1})
        refused(
            model, "has format 2, this version of Shoal reads 1; upgrade with `pip install --upgrade shoal`"
        )

    @pytest.mark.parametrize("key", ["shoal", "dtype", "weights", "weights_sha256", "tree", "sha256"])
    def test_a_missing_key(self, key: str, model: Path) -> None:
        content = document(model)
        del content[key]
        write(model, content)
        refused(model, f"missing required field `{key}`")

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"more": 1}, "unknown field `more`"),
            ({"tree": [1]}, "Expected `object`, got `array` - at `tree`"),
            ({"weights_sha256": 5}, "Expected `str`, got `int` - at `weights_sha256`"),
            ({"dtype": "float64"}, "`dtype` is 'float64', the weights are float32"),
            ({"weights": "../weights.safetensors"}, "matching regex .* - at `weights`"),
            ({"weights": "/etc/passwd"}, "matching regex .* - at `weights`"),
            ({"weights": "a/../weights.safetensors"}, "matching regex .* - at `weights`"),
            ({"weights": "weights.safetensors\n"}, "matching regex .* - at `weights`"),
            ({"weights_sha256": "0" * 64}, "checksum is not the one"),
        ],
        ids=lambda v: json.dumps(v)[:40] if isinstance(v, dict) else "",
    )
    def test_values(self, change: Tree, text: str, model: Path) -> None:
        resealed(model, document(model) | change)
        refused(model, text)

    def test_a_static_value_without_a_new_seal(self, model: Path) -> None:
        content = document(model)
        transformer(content)["bound"] = 6.0
        write(model, content)
        refused(model, "its content does not match its own checksum")
        resealed(model, content)
        assert load(model).bijection.layers()[2].transformer.bound == 6.0  # pyright: ignore[reportAttributeAccessIssue]


def _set(target: Tree, **values: Any) -> None:
    target.update(values)


def _swap(a: Tree, b: Tree, key: str) -> None:
    a[key], b[key] = b[key], a[key]


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _wrapped(content: Tree, depth: int) -> None:
    for _ in range(depth):
        inverse = {"bijection": content["tree"]["fields"]["bijection"], "shape": [3], "context_shape": [1]}
        content["tree"]["fields"]["bijection"] = {"class": "Inverse", "fields": inverse}


TREES: dict[str, tuple[Callable[[Tree], object], str]] = {
    "field deleted": (
        lambda c: layer(c, 0).pop("unroll"),
        "Scan at `bijection.bijections.0` lacks the field 'unroll'",
    ),
    "field added": (lambda c: _set(layer(c, 3), flag=True), "ActNorm at .* does not have the field 'flag'"),
    "class of a later Shoal": (
        lambda c: _set(c["tree"]["fields"]["base"], **{"class": "Lattice"}),
        "holds the class 'Lattice', which this version of Shoal does not have; upgrade",
    ),
    "class of a user": (
        lambda c: _set(c["tree"]["fields"]["base"], **{"class": "mylab.flows:Base"}),
        r"'mylab.flows:Base', which is not registered; import .* `shoal.register\(Base\)` before loading",
    ),
    "other class": (
        lambda c: _set(c["tree"]["fields"]["base"], **{"class": "DiagonalNormal"}),
        "DiagonalNormal at `base` lacks the field 'log_scale' here",
    ),
    "abstract class": (
        lambda c: _set(c["tree"]["fields"]["base"], **{"class": "AbstractBijection"}),
        "this version of Shoal does not have",
    ),
    "class that is no text": (
        lambda c: _set(c["tree"], **{"class": 5}),
        "the top of the tree is not a class",
    ),
    "fields that are no object": (lambda c: _set(c["tree"], fields=[]), "the top of the tree is not a class"),
    "top is no module": (lambda c: _set(c, tree={"float": "nan"}), "which the tree does not name"),
    "top is no flow": (
        lambda c: _set(c, tree=c["tree"]["fields"]["bijection"]),
        "refers to 'bijection.bijections.0.unit.partition.kept'",
    ),
    "object of no meaning": (
        lambda c: _set(layer(c, 3), log_scale={"path": "x"}),
        "an object that has no meaning",
    ),
    "float of no meaning": (
        lambda c: _set(transformer(c), bound={"float": "1e3"}),
        "an object that has no meaning",
    ),
    "array in a static field": (
        lambda c: _set(layer(c, 3), shape=layer(c, 3)["shift"]),
        "`bijection.bijections.3.shape` holds an object that has no meaning",
    ),
    "module in a static field": (
        lambda c: _set(transformer(c), bins=c["tree"]["fields"]["base"]),
        "`bijection.bijections.1.transformer.bins` holds an object",
    ),
    "number for an array": (
        lambda c: _set(layer(c, 3), log_scale=0.5),
        "the weights file holds 'bijection.bijections.3.log_scale', which the tree does not name",
    ),
    "references swapped": (
        lambda c: _swap(layer(c, 3)["log_scale"], layer(c, 3)["shift"], "array"),
        "the array `bijection.bijections.3.(log_scale|shift)` refers to",
    ),
    "reference to nothing": (
        lambda c: _set(layer(c, 3), log_scale={"array": "bijection.x", "shape": [3], "dtype": "float32"}),
        "refers to 'bijection.x'",
    ),
    "array in the place of a module": (
        lambda c: _set(c["tree"]["fields"], base={"array": "base", "shape": [3], "dtype": "float32"}),
        "the array `base` is not in the weights file",
    ),
    "shapes swapped": (
        lambda c: _swap(
            layer(c, 0)["unit"]["fields"]["conditioner"]["fields"]["skip"], layer(c, 3)["shift"], "shape"
        ),
        r"has shape \[.*\] and dtype float32 in the weights file",
    ),
    "dtype changed": (lambda c: _set(layer(c, 3)["shift"], dtype="float64"), "'float64' in the tree"),
    "deep lists": (lambda c: _set(layer(c, 3), shift=_nested(150)), "nested deeper than 100"),
    "deep lists in a static field": (
        lambda c: _set(layer(c, 3), shape=_nested(150)),
        "nested deeper than 100",
    ),
    "deep modules": (lambda c: _wrapped(c, 150), "nested deeper than 100"),
    "shape of one layer": (lambda c: _set(layer(c, 3), shape=[4]), "parts do not fit together .*ActNorm"),
    "shape of the flow": (
        lambda c: _set(c["tree"]["fields"], shape=[4]),
        "`the top`: `Flow`: base has shape",
    ),
    "shape of the base": (
        lambda c: _set(c["tree"]["fields"]["base"]["fields"], shape=[4]),
        r"`Flow`: base has shape \(4,\), bijection \(3,\)",
    ),
    "shape of no numbers": (lambda c: _set(layer(c, 3), shape=["3"]), "parts do not fit together"),
    "shape of the flow of no numbers": (
        lambda c: _set(c["tree"]["fields"], shape="abc"),
        "`Flow`: base has shape",
    ),
    "context of the flow": (
        lambda c: _set(c["tree"]["fields"], context_shape=None),
        "the base has a context of shape None",
    ),
    "columns": (lambda c: _set(c["tree"]["fields"], columns=["a", "b"]), "2 column names for 3"),
    "columns of no text": (lambda c: _set(c["tree"]["fields"], columns=["a", "b", 3]), "each needs one text"),
    "context columns": (
        lambda c: _set(c["tree"]["fields"], context_columns=["a", "b"]),
        "2 context columns for 1",
    ),
    "length of the scan": (lambda c: _set(layer(c, 0), length=3), "`Scan`: length 3 and unroll"),
    "unroll of the scan": (lambda c: _set(layer(c, 0), unroll=0), "unroll 0 do not fit"),
    "bins": (
        lambda c: _set(transformer(c), bins=5),
        "`Coupling` needs a conditioner of 2 inputs and 16 outputs",
    ),
    "bins of no number": (lambda c: _set(transformer(c), bins="4"), "transformer`: '<=' not supported"),
    "bound": (lambda c: _set(transformer(c), bound={"float": "inf"}), r"bound=...\)` must be positive"),
    "context of a conditioner": (
        lambda c: _set(layer(c, 1)["conditioner"]["fields"], context=1),
        "`Coupling` needs a conditioner of 2 inputs and 13 outputs; got 1 and 13",
    ),
    "bound of the scale": (
        lambda c: _set(transformer(c)["scale"]["fields"], bound=-5.0),
        r"`SoftBoundedScale\(bound=...\)` must be positive",
    ),
    "partition's dim": (
        lambda c: _set(layer(c, 1)["partition"]["fields"], dim=2),
        "`bijection.bijections.1.partition`: `kept` must be distinct indices in 0 ... 1",
    ),
    "partition's set": (
        lambda c: _set(layer(c, 1)["partition"]["fields"], kept=[1, 1]),
        "must be distinct indices",
    ),
    "partition's kept size": (
        lambda c: _set(layer(c, 1)["partition"]["fields"], kept_size=1),
        "`kept_size` is 1, and 2 coordinates are kept",
    ),
    "partition's larger dim": (
        lambda c: _set(layer(c, 1)["partition"]["fields"], dim=4),
        "`Coupling` needs a conditioner of 2 inputs and 26 outputs",
    ),
    "array partition's dim": (
        lambda c: _set(layer(c, 0)["unit"]["fields"]["partition"]["fields"], dim=4),
        "none of 4 coordinates",
    ),
    "activation": (
        lambda c: _set(layer(c, 0)["unit"]["fields"]["conditioner"]["fields"], activation="sin"),
        "parts do not fit together .*activation",
    ),
}


@pytest.mark.parametrize(("change", "text"), TREES.values(), ids=TREES.keys())
def test_changed_tree(change: Callable[[Tree], object], text: str, model: Path) -> None:
    content = document(model)
    before = copy.deepcopy(content)
    change(content)
    assert content != before
    write(model, content)
    refused(model, "does not match its own checksum", read_document)
    resealed(model, content)
    assert str(model / "model.json") in refused(model, text)


P = "bijection.bijections."
ARRAYS: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "missing": (lambda a: a.pop(P + "3.shift"), rf"`{P}3.shift` is not in the weights file"),
    "added": (lambda a: a.update(more=np.zeros(2, np.float32)), "holds 'more', which the tree does not name"),
    "nan": (
        lambda a: a.update({P + "3.shift": np.asarray([0, np.nan, np.inf], np.float32)}),
        rf"The array `{P}3.shift` in .* holds 2 values that are not finite, the first nan",
    ),
    "other shape": (
        lambda a: a.update({P + "3.shift": np.zeros((1, 3), np.float32)}),
        rf"`{P}3.shift` has shape \[1, 3\] .* in the weights file, \[3\] and 'float32' in the tree",
    ),
    "other dtype": (
        lambda a: a.update({P + "3.shift": np.zeros(3, np.float16)}),
        r"dtype float16 in the weights file",
    ),
    "no permutation": (
        lambda a: a.update({P + "2.order": np.asarray([0, 0, 7], np.int32)}),
        "`order` and `inverse_order` do not undo each other",
    ),
    "another permutation": (
        lambda a: a.update({P + "2.order": np.asarray([0, 1, 2], np.int32)}),
        "`order` and `inverse_order` do not undo each other",
    ),
    "no partition": (
        lambda a: a.update({P + "0.unit.partition.kept": np.asarray([[0], [5]], np.int32)}),
        "`ArrayPartition`: kept, moved and order are none of 3 coordinates",
    ),
    "scale of zero": (
        lambda a: a.update({P + "4.scale": np.asarray([1, 0, 1], np.float32)}),
        "finite means and positive, finite scales",
    ),
}


@pytest.mark.parametrize(("change", "text"), ARRAYS.values(), ids=ARRAYS.keys())
def test_changed_arrays(change: Callable[[dict[str, np.ndarray]], object], text: str, model: Path) -> None:
    content = document(model)
    arrays = from_bytes((model / content["weights"]).read_bytes())
    change(arrays)
    resealed(model, content, to_bytes(arrays))
    refused(model, text)


def test_a_top_that_is_no_flow(model: Path) -> None:
    content = document(model)
    content["tree"], content["dtype"] = content["tree"]["fields"]["base"], None
    resealed(model, content, to_bytes({}))
    refused(model, "the top of the tree is StandardNormal, not Flow")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 8, b"\x80\x04K\x01.", b"PK\x03\x04" + b"\0" * 60, bytes([200]) + b"\0" * 7 + b"{"],
    ids=["empty", "huge header", "pickle", "zip", "short"],
)
def test_no_safetensors(data: bytes, model: Path) -> None:
    resealed(model, document(model), data)
    refused(model, r"weights.safetensors is damaged .* not a safetensors file")


def test_a_dtype_that_numpy_lacks(model: Path) -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    resealed(model, document(model), len(header).to_bytes(8, "little") + header + b"\0\0")
    refused(model, "not a safetensors file that Shoal wrote")


@register
class Guarded(eqx.Module):
    """An invariant that is checked after every construction, loading included."""

    size: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"`size` must be positive; got {self.size}.\nA second line.")


def test_invariants_are_checked(model: Path) -> None:
    content = document(model)
    layer(content, 3)["shift"] = {"class": f"{Guarded.__module__}:Guarded", "fields": {"size": 0}}
    arrays = from_bytes((model / content["weights"]).read_bytes())
    del arrays[P + "3.shift"]
    resealed(model, content, to_bytes(arrays))
    refused(model, r"`bijection.bijections.3.shift`: `size` must be positive; got 0; restore the folder")


def test_a_folder_that_is_being_saved_into_is_read_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights that the first reading named are gone; the second reading finds the new ones."""
    read = _document._read
    old = document(model)["weights_sha256"]

    def slow(file: Path, folder: Path) -> bytes:
        text = read(file, folder)
        if file.name == "model.json" and json.loads(text)["weights_sha256"] == old:
            _document.write_document(folder, {"shoal": "x", "dtype": None, "tree": {}}, b"new")
        return text

    monkeypatch.setattr(_document, "_read", slow)
    assert read_document(model)[1] == b"new"
