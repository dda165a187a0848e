"""Saving and loading: same bits, every kind of field, precision never lost in silence, whole models at every moment."""

import copy
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal._errors import InputError
from shoal._types import Array, Context, Scalar, Vector
from shoal.bijections import AbstractBijection, ArrayPartition, Chain, Partition, Permutation, Standardize
from shoal.distributions import Flow, StandardNormal
from shoal.flows import realnvp, spline
from shoal.flows._files import load, save, to_jax
from shoal.flows._tree import _NAMES, encode, register
from shoal.records import _model as _document
from tests.laws.saving import bits, same

FAMILIES: dict[str, Callable[..., Flow]] = {"realnvp": realnvp, "spline": spline}


def noisy(flow: Flow, seed: int = 0, spread: float = 0.3) -> Flow:
    arrays, rest = eqx.partition(flow, eqx.is_inexact_array)
    rng = np.random.default_rng(seed)
    moved = lambda a: jnp.asarray(np.asarray(a) + spread * rng.standard_normal(a.shape), a.dtype)
    arrays = jax.tree.map(moved, arrays)
    return eqx.combine(arrays, rest)


def small(seed: int = 0) -> Flow:
    return noisy(realnvp(jr.key(0), 3, 2, hidden=(4,)), seed)


@register
class Everything(AbstractBijection):
    """The identity, with a field of every kind that a file can hold."""

    arrays: tuple[Array, ...]
    parts: tuple[Partition | None, tuple[Partition, ...]]
    loose: float
    statics: tuple = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int):
        self.arrays = (
            jnp.asarray(1.5),
            jnp.zeros((0, 3)),
            jnp.asarray([True, False]),
            jnp.arange(4, dtype=jnp.uint8),
            jnp.asarray([[-3, 2**31 - 1]], jnp.int32),
            jnp.asarray([0.1, -0.0], jnp.float16),
        )
        self.parts = (None, (Partition(dim, [0]), Partition(dim, [])))
        self.loose = 0.1
        self.statics = (
            1,
            1.0,
            -0.0,
            0.1,
            math.inf,
            -math.inf,
            math.nan,
            True,
            None,
            "σ\ud800\n",
            (),
            ((2,), "x"),
        )
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return z, jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        return x, jnp.zeros((), x.dtype)


