"""The registry is complete, and its tolerances show something. Nothing is compiled here."""

import dataclasses
import importlib
import inspect
import pkgutil
import warnings

import equinox as eqx
import numpy as np
import pytest

import shoal
import shoal.bijections
from shoal.bijections import (
    AbstractBijection,
    AbstractConditioner,
    AbstractPartition,
    AbstractScaleMap,
    AbstractTransformer,
    Autoregressive,
    Chain,
    Coupling,
    Inverse,
    Scan,
    StandardizedContext,
)
from tests.laws.registry import BY_NAME, CASES, OP_BY_OP, built, parts
from tests.laws.structure import LAWS
from tests.laws.tolerances import CONSTANTS, EPS, KAPPA_RANGE, LIMIT, tolerance


def everything() -> list[str]:
    """Every module of the package, imported."""
    found = [
        m.name for m in pkgutil.walk_packages(shoal.__path__, "shoal.") if not m.name.endswith("__main__")
    ]
    for name in found:
        with warnings.catch_warnings():
            if name.startswith("shoal.adapters."):
                warnings.simplefilter("ignore")  # what foreign libraries warn of as they load
            importlib.import_module(name)
    return found


def family(cls: type) -> set[type]:
    """The class and all its subclasses, as far as they belong to the package."""
    return {c for c in {cls}.union(*map(family, cls.__subclasses__())) if c.__module__.startswith("shoal.")}


def is_abstract(cls: type) -> bool:
    """Whether the class has something left to define."""
    return bool(
        inspect.isabstract(cls)
        or getattr(cls, "__abstractvars__", ())
        or getattr(cls, "__abstractclassvars__", ())
    )


def modules_in(module: eqx.Module) -> list[eqx.Module]:
    """The module and every module inside it, in fields of its own or in tuples."""
    inside = [getattr(module, f.name) for f in dataclasses.fields(module)]
    flat = [part for value in inside for part in (value if isinstance(value, tuple) else (value,))]
    return [module, *(m for part in flat if isinstance(part, eqx.Module) for m in modules_in(part))]


def registered() -> set[type]:
    return {type(p) for case in CASES for p in parts(built(case.name))}


def test_every_exported_bijection_is_in_the_registry():
    everything()
    exported = {
        c for c in vars(shoal.bijections).values() if inspect.isclass(c) and issubclass(c, AbstractBijection)
    }
    concrete = {c for c in family(AbstractBijection) if not is_abstract(c)}
    assert len(concrete) >= 12
    assert {c for c in exported if not is_abstract(c)} == concrete
    assert concrete == registered()


@pytest.mark.parametrize(
    "base", [AbstractPartition, AbstractTransformer, AbstractScaleMap, AbstractConditioner]
)
def test_every_part_of_a_layer_is_in_the_registry(base):
    everything()
    exported = {c for c in vars(shoal.bijections).values() if inspect.isclass(c) and issubclass(c, base)}
    concrete = {c for c in family(base) if not is_abstract(c)}
    assert len(concrete) >= 3
    assert {c for c in exported if not is_abstract(c)} == concrete
    assert concrete <= {type(part) for case in CASES for part in modules_in(built(case.name))}


def test_every_class_has_a_structure_law():
    everything()
    assert {c for c in family(AbstractBijection) if not is_abstract(c)} == set(LAWS)
    assert all(LAWS.values())


def test_every_class_is_tried_with_kappa_in_the_range():
    reach = [case for case in CASES if not (case.fixed_kappa or case.bounded_kappa)]
    scaled = {type(p) for case in reach for p in parts(built(case.name))}
    assert scaled == registered()


def test_context_and_no_context_are_tried():
    tried = [built(case.name) for case in CASES]
    with_context = {type(b) for b in tried if b.context_shape is not None}
    assert {
        Coupling,
        Autoregressive,
        Chain,
        Scan,
        Inverse,
    } <= with_context
    without = {type(part) for b in tried for part in parts(b) if part.context_shape is None}
    assert with_context - {StandardizedContext} <= without


def test_classes_are_abstract_or_final():
    modules = everything()
    assert {"shoal.bijections._coupling", "shoal.distributions._flow", "shoal.flows._recipes"} <= set(modules)
    classes = {c for c in family(eqx.Module) if not c.__module__.startswith("shoal._types")}
    assert AbstractBijection in classes
    assert len(classes) > 20
    for c in classes:
        assert is_abstract(c) == c.__name__.lstrip("_").startswith("Abstract"), c
        assert is_abstract(c) or not c.__subclasses__(), c


def test_every_class_is_tried_op_by_op():
    assert {type(built(name)) for name in OP_BY_OP} == registered()


def test_case_names_differ():
    assert len(BY_NAME) == len(CASES)


_STATED = [(law, p) for law in CONSTANTS for p in EPS if (p == "difference") == (law == "gradient")]


@pytest.mark.parametrize(("law", "precision"), _STATED)
def test_tolerances_are_below_the_limit(law, precision):
    assert tolerance(law, precision, np.array([KAPPA_RANGE[precision][1]])) < LIMIT


def test_a_tolerance_above_the_limit_is_an_error():
    with pytest.raises(AssertionError, match="is not below"):
        tolerance("round trip", "float32", np.array([1e6]))
