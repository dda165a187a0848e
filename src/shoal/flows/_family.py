"""`Family`: a recipe with its settings, as the ladder trains it."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shoal._errors import InputError
from shoal._types import Key
from shoal.distributions import AbstractFlow
from shoal.flows._augmented import anf, anode
from shoal.flows._recipes import iaf, maf, nice, nsf, realnvp, single_coordinate, spline
from shoal.flows._repeated import ffjord, layerwise, planar, radial, residual, sylvester


@dataclass(frozen=True)
class Family:
    """A recipe and its settings: `Family(nsf, bins=16)` is `nsf(key, dim, depth, bins=16)` at every depth.

    **Arguments:** `recipe`: `recipe(key, dim, depth, *, hidden, context_dim, ...) -> AbstractFlow`; `name`: what tables and
    pages call it (default: the recipe's name and its settings); `settings`: arguments of the recipe.
    """

    recipe: Callable[..., AbstractFlow]
    name: str
    settings: Mapping[str, object]

    def __init__(self, recipe: Callable[..., AbstractFlow], *, name: str | None = None, **settings: object):
        words = ",".join(f"{key}={_short(value)}" for key, value in settings.items())
        plain = getattr(recipe, "__name__", type(recipe).__name__)
        object.__setattr__(self, "recipe", recipe)
        object.__setattr__(self, "name", name or (f"{plain}({words})" if words else plain))
        object.__setattr__(self, "settings", dict(settings))

    @property
    def number(self) -> int:
        """What the family's random keys begin with: the same for the same name, whatever else is trained."""
        return zlib.crc32(self.name.encode()) & 0x7FFFFFFF

    def build(
        self, key: Key, dim: int, depth: int, *, context_dim: int = 0, hidden: tuple[int, ...] | None = None
    ) -> AbstractFlow:
        """The flow; `hidden` None: as the family or its recipe has it."""
        settings = dict(self.settings) if hidden is None else {**self.settings, "hidden": hidden}
        return self.recipe(key, dim, depth, context_dim=context_dim, **settings)


def _short(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


_RECIPES = (
    *(nsf, spline, realnvp, nice, maf, iaf, single_coordinate, planar, radial, sylvester),
    *(residual, layerwise, ffjord, anode, anf),
)
FAMILIES: dict[str, Family] = {recipe.__name__: Family(recipe) for recipe in _RECIPES}


def family(given: "str | Family") -> Family:
    """The family of that name, or the one that is given. **Raises:** `InputError` for a name that no family has."""
    if isinstance(given, Family):
        return given
    if given not in FAMILIES:
        raise InputError(f"family {given!r} is unknown; choose from {', '.join(FAMILIES)}.")
    return FAMILIES[given]
