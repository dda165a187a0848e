"""Modules as a tree of plain JSON values, and back, without running any constructor; and the classes that have a name there.

A module is {"class": registered name, "fields": {...}}, a tuple a list, an array {"array": its place in the tree,
"shape", "dtype"}, a float that is not finite {"float": "inf"}; numbers, texts, booleans and None are themselves.
A class keeps its name when its module moves: Shoal's own have their plain names, every other name holds a colon, so that a
later release can not take it.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from shoal import bijections, distributions
from shoal._errors import InputError
from shoal.records import MAX_DEPTH, damaged

_C = TypeVar("_C", bound=type)
_CLASSES: dict[str, type] = {}
_NAMES: dict[type, str] = {}
_STORED = (
    "bool",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def register(cls: _C, name: str | None = None) -> _C:
    """Lets flows that hold instances of `cls` be saved and loaded; also a decorator, `@shoal.register`.

    **Arguments:** `cls`: a final `equinox.Module`, whose fields hold modules, JAX arrays, numbers, texts, booleans,
    None and tuples of these; `name`: the name in the file, "somewhere:Something" (default: "module:Class"). Give one
    where the class is defined in a script or a notebook, or may move. A class saves under its first name and loads
    under all of them.
    **Returns:** `cls`. **Raises:** `InputError` for an abstract class, one that is no `equinox.Module`, or a name
    that another class has.
    """
    if not _is_module(cls):
        raise InputError(f"`register` takes a class derived from `equinox.Module`; got {cls!r}.")
    if _is_abstract(cls):
        raise InputError(f"`register` takes classes that have instances; {cls.__qualname__} is abstract.")
    if name is None and cls in _NAMES:
        return cls
    name = f"{cls.__module__}:{cls.__qualname__}" if name is None else name
    if ":" not in name:
        raise InputError(
            f'`register(name=...)` needs a name with a colon, such as "mylab:Planar"; got {name!r}.'
        )
    other = _CLASSES.get(name)
    if other is not None and other is not cls:
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise InputError(
                f"The name {name!r} is that of {other.__module__}.{other.__qualname__}; register "
                f"{cls.__qualname__} under another `name`."
            )
        _NAMES.pop(other, None)  # the same class, defined again
    _CLASSES[name] = cls
    _NAMES.setdefault(cls, name)
    return cls


def _is_module(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, eqx.Module)


def _is_abstract(cls: Any) -> bool:
    return bool(inspect.isabstract(cls) or cls.__abstractvars__ or cls.__abstractclassvars__)


def encode(root: eqx.Module) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The tree of a module, and its arrays by their places in the tree, such as "bijection.unit.bias".

    **Raises:** `InputError` that names the place of a class that is not registered, of a value of another kind, or
    of an array that holds a value that is not finite.
    """
    arrays: dict[str, np.ndarray] = {}
    return _encode(root, "", arrays, 1), arrays


def decode(
    tree: object, arrays: Mapping[str, np.ndarray], values: Mapping[str, jax.Array], file: Path
) -> object:
    """The module of a tree: `arrays` are those of the weights file, `values` what the module gets in their place.

    **Raises:** `InputError`, naming `file` and the place, for anything that `encode` does not write.
    """
    source = _Source(arrays, values, file, set())
    module = _decode(tree, "", source, 1)
    unused = sorted(set(arrays) - source.used)
    if unused:
        raise damaged(file, f"the weights file holds {unused[0]!r:.80}, which the tree does not name")
    return module


