"""What a factorization into linear couplings and its frontier are, as `shoal.theory.linear` makes them."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from .._errors import InputError
from ._json import Record

Matrix: TypeAlias = list[list[float]]
Size: TypeAlias = Annotated[int, Meta(ge=1)]


class Residual(Struct, frozen=True):
    """|T - product| / |T| in the Frobenius norm, the product taken in float64 and in float32."""

    float64: float
    float32: float


class LinearLayer(Struct, frozen=True, kw_only=True):
    """One layer; `matrix`: in the order of coordinates (kept, rest), None for large ones."""

    kind: Literal["lower", "upper"]
    additive: bool
    condition: float
    block_norm: float
    log_scale_range: tuple[float, float]
    matrix: Matrix | None


class FrontierRow(Struct, frozen=True, kw_only=True):
    """One number of layers; None where nothing was found, and `reason` then says why."""

    layers: int
    condition: float | None
    lower_bound: float
    residual_float64: float | None
    residual_float32: float | None
    first: str
    route: str
    seconds: float
    reason: str


class FrontierRecord(Record, frozen=True, kw_only=True, tag="frontier"):
    """The best condition number found for each number of layers."""

    size: Size
    kept: list[int]
    rows: Annotated[list[FrontierRow], Meta(min_length=1)]


class FactorizationRecord(Record, frozen=True, kw_only=True, tag="factorization"):
    """T = diag(signs) times the layers; `target`, `product` in the order of coordinates (kept, rest), None for large ones.

    `frontier`: the price of other numbers of layers, if it was looked for. `source`, `command`: where T came from; empty
    where the caller did not say.
    """

    source: str = ""
    command: str = ""
    size: Size
    kept: list[int]
    route: str
    signs: list[float]
    residual: Residual
    largest_condition: float
    log_abs_det: float
    target: Matrix | None
    product: Matrix | None
    layers: Annotated[list[LinearLayer], Meta(min_length=1)]
    frontier: FrontierRecord | None = None

    def __post_init__(self) -> None:
        for matrix in (self.target, self.product, *(layer.matrix for layer in self.layers)):
            if matrix is not None and {len(matrix), *map(len, matrix)} != {self.size}:
                raise InputError(f"its matrices must be {self.size} by {self.size}")
