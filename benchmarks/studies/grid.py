"""`Cell` and `Study`: a grid of frozen configurations, and one function that turns those of a group into figures.

Nothing random has another source than a configuration: seeds are a SHA-256 of its canonical JSON, so a cell gives the
same figures whatever was run before it, and a changed setting is another cell.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

Setting: TypeAlias = str | int | float | bool
Figure: TypeAlias = Any  # a number, a text, None (there is none), or a list of figures
Tell: TypeAlias = Callable[[float, str], None]  # how much of the group is done (0 to 1), and what is at work


@dataclass(frozen=True)
class Cell:
    """One configuration of a study. `name`: for people; `config`: everything that its figures depend on.

    **Raises:** ValueError for a configuration that is empty or holds more than texts, finite numbers and booleans.
    """

    name: str
    config: Mapping[str, Setting]

    def __post_init__(self) -> None:
        for key, value in self.config.items():
            if (
                type(value) not in (str, int, float, bool)
                or value != value
                or value in (float("inf"), -float("inf"))
            ):
                raise ValueError(
                    f"`Cell(config=...)` holds texts, finite numbers and booleans; {key!r} of {self.name!r} is {value!r}."
                )
        if not self.config:
            raise ValueError(f"`Cell(config=...)` of {self.name!r} is empty; name at least one setting.")
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))

    @property
    def hash(self) -> str:
        """32 hexadecimal digits of the configuration; the order of its entries plays no part."""
        return _digest(dict(self.config))[:32]

    def words(self, *names: str) -> tuple[int, int]:
        """Two 32-bit words of the entries `names` (all entries without): what seeds are made of.

        Cells that agree in these entries share the words, such as the data of two models that are compared.
        **Raises:** KeyError for a name that the configuration lacks.
        """
        digest = _digest({name: self.config[name] for name in names or self.config})
        return int(digest[:8], 16), int(digest[8:16], 16)


@dataclass(frozen=True)
class Failure:
    """What a cell gives in place of figures where it failed: the reason, in one sentence."""

    reason: str


@dataclass(frozen=True)
class ErrorBar:
    """How far a figure may move when it is computed again: `absolute` + `relative` x |stored figure|."""

    absolute: float = 0.0
    relative: float = 0.0

    def holds(self, stored: float, found: float) -> bool:
        """True where the two lie within the bar of each other."""
        return abs(found - stored) <= self.absolute + self.relative * abs(stored)


Result: TypeAlias = Mapping[str, Figure] | Failure


@dataclass(frozen=True)
class Study:
    """A registered study.

    **Arguments:**

    - `name`, as the command and the file of records have it; `title`; `source`: the paper that asks the question.
    - `cells`: the grid; `smoke`: a grid of the same kind that takes seconds, whose figures `check` computes again.
    - `run(cells, tell)`: the results of some cells of one group, in their order; it calls `tell` on the way.
    - `together`: entries in which the cells of one group may differ (seeds that share a program, say).
    - `over`: entries over which summaries take medians.
    - `kinds`: figure -> exact, lower_bound, upper_bound, estimate, or a word that says what else it is. A figure without
      an entry has the kind "exact": it was computed, not sampled or bounded.
    - `bars`: figure -> its error bar in `check`; `bar` for the others, such as counts and texts, which must be equal.
    - `shown`: the figures that a table of medians has; all numbers without.
    - `cost(cell)`: expected seconds, up to a factor: for the time left. `packages`: whose versions are recorded.

    **Raises:** ValueError for two cells of one name or one configuration.
    """

    name: str
    title: str
    cells: tuple[Cell, ...]
    run: Callable[[tuple[Cell, ...], Tell], Sequence[Result]]
    smoke: tuple[Cell, ...] = ()
    together: tuple[str, ...] = ()
    over: tuple[str, ...] = ("seed",)
    kinds: Mapping[str, str] = field(default_factory=dict)
    bars: Mapping[str, ErrorBar] = field(default_factory=dict)
    bar: ErrorBar = ErrorBar()
    shown: tuple[str, ...] = ()
    cost: Callable[[Cell], float] = lambda cell: 1.0
    packages: tuple[str, ...] = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax")
    dtype: str = "float32"
    source: str = ""

    def __post_init__(self) -> None:
        every = [*self.cells, *self.smoke]
        for what in ("name", "hash"):
            seen: set[str] = set()
            for cell in every:
                if getattr(cell, what) in seen:
                    raise ValueError(
                        f"`Study` {self.name!r} has two cells of the same {what}: {cell.name!r}."
                    )
                seen.add(getattr(cell, what))

    def groups(self, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """The cells in the order of the grid, those that agree in all entries but `together` side by side."""
        found: dict[str, list[Cell]] = {}
        for cell in cells:
            rest = {key: value for key, value in cell.config.items() if key not in self.together}
            found.setdefault(_digest(rest), []).append(cell)
        return [tuple(group) for group in found.values()]


def _digest(config: Mapping[str, Setting]) -> str:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
