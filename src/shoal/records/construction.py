"""What a construction of a sample's law is, as `shoal.theory.universal` makes it and the report draws it."""

import math
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from .._errors import InputError
from ._json import Columns, Record
from .figures import Figure

Pair: TypeAlias = tuple[float, float]
Pairs: TypeAlias = Annotated[list[Pair], Meta(max_length=2_000)]


class Terms(Struct, frozen=True):
    """What each part of a construction adds to W2 at most, in the data's units: see `shoal.theory.universal`."""

    quantization: float
    push: float
    scales: float
    ramps: float
    tails: float
    borders: float

    @property
    def construction(self) -> float:
        """Everything but the quantization."""
        return self.push + self.scales + math.hypot(self.ramps, self.tails) + self.borders

    @property
    def total(self) -> float:
        """construction + quantization."""
        return self.construction + self.quantization


class StaircaseConditions(Struct, frozen=True):
    """kappa of one map: on `cells`; on ramps `least`, `median` and `largest`; `mass`: of all ramps; `at99`: 99 % quantile.

    Quantiles are over the latent Gaussian, leaving out the tails of x beyond the plateaus (their probability is
    in `mass` of the second layer and of the composition, with the largest kappa).
    """

    cells: Figure
    least: Figure
    median: Figure
    largest: Figure
    mass: Figure
    at99: Figure


class W2Certificate(Struct, frozen=True):
    """Distances in the data's units, each with its kind, and exact condition numbers.

    `w2_bound` = `terms`.construction + `terms`.quantization <= `epsilon`, in exact arithmetic, for the arrays as stored;
    `w2_measured`: by Monte Carlo over an explicit coupling in the flow's dtype, an estimate of an upper bound, 99 %
    interval; `statistical`: the sample against its population, an estimate; `conditions`: "layer 1", "layer 2",
    "composition"; `atoms` of `points` rows; `dtype` of the flow.
    """

    epsilon: float
    w2_bound: Figure
    terms: Terms
    w2_measured: Figure
    statistical: Figure
    conditions: dict[str, StaircaseConditions]
    atoms: int
    points: int
    dtype: str

    def __str__(self) -> str:
        t = self.terms
        lines = [
            f"W2 to the sample of {self.points}: bound {self.w2_bound}, measured {self.w2_measured} "
            f"(epsilon {self.epsilon:g})",
            f"  {self.atoms} atoms: quantization {t.quantization:.3g}, push {t.push:.3g}, scales {t.scales:.3g}, "
            f"ramps {t.ramps:.3g}, tails {t.tails:.3g}, borders {t.borders:.3g}",
            f"  sample against population: {self.statistical}",
        ]
        for name, c in self.conditions.items():
            lines.append(
                f"  κ of {name}: {c.cells} on cells, up to {c.largest} on ramps (mass {c.mass}), 99 % {c.at99}"
            )
        return "\n".join(lines)


class Steps(Columns, frozen=True):
    """A staircase of `steps` steps: its first output at `knots`, of many steps every `stride`-th."""

    knots: list[float]
    values: list[float]
    stride: int
    steps: int


class Pictures(Struct, frozen=True):
    """Points before and after each layer: the first coordinate of each half, named by `names`.

    `driver`: y_1 of each latent point, which is its colour; a point of `target`, the sample, has its colour as third number.
    """

    names: tuple[str, str]
    target: Annotated[list[tuple[float, float, float]], Meta(max_length=2_000)]
    latent: Pairs
    first: Pairs
    second: Pairs
    driver: list[float]
    t2: Steps
    t3: Steps

    def __post_init__(self) -> None:
        if {len(points) for points in (self.latent, self.first, self.second)} != {len(self.driver)}:
            raise InputError("its points and their drivers differ in number")


class ConstructionRecord(Record, frozen=True, kw_only=True, tag="construction"):
    """A construction. What the command line adds, from `source` on, is empty or None elsewhere."""

    size: int
    padded: bool
    columns: list[str]
    delta: float
    plateau: float
    certificate: W2Certificate
    pictures: Pictures
    source: str = ""
    rows: int | None = None
    seconds: float | None = None
    versions: dict[str, Any] = {}
    config: dict[str, Any] = {}
    seed: int | None = None
    command: str = ""