class TestRoundTrip:
    @pytest.mark.parametrize(("family", "wide"), [("spline", False), ("realnvp", True)], ids=str)
    def test_same_bits_of_log_prob(self, family: str, wide: bool, tmp_path: Path) -> None:
        """Of a whole flow; tests/laws has the same for every bijection, alone."""
        rng = np.random.default_rng(1)
        x, c = rng.standard_normal((7, 3)), rng.standard_normal((7, 1))
        with jax.enable_x64(wide):
            flow = noisy(FAMILIES[family](jr.key(0), 3, 2, hidden=(4,), context_dim=1))
            save(flow, tmp_path)
            loaded = load(tmp_path)
            assert same(loaded, flow)
            assert loaded.dtype == (np.float64 if wide else np.float32)
            assert bits(loaded.log_prob(x, c)) == bits(flow.log_prob(x, c))

    def test_deep_copies(self, tmp_path: Path) -> None:
        flow = small()
        save(flow, tmp_path)
        x = np.random.default_rng(1).standard_normal((7, 3))
        for twin in (copy.deepcopy(flow), copy.deepcopy(load(tmp_path))):
            assert same(twin, flow)
            assert bits(twin.log_prob(x)) == bits(flow.log_prob(x))

    def test_integers_names_and_stacked_partitions(self, tmp_path: Path) -> None:
        inner = realnvp(jr.key(0), 4, 3, hidden=(), partition=[Partition(4, [i, 3]) for i in range(3)])
        layers = [inner.bijection, Permutation([3, 1, 0, 2]), Standardize(jnp.arange(4.0), jnp.full(4, 2.0))]
        names = ("carat", "x", "größe", "a.b")
        flow = Flow(StandardNormal(4), Chain(layers), columns=names)
        assert len([a for a in jax.tree.leaves(flow) if a.dtype == jnp.int32]) == 5
        save(flow, tmp_path)
        loaded = load(tmp_path)
        assert same(loaded, flow)
        assert loaded.columns == names
        assert loaded.context_columns is None

    def test_every_kind_of_field(self, tmp_path: Path) -> None:
        flow = Flow(StandardNormal(2), Everything(2))
        save(flow, tmp_path)
        found, want = load(tmp_path).bijection, flow.bijection
        assert isinstance(found, Everything)
        assert isinstance(want, Everything)
        # repr tells 1 from 1.0 and True, and shows nan and -0.0
        assert repr(found.statics) == repr(want.statics)
        assert (found.parts, found.loose) == (want.parts, want.loose)
        assert [(a.dtype, a.shape, bits(a)) for a in found.arrays] == [
            (a.dtype, a.shape, bits(a)) for a in want.arrays
        ]

    def test_no_constructor_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save(Flow(StandardNormal(2), Everything(2)), tmp_path)

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a constructor ran")

        for cls in (Flow, StandardNormal, Everything, Partition):
            monkeypatch.setattr(cls, "__init__", refuse)
        assert isinstance(load(tmp_path), Flow)

    def test_files_are_plain(self, tmp_path: Path) -> None:
        save(small(), tmp_path / "a" / "b")
        assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == [
            "model.json",
            "weights.safetensors",
        ]
        document = json.loads((tmp_path / "a" / "b" / "model.json").read_text(encoding="utf-8"))
        assert (document["format"], document["dtype"], document["weights"]) == (
            1,
            "float32",
            "weights.safetensors",
        )
        assert document["tree"]["class"] == "Flow"
        assert document["tree"]["fields"]["base"] == {
            "class": "StandardNormal",
            "fields": {"shape": [3], "context_shape": None, "columns": None, "context_columns": None},
        }

    def test_same_flow_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            save(small(), tmp_path / name)
        for name in ("model.json", "weights.safetensors"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


class TestPrecision:
    @pytest.fixture
    def wide(self, tmp_path: Path) -> Path:
        with jax.enable_x64(True):
            save(noisy(small()), tmp_path / "wide")
            assert load(tmp_path / "wide").dtype == np.float64
        return tmp_path / "wide"

    def test_float64_is_refused_while_it_is_off(self, wide: Path) -> None:
        text = r"float64 arrays .* off; .*jax.config.update\(\"jax_enable_x64\", True\).*dtype='float32'"
        with pytest.raises(InputError, match=text):
            load(wide)
        with pytest.raises(InputError, match=r"`dtype='float64'` needs .*jax_enable_x64"):
            load(wide, dtype="float64")

    def test_float32_knowingly(self, wide: Path) -> None:
        with jax.enable_x64(True):
            want = jax.tree.map(lambda a: np.asarray(a).astype(np.float32), load(wide))
        found = load(wide, dtype="float32")
        assert found.dtype == np.float32
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
            assert bits(a) == bits(b)

    def test_float64_knowingly(self, tmp_path: Path) -> None:
        flow = Flow(StandardNormal(3), Chain([small().bijection, Permutation([1, 2, 0])]))
        save(flow, tmp_path)
        with jax.enable_x64(True):
            assert load(tmp_path).dtype == np.float32
            found = load(tmp_path, dtype="float64")
            assert {str(a.dtype) for a in jax.tree.leaves(found)} == {"float64", "int32"}
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(flow), strict=True):
                np.testing.assert_array_equal(np.asarray(a), np.asarray(b))

    def test_wide_integers(self, tmp_path: Path) -> None:
        arrays = {"i": np.asarray([7]), "j": np.asarray([2**40])}
        with pytest.raises(InputError, match="int64 arrays"):
            to_jax({"i": arrays["i"]}, None, tmp_path)
        assert to_jax({"i": arrays["i"]}, "float32", tmp_path)["i"].dtype == jnp.int32
        with pytest.raises(InputError, match=r"`j` .* beyond int32"):
            to_jax(arrays, "float32", tmp_path)

    def test_values_that_do_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"`a` .* as float32, holds 1 values that are not finite"):
            to_jax({"a": np.asarray([1.0, 1e300])}, "float32", tmp_path)

    def test_other_dtypes(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"`dtype` must be None, 'float32' or 'float64'; got 'float16'"):
            to_jax({}, "float16", tmp_path)


class Unknown(eqx.Module):
    """A class that nobody registered."""

    value: object


@register
class Holder(eqx.Module):
    """One field of any kind."""

    value: object
    fixed: object = eqx.field(static=True, default=None)


class TestRefusedToSave:
    @pytest.mark.parametrize(
        ("module", "text"),
        [
            (Unknown(1), r"holds Unknown, .*not registered; call `shoal.register\(Unknown\)`"),
            (Holder(Unknown(1)), "Unknown at `value`"),
            (Holder(np.zeros(3)), "`value` is a numpy.ndarray"),
            (Holder([1]), "`value` is a builtins.list"),
            (Holder((1, jnp.tanh)), r"`value.1` is a "),
            (Holder(np.float64(1.0)), "`value` is a numpy.float64"),
            (Holder(1 + 2j), "builtins.complex"),
            (
                Holder(0, fixed=(1, Partition(2, [0]))),
                r"`fixed.1` is a shoal.bijections._partition.Partition",
            ),
            (Holder(jnp.zeros(2, jnp.complex64)), "`value` has dtype complex64"),
            (Holder(jnp.zeros(2, jnp.bfloat16)), "`value` has dtype bfloat16"),
            (Holder(jr.key(0)), r"`value` has dtype key"),
            (
                Holder(jnp.asarray([1.0, jnp.nan, jnp.inf])),
                "`value` holds 2 values that are not finite, the first nan",
            ),
        ],
        ids=lambda v: "" if isinstance(v, str) else None,
    )
    def test_fields(self, module: eqx.Module, text: str) -> None:
        with pytest.raises(InputError, match=text):
            encode(module)

    def test_traced(self) -> None:
        with pytest.raises(InputError, match="outside of `jit`"):
            jax.jit(lambda a: encode(Holder(a))[1])(jnp.zeros(2))

    def test_nesting(self) -> None:
        value: object = 1
        for _ in range(150):
            value = (value,)
        with pytest.raises(InputError, match="nested deeper than 100"):
            encode(Holder(value))

    def test_a_bijection(self, tmp_path: Path) -> None:
        code = (
            "import shoal.bijections as b, shoal.flows._files as f\n"
            f"try: f.save(b.ActNorm(2), {str(tmp_path / 'm')!r})\n"
            "except ValueError as error: print(error)"
        )  # in a fresh interpreter: here beartype would be the one to refuse
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.startswith("`save` takes a Flow (or a Padded, or a Dequantized one); got ActNorm")
        assert not (tmp_path / "m").exists()

    def test_folder_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_text("x")
        with pytest.raises(InputError, match=r"can not be written to .*; choose a folder"):
            save(small(), tmp_path / "m")
        assert (tmp_path / "m").read_text() == "x"


