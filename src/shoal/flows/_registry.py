"""The classes that a model on disk may hold, each under a name that stays when its module moves.

Shoal's own classes have their plain names; every other name holds a colon, so a later release can not take it.
"""

import inspect
from typing import Any, TypeVar

import equinox as eqx

from shoal import bijections, distributions
from shoal._errors import InputError

_C = TypeVar("_C", bound=type)
_CLASSES: dict[str, type] = {}
_NAMES: dict[type, str] = {}


def register(cls: _C, name: str | None = None) -> _C:
    """Lets flows that hold instances of `cls` be saved and loaded; also a decorator, `@shoal.register`.

    **Arguments:** `cls`: a final `equinox.Module`, whose fields hold modules, JAX arrays, numbers, texts, booleans,
    None and tuples of these; `name`: the name in the file, "somewhere:Something" (default: "module:Class"). Give one
    where the class is defined in a script or a notebook, or may move. A class saves under its first name and loads
    under all of them.
    **Returns:** `cls`. **Raises:** ValueError for an abstract class, one that is no `equinox.Module`, or a name
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


def name_of(cls: type) -> str | None:
    """The name under which instances of `cls` are saved, or None where it is not registered."""
    return _NAMES.get(cls)


def class_of(name: str) -> type | None:
    """The class of that name, or None."""
    return _CLASSES.get(name)


def _is_module(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, eqx.Module)


def _is_abstract(cls: Any) -> bool:
    return bool(inspect.isabstract(cls) or cls.__abstractvars__ or cls.__abstractclassvars__)


for _package in (bijections, distributions):
    for _name, _class in vars(_package).items():
        if _is_module(_class) and not _is_abstract(_class):
            _CLASSES[_name], _NAMES[_class] = _class, _name
