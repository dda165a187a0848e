"""What a run of the ladder is, as `record.json` holds it and the report draws it.

Log-likelihoods are means in nats per row, in the units of the table. None: not measured.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Struct

from .._errors import InputError
from ._json import Columns, Record, read_record
from .figures import ConditionSummary, Kind, LayerProfile, NextLayer, RoundTripSummary

RECORD = "record.json"
SCHEMA = "schema.json"  # of the columns, where they are more than numbers

Trained: TypeAlias = Literal[
    "finished", "stopped early", "unfinished", "interrupted", "diverged", "ill-conditioned"
]
Status: TypeAlias = Trained | Literal["not started", "closed form"]
Depth: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Numbers: TypeAlias = list[float | None]


class Lattice(Struct, frozen=True):
    """A column of multiples of one `step`; `ties`: the share of its values that occur more than once."""

    column: str
    step: float
    ties: float
    dequantized: bool


class StreamRecord(Struct, frozen=True):
    """A table that was read in pieces: how many rows were looked at for all but the steps of training; the two passes."""

    sample: int
    reading_seconds: float
    shuffling_seconds: float


class TableRecord(Struct, frozen=True, kw_only=True):
    """The table: `source` as it was named; `parts`: rows of each part; `means`, `scales`: of each column.

    `kinds`: what each column is taken for, in words, where one is more than a number; `notes`: what was done while reading;
    `stream`: of a table that is read in pieces.
    """

    columns: list[str]
    source: str = ""
    rows: int | None = None
    stream: StreamRecord | None = None
    parts: dict[str, int] = {}
    context_columns: list[str] = []
    weights_column: str | None = None
    lattice: list[Lattice] = []
    means: list[float] = []
    scales: list[float] = []
    kinds: dict[str, str] = {}
    notes: list[str] = []


class Curve(Columns, frozen=True, kw_only=True):
    """One entry an epoch, from 1. `validation`: the robust mean, `validation_mean` the plain one."""

    epoch: list[int] = []
    train: Numbers = []
    validation: Numbers = []
    validation_mean: Numbers = []
    far_rows: list[int | None] = []
    learning_rate: Numbers = []


class Look(Struct, frozen=True, kw_only=True):
    """One look of a monitor, of latent -> standardised data at its points.

    `step`: of the whole training, 0 before the first; `epoch`: from 1, the one at work, 0 before the first step;
    `attempt`: how often training had gone back by then; `round_trip`: the largest, in deviations of the data; `growth`: of
    latents, where points go twice as far from their mean (above 2^24 the flow runs away); `unresolved`: points whose κ is
    above 1/eps of the flow's dtype, or NaN; `kind`: of the condition numbers: "estimate" in float32, "exact" in float64,
    "lower_bound" beyond 64 coordinates, "unresolved" where a point is; `action`: None, "stop" or "rescale".
    """

    step: int
    epoch: int
    attempt: int
    sigma_max: float
    sigma_max_median: float
    sigma_min: float
    sigma_min_median: float
    condition_median: float
    condition_max: float
    round_trip: float
    growth: float
    unresolved: int
    kind: str
    action: str | None = None


class Rollback(Struct, frozen=True):
    """A step that was not finite: `epoch` from 1, `step` of the epoch from 0, the first `layer` with such a value."""

    epoch: int
    step: int
    layer: str | None
    learning_rate: float


class TrainingRecord(Struct, frozen=True, kw_only=True):
    """What `shoal.training.FitResult` says, but for the flow."""

    status: Trained
    message: str = ""
    epochs: int | None = None
    best_epoch: int | None = None
    steps: int | None = None
    seconds: float | None = None
    compile_seconds: float | None = None
    validation_log_likelihood: float | None = None
    first_validation: float | None = None
    rollbacks: list[Rollback] = []
    curve: Curve = Curve()
    conditioning: list[Look] | None = None


class SeedRecord(TrainingRecord, frozen=True, kw_only=True):
    """One seed of a rung: its training, and what was measured of its flow."""

    seed: int
    validation_mean: float | None = None
    condition: ConditionSummary | None = None
    condition_user_units: ConditionSummary | None = None
    round_trip: dict[str, RoundTripSummary] = {}


class Gain(Struct, frozen=True):
    """What a rung gained over the rung `over` of its chain, with its 95 % bounds."""

    over: int
    mean: float
    standard_error: float
    low: float
    high: float


class RungRecord(Struct, frozen=True, kw_only=True):
    """A front alone (`depth` 0), or layers of one family behind a front; `family` is the chain, in words.

    `difference`, `standard_error`, `upper`: nats behind the best rung, with its 95 % upper bound. Condition numbers and
    round trips are the worst over seeds.
    """

    name: str
    family: str
    depth: Depth
    status: Status
    front: str = ""
    parameters: int | None = None
    seconds: float | None = None
    seeds: list[SeedRecord] = []
    validation_log_likelihood: float | None = None
    validation_mean: float | None = None
    difference: float | None = None
    standard_error: float | None = None
    upper: float | None = None
    state: str | None = None
    as_good: bool | None = None
    dropped: str = ""
    gain: Gain | None = None
    well_conditioned: bool | None = None
    invertible: bool | None = None
    condition: ConditionSummary | None = None
    condition_user_units: ConditionSummary | None = None
    round_trip: dict[str, RoundTripSummary] = {}

    @property
    def complete(self) -> bool:
        """True if the rung was trained to its end, or needed no training."""
        return self.status in ("finished", "stopped early", "closed form")


class Decision(Struct, frozen=True, kw_only=True):
    """The places of the rungs that are chosen, best, and `kept`: delivered, chosen or not; the seed; and the limits."""

    chosen: int | None = None
    best: int | None = None
    kept: int | None = None
    seed: int | None = None
    gate: str | None = None
    margin: float | None = None
    max_condition: float | None = None
    max_round_trip: float | None = None
    sentence: str = ""

    def marks(self, place: int) -> list[str]:
        """The words beside the rung at `place`: "chosen", or "delivered" where it is not, and "best"."""
        kept = ["chosen"] if place == self.chosen else ["delivered"] * (place == self.kept)
        return kept + ["best"] * (place == self.best)


class RaceEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to the rung at the place `rung`: it was done ("rung") or its chain "dropped"; `at` in seconds.

    `limit`: the seconds that its steps were given; `workers`: of an executor, host and process of each seed.
    """

    event: str
    rung: int
    at: float
    seconds: float | None = None
    validation: float | None = None
    status: str | None = None
    why: str = ""
    limit: float | None = None
    workers: list[str] = []