class TestRegister:
    def test_is_a_decorator_and_may_be_repeated(self) -> None:
        assert register(Holder) is Holder
        assert encode(Holder(1))[0]["class"] == f"{Holder.__module__}:Holder"

    def test_names(self) -> None:
        class Named(eqx.Module):
            a: int

        register(Named, "tests:Named")
        register(Named, "tests:OldName")
        assert encode(Named(1))[0]["class"] == "tests:Named"
        with pytest.raises(
            ValueError, match=r"The name 'tests:Named' is that of .*Named; register Holder under"
        ):
            register(Holder, "tests:Named")
        with pytest.raises(ValueError, match="a name with a colon"):
            register(Holder, "Chain")

    def test_a_class_that_is_defined_again(self) -> None:
        def define() -> Callable[[int], eqx.Module]:
            class Again(eqx.Module):
                a: int

            return register(Again)

        first, second = define(), define()
        assert encode(second(1))[0]["fields"] == {"a": 1}
        with pytest.raises(InputError, match="not registered"):
            encode(first(1))

    @pytest.mark.parametrize("cls", [AbstractBijection, int, dict], ids=lambda c: c.__name__)
    def test_refused(self, cls: type) -> None:
        with pytest.raises(ValueError, match="`register` takes"):
            register(cls)

    def test_every_class_of_shoal_is_registered(self) -> None:
        def family(cls: type) -> set[type]:
            return {cls}.union(*map(family, cls.__subclasses__()))

        parts = ("shoal.bijections.", "shoal.distributions.")
        ours = {c for c in family(eqx.Module) if c.__module__.startswith(parts)}
        passing = {"Root", "PlainMLP"}  # made and dropped within one evaluation, in no model
        final = {c for c in ours if not c.__name__.lstrip("_").startswith("Abstract")}
        final = {c for c in final if c.__name__ not in passing}
        assert {ArrayPartition, Flow, Chain} <= final
        assert {c: _NAMES.get(c) for c in final} == {c: c.__name__ for c in final}


class TestWholeAtEveryMoment:
    def test_saving_over_a_model(self, tmp_path: Path) -> None:
        for seed in range(4):
            save(small(seed), tmp_path)
            assert same(load(tmp_path), small(seed))
            assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize("stop", range(4))
    def test_an_interrupted_save_leaves_the_old_model(
        self, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stops before and after each of the two renames, as a kill would."""
        save(small(1), tmp_path)
        count, rename = 0, os.replace

        def replace(a: Path, b: Path) -> None:
            nonlocal count
            if count == stop:
                raise KeyboardInterrupt
            rename(a, b)
            count += 2
            if count - 1 == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            save(small(2), tmp_path)
        monkeypatch.undo()
        assert same(load(tmp_path), small(2 if stop == 3 else 1))
        save(small(3), tmp_path)
        assert same(load(tmp_path), small(3))

    def test_a_reader_never_sees_a_part(self, tmp_path: Path) -> None:
        def content(i: int) -> dict:
            return {"shoal": str(i), "dtype": None, "tree": {}}

        def write() -> None:
            for i in range(1, 60):
                _document.write_document(tmp_path, content(i), f"weights {i}".encode())

        _document.write_document(tmp_path, content(0), b"weights 0")
        writer = threading.Thread(target=write)
        writer.start()
        seen = []
        while writer.is_alive() or not seen:
            document, weights = _document.read_document(tmp_path)
            assert weights == f"weights {document.shoal}".encode()
            seen.append(int(document.shoal))
        writer.join()
        assert seen == sorted(seen)
        assert len(set(seen)) > 3

    def test_the_document_needs_the_standard_library_only(self) -> None:
        code = (
            "import sys, importlib.util as u, shoal._errors\n"
            f"spec = u.spec_from_file_location('document', {_document.__file__!r})\n"
            "spec.loader.exec_module(u.module_from_spec(spec))\n"
            "print(sorted({'jax', 'numpy', 'equinox', 'safetensors'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.strip() == "[]"