def _encode(value: object, place: str, arrays: dict[str, np.ndarray] | None, depth: int) -> Any:
    """The value as the tree has it; its arrays into `arrays`, None for a static field, which holds no module either."""
    if depth > MAX_DEPTH:
        raise InputError(f"The model is nested deeper than {MAX_DEPTH} levels, at `{place:.80}...`.")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is tuple:
        return [_encode(v, join(place, i), arrays, depth + 1) for i, v in enumerate(value)]
    if isinstance(value, jax.Array) and arrays is not None:
        arrays[place] = _array(value, place)
        return {"array": place, "shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, eqx.Module) and arrays is not None:
        name = _NAMES.get(type(value))
        if name is None:
            raise InputError(
                f"The model holds {type(value).__qualname__}{f' at `{place}`' if place else ''}, a class that is not "
                f"registered; call `shoal.register({type(value).__name__})` first."
            )
        fields = {}
        for field in dataclasses.fields(value):
            inner, into = getattr(value, field.name), None if _is_static(field) else arrays
            fields[field.name] = _encode(inner, join(place, field.name), into, depth + 1)
        return {"class": name, "fields": fields}
    raise InputError(
        f"`{place}` is a {type(value).__module__}.{type(value).__qualname__}; a saved model holds modules, JAX arrays, "
        "Python numbers, texts, booleans, None and tuples of these (static fields: no modules and no arrays)."
    )


def _array(value: jax.Array, place: str) -> np.ndarray:
    if isinstance(value, Tracer):
        raise InputError(
            f"`{place}` is being traced by JAX; call `shoal.save` outside of `jit`, `grad` and `vmap`."
        )
    if str(value.dtype) not in _STORED:
        raise InputError(f"`{place}` has dtype {value.dtype}; a saved model holds {', '.join(_STORED)}.")
    array = np.asarray(value, order="C")
    check_finite(array, f"`{place}`", "a model with such weights is not saved")
    return array


def check_finite(array: np.ndarray, what: str, advice: str) -> None:
    """Raise `InputError` if the array holds a NaN or an infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = array[~np.isfinite(array)]
        raise InputError(f"{what} holds {bad.size} values that are not finite, the first {bad[0]}; {advice}.")


@dataclasses.dataclass(frozen=True)
class _Source:
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, jax.Array]
    file: Path
    used: set[str]


def _decode(node: object, place: str, source: _Source, depth: int, *, static: bool = False) -> object:
    """The value of a node; that of a `static` field holds no module and no array."""
    if depth > MAX_DEPTH:
        raise damaged(source.file, f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(node, list):
        return tuple(_decode(v, join(place, i), source, depth + 1, static=static) for i, v in enumerate(node))
    if not isinstance(node, dict):
        return node
    if node.keys() == {"class", "fields"} and not static:
        return _module(node, place, source, depth)
    if node.keys() == {"array", "shape", "dtype"} and not static:
        return _reference(node, place, source)
    number = node.get("float") if len(node) == 1 else None
    if isinstance(number, str) and number in _NOT_FINITE:
        return _NOT_FINITE[number]
    raise damaged(source.file, f"{_at(place)} holds an object that has no meaning there")


def _module(node: dict[str, object], place: str, source: _Source, depth: int) -> object:
    name, given = node["class"], node["fields"]
    if not isinstance(name, str) or not isinstance(given, dict):
        raise damaged(source.file, f"{_at(place)} is not a class with fields")
    cls = _CLASSES.get(name)
    if cls is None:
        raise _unknown_class(name, source.file)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    wrong = sorted(set(fields) ^ set(given))
    if wrong:
        found = "does not have" if wrong[0] in given else "lacks"
        end = "" if wrong[0] in given else " here"
        raise damaged(source.file, f"{name} at {_at(place)} {found} the field {wrong[0]!r:.60}{end}")
    module = object.__new__(cls)
    for key, field in fields.items():
        value = _decode(given[key], join(place, key), source, depth + 1, static=_is_static(field))
        object.__setattr__(module, key, value)
    return module


def _reference(node: dict[str, object], place: str, source: _Source) -> jax.Array:
    if node["array"] != place or place not in source.arrays:
        found = "is not in the weights file" if node["array"] == place else f"refers to {node['array']!r:.80}"
        raise damaged(source.file, f"the array {_at(place)} {found}")
    array = source.arrays[place]
    if node["shape"] != list(array.shape) or node["dtype"] != str(array.dtype):
        raise damaged(
            source.file,
            f"the array {_at(place)} has shape {list(array.shape)} and dtype {array.dtype} in the weights file, "
            f"{node['shape']!r:.60} and {node['dtype']!r:.40} in the tree",
        )
    source.used.add(place)
    return source.values[place]


def _unknown_class(name: str, file: Path) -> InputError:
    if ":" in name:
        return InputError(
            f"{file} holds the class {name!r:.120}, which is not registered; import the module that defines it and "
            f"call `shoal.register({name.rpartition(':')[2].rpartition('.')[2]:.60})` before loading."
        )
    return InputError(
        f"{file} holds the class {name!r:.120}, which this version of Shoal does not have; upgrade Shoal if a later "
        "one wrote the model, or `shoal.register` the class if it is yours."
    )


def _is_static(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("static", False))


def join(place: str, name: str | int) -> str:
    """The place in the tree of a part of what is at `place`."""
    return f"{place}.{name}" if place else str(name)


def _at(place: str) -> str:
    return f"`{place}`" if place else "the top of the tree"


for _package in (bijections, distributions):
    for _name, _class in vars(_package).items():
        if _is_module(_class) and not _is_abstract(_class):
            _CLASSES[_name], _NAMES[_class] = _class, _name