class FarRows(Struct, frozen=True):
    """The validation rows whose float32 round trip is beyond the limit, the farthest first: `count` rows `of` all."""

    count: int
    of: int
    row: list[int]
    error: list[float]
    log_prob: list[float]


class HeldOut(Struct, frozen=True, kw_only=True):
    """Plain mean over the rows of the test part, its standard error, and the robust mean."""

    log_likelihood: float
    standard_error: float | None = None
    winsorised: float | None = None
    rows: int | None = None


class LayersRecord(Struct, frozen=True, kw_only=True):
    """The layer profile of the delivered flow; without `rows` the `note` says why."""

    rows: list[LayerProfile] | None = None
    points: int = 0
    kinds: dict[str, Kind] = {}
    note: str = ""


class SpectrumRecord(Columns, frozen=True):
    """Singular values, the largest first: quantiles over validation points."""

    index: list[int]
    q01: list[float]
    median: list[float]
    q99: list[float]


class Histogram(Struct, frozen=True):
    """Counts of log10 of condition numbers between edges, one more of these than of counts."""

    log10_edges: list[float]
    counts: list[int]

    def __post_init__(self) -> None:
        if len(self.log10_edges) != len(self.counts) + 1:
            raise InputError(f"{len(self.counts)} counts lie between {len(self.log10_edges)} edges")


class PointsRecord(Struct, frozen=True):
    """Rows of the validation part, with their condition numbers, log-densities and rows in the file; and samples."""

    columns: list[str]
    data: list[Numbers]
    condition: Numbers
    log_prob: Numbers
    row: list[int]
    samples: list[Numbers]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in (*self.data, *self.samples)):
            raise InputError("a point has another number of coordinates than there are columns")
        if not len(self.data) == len(self.condition) == len(self.log_prob) == len(self.row):
            raise InputError("points, condition numbers, log-densities and rows differ in number")


class FitRecord(Record, frozen=True, kw_only=True, tag="fit"):
    """A run of the ladder. `run`: the folder as it was named, and `command`: both empty outside the command line.

    `quantiles`: of log p of the training rows under the delivered flow, at equally spaced shares from 0 to 1. `next_layer`:
    of a delivered flow that is the likeliest and the deepest of its chain, whose last layers gained.
    """

    FORMAT: ClassVar[int] = 2

    format: int = 2
    created: str = ""
    versions: dict[str, Any] = {}
    device: str = ""
    dtype: str = ""
    seconds: float | None = None
    run: str = ""
    command: str = ""
    data: TableRecord
    config: dict[str, Any] = {}
    rungs: list[RungRecord]
    decision: Decision
    race: list[RaceEvent] = []
    far_rows: FarRows | None = None
    test: HeldOut | None = None
    quantiles: list[float] = []
    layers: LayersRecord | None = None
    next_layer: NextLayer | None = None
    spectrum: SpectrumRecord | None = None
    condition_histogram: Histogram | None = None
    points: PointsRecord | None = None

    def __post_init__(self) -> None:
        for name in ("chosen", "best", "kept"):
            place = getattr(self.decision, name)
            if place is not None and not 0 <= place < len(self.rungs):
                raise InputError(
                    f"decision.{name} is {place}, but there are {len(self.rungs)} rungs (counted from 0)"
                )

    @property
    def delivered(self) -> RungRecord | None:
        """The rung that is written as the model, whether it was chosen or not."""
        return None if self.decision.kept is None else self.rungs[self.decision.kept]

    @property
    def rows_per_second(self) -> float | None:
        """Training rows a second, validation between the epochs counted, compiling not; None without a training."""
        seeds = [seed for rung in self.rungs for seed in rung.seeds if seed.steps and seed.seconds]
        seconds = sum(seed.seconds - (seed.compile_seconds or 0.0) for seed in seeds if seed.seconds)
        steps = sum(seed.steps for seed in seeds if seed.steps)
        return (
            steps * self.config["batch_size"] / seconds
            if seconds > 0 and "batch_size" in self.config
            else None
        )

    @property
    def delivered_seed(self) -> SeedRecord | None:
        """The seed of it; None for a front alone."""
        seeds = [] if self.delivered is None else self.delivered.seeds
        return next((seed for seed in seeds if seed.seed == self.decision.seed), None)


def read_run(folder: Path) -> FitRecord | None:
    """The record of a run of the ladder; None where the folder has none. **Raises:** `InputError` for a damaged one."""
    path = folder / RECORD
    return read_record(path, FitRecord) if path.is_file() else None
