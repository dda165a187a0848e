"""What an audit of a map is, as `shoal.conditioning.Audit.to_record` makes it and the report draws it."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from .._errors import InputError
from .._names import Direction, Precision, Way
from ._json import Columns, Record
from .figures import ConditionSummary, Coverage, Kind, LayerProfile, NextLayer, RoundTripSummary

Cause: TypeAlias = Literal[
    "none", "layer", "product", "data", "non-finite", "inverse", "batch", "log-det", "runaway"
]
Layers: TypeAlias = Annotated[list[LayerProfile], Meta(min_length=1)]


class Trip(Struct, frozen=True):
    """One set, one way, one precision. Errors are the largest coordinate's, x in units of the audit's scale.

    `median`, `max`: NaN where a point did not stay finite; `nonfinite`: how many did not; `predicted`: u kappa |h|, or
    the sum over layers, the largest over points (None: not measured on this set); `failed`: why the map can not run so.
    """

    median: float
    max: float
    nonfinite: int
    points: int
    predicted: float | None = None
    failed: str | None = None


class NonFinite(Struct, frozen=True):
    """The first layer (forward order, from 0) whose output or log-det is not finite, and in how many of the rows."""

    layer: int
    name: str
    direction: Direction
    precision: Precision
    points: str
    rows: int

    def __str__(self) -> str:
        """One phrase, as tables and reports use it."""
        return (
            f"layer {self.layer} ({self.name}), {self.direction} in {self.precision}: "
            f"not finite in {self.rows} rows of {self.points}"
        )


class Reach(Struct, frozen=True):
    """The largest growth met: max |h_k| over doubled points, over the median of |h_k| over the points themselves.

    `layer`: the first layer, in the order of `direction`, whose output grows above 2^24 (None: none does); `rows`: how many
    doubled points do there. A linear map has a growth of 2 times the ratio of the largest point to the median. `outside`:
    how many doubled data lie beyond the image of a layer (a half-line, a box, a ball), and were moved inside it.
    """

    direction: Direction
    points: str
    growth: float
    layer: int | None
    rows: int
    outside: int = 0

    @property
    def runs_away(self) -> bool:
        """Whether some point grew above 2^24, or left the range of float64."""
        return self.layer is not None


class RowError(Struct, frozen=True):
    """log p of one row in float64 and, of the value in float32, what is measured, bounded and due to rounding the row."""

    row: int
    log_prob: float
    measured: float
    bound: float
    of_input: float


class LogProbErrors(Struct, frozen=True):
    """What rounding does to log p, in nats: float32 against float64, and bounds.

    `measured`, `bound`, `worst_case`: over rows, the last a bound that assumes nothing of roundings; `float64`: the largest
    bound of the error of float64; `outside`: rows whose error exceeds its bound; `lost`: those of them whose log p is finite
    in float64 alone; `layers`: share of each layer in the variance; `rows`: those with the largest bounds; `sentence`: for
    people.
    """

    measured: RoundTripSummary
    bound: RoundTripSummary
    worst_case: RoundTripSummary
    float64: float
    outside: int
    lost: int
    layers: list[float]
    rows: list[RowError]
    sentence: str


class Diagnosis(Struct, frozen=True):
    """`healthy`; `worst_layer` (forward order, from 0; None for a healthy map, and where no layer is at fault); `cause`;
    one `sentence` for people.

    Causes: `layer`: one layer carries most of log kappa; `product`: many mild layers multiply; `data`: the points lie
    near a flat of fewer dimensions, which any flow must follow; `non-finite`: a layer leaves the floating-point range;
    `inverse`: the two directions disagree in float64, so one is not the inverse of the other; `batch`: the image of a row
    depends on the rows beside it, or on chance; `log-det`: the map's own log|det| is not that of its Jacobian; `runaway`:
    the map is mild at the median row, and points twice as far out are driven out by more than 2^24, which float32 can not
    hold.
    """

    healthy: bool
    worst_layer: int | None
    cause: Cause
    sentence: str


class Attack(Struct, frozen=True):
    """The worst point found, where it started, and what both lose in a round trip in `precision`.

    `stretch`: |J v| of the map away from the point at the end, a lower bound of its Lipschitz constant there. `error`
    is NaN where the point does not come back finite: the strongest break there is. `start`, `point`: n coordinates.
    """

    start: list[float]
    point: list[float]
    radius: float
    start_error: float
    error: float
    start_stretch: float
    stretch: float
    way: Way
    precision: Precision


class Limits(Struct, frozen=True):
    """What counted as healthy: the largest 99 % quantile of kappa, and the largest float32 round-trip error."""

    max_condition: float
    max_round_trip: float


class Bands(Columns, frozen=True):
    """Quantiles over points of each singular value, the largest first; `left_out`: points whose Jacobian is not finite.

    A matrix-free audit has the two ends only. The lists are empty where no point is finite.
    """

    left_out: int
    min: list[float] = []
    q05: list[float] = []
    q25: list[float] = []
    median: list[float] = []
    q75: list[float] = []
    q95: list[float] = []
    max: list[float] = []


class Shown(Columns, frozen=True):
    """The points that the report draws: their rows, coordinates in data and latent space, kappa and both ends."""

    rows: list[int]
    x: list[list[float]]
    z: list[list[float]]
    condition: list[float]
    sigma_max: list[float]
    sigma_min: list[float]


class AuditRecord(Record, frozen=True, kw_only=True, tag="audit"):
    """An audit. `target`, `source`, `columns`, `note`, `command` say what was audited; empty where the caller did not.

    `kinds`: figure -> its kind; `round_trips`: set -> precision -> `Trip`; `predicted`: for the ways "data" and "latent"
    the layers' sum of amplified round-off, in units of the unit round-off; `start`: the layers before training.
    """

    target: str = ""
    source: str = ""
    columns: list[str] = []
    note: str = ""
    command: str = ""
    name: str
    size: Annotated[int, Meta(ge=1)]
    points: int
    seed: int
    dense: bool
    scale: list[float]
    kinds: dict[str, Kind]
    limits: Limits
    condition: ConditionSummary
    condition_user_units: ConditionSummary
    log_det_gap: float | None
    residual: float | None
    spectrum: Bands
    layers: Layers
    start: Layers | None
    round_trips: dict[str, dict[str, Trip]]
    predicted: dict[str, float]
    reach: list[Reach] = []
    nonfinite: list[NonFinite]
    diagnosis: Diagnosis
    attack: Attack | None
    next_layer: NextLayer | None = None
    log_prob_errors: LogProbErrors | None = None
    coverage: Coverage | None = None
    shown: Shown

    def __post_init__(self) -> None:
        if len(self.columns) not in (0, self.size) or any(len(row) != self.size for row in self.shown.x):
            raise InputError(f"its columns and points must have {self.size} coordinates")
        worst = self.diagnosis.worst_layer
        if worst is not None and not 0 <= worst < len(self.layers):
            raise InputError(f"diagnosis.worst_layer is {worst}, but there are {len(self.layers)} layers")
