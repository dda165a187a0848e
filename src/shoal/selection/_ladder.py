"""The depth ladder: fronts and flows of growing depth on one table, and the shallowest that is as good as the best and safe.

Rung 0 is a front alone, a closed form; a race (`_race`) gives the time to the chains that win. Condition numbers are
those of latent -> standardised data. The test part is read once, after the choice.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._compiling import make_room, quickly
from shoal._executors import Executor
from shoal._processes import agreed
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike, Key
from shoal.bijections import Chain, Standardize, StandardizedContext, Support
from shoal.distributions import AbstractFlow, Flow, GaussianMixture, Mixed
from shoal.flows import Family, family
from shoal.records import FitRecord
from shoal.records.figures import NextLayer
from shoal.records.fit import HeldOut, LayersRecord
from shoal.selection._blocks import in_blocks, on_disk, without_rows
from shoal.selection._delivery import Delivery, decide
from shoal.selection._mass import with_discrete_part
from shoal.selection._measure import allowed_seconds, layer_record, log_likelihoods, next_layer, unmeasured
from shoal.selection._options import Options, Start, depths_of, settings_for
from shoal.selection._prepare import Prepared, prepare
from shoal.selection._race import Clock, race
from shoal.selection._record import build_record
from shoal.selection._rule import Choice, Gates, winsorised
from shoal.selection._rung import Listener, Rung
from shoal.tables import FRACTIONS, MINIMUM_ROWS, StreamedTable, Table, as_table
from shoal.training import ConditioningMonitor, Settings

DEPTHS = (1, 2, 3, 4, 6)
DEFAULT_FAMILIES = ("nsf",)
DEFAULT_FRONTS = ("gaussian", "marginals+gaussian", "mixture", "marginals+mixture")
WITH_CONTEXT = ("gaussian", "marginals+gaussian", "gaussian+mixture")
WITH_STATES = ("gaussian", "marginals+gaussian", "mixture", "marginals+mixture", "marginals+gaussian+mixture")
HANDED_ON = 3  # of the default fronts: how many get layers
MARGIN = 0.02  # nats, times the square root of the number of columns
LOOKED_AT, SHARES = (
    20_000,
    501,
)  # training rows whose log p has its quantiles in the record, and how many quantiles
DRAWS = 8  # of the numbers that a row lacks, in these
LEAST = -1e30  # nats; a row without density counts as so unlikely


@dataclass(frozen=True)
class LadderResult:
    """The outcome of a ladder.

    `flow`: the delivered flow, in the user's units, with column names (None if no rung was finite); where no rung
    qualified it is the likeliest one that passes the strongest gate that any passes (`delivery.gate`), and `choice.chosen`
    is None. `record`: what `shoal.report.write_report` draws. `rungs`, `choice`,
    `delivery`: the rungs, the rule's verdicts, and what is delivered. `prepared`: the parts, as split and dequantized.
    `test_log_likelihoods`: nats per test row.
    """

    flow: AbstractFlow | Mixed | None
    record: FitRecord
    rungs: tuple[Rung, ...]
    choice: Choice
    delivery: Delivery | None
    prepared: Prepared
    test_log_likelihoods: FloatArray | None
    interrupted: bool

    @property
    def failed(self) -> bool:
        """True if no rung is finite."""
        return self.flow is None


def ladder(
    data: ArrayLike | StreamedTable,
    *,
    context: object = None,
    weights: object = None,
    columns: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    families: Sequence[str | Family] = DEFAULT_FAMILIES,
    fronts: Sequence[str] | None = None,
    depths: Sequence[int] = DEPTHS,
    start: Start = "grow",
    seeds: int = 1,
    seed: int = 0,
    time_limit: float | None = None,
    began: float | None = None,
    margin: float | None = None,
    max_condition: float = 1e5,
    max_round_trip: float = 1e-3,
    dequantize: Literal["auto", "off"] = "auto",
    parts: tuple[float, float, float] = FRACTIONS,
    hidden: tuple[int, ...] | None = None,
    settings: Settings | Mapping[str, object] | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    folder: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
    monitor: ConditioningMonitor | None = None,
    executor: Executor | None = None,
    work: str | None = None,
) -> LadderResult:
    """Begin with closed-form densities, add layers while they gain, deliver the shallowest flow that is as good as the best.

    **Main arguments:**

    - `data`: a NumPy or JAX array (rows, columns), a polars or pandas data frame, a `shoal.tables.Table`, or what
      `shoal.tables.read_stream` found of files larger than the memory, whose rows are shuffled on the disk.
      `columns`, `context`, `weights` as in `shoal.tables.as_table`. `kinds`: None for numbers only; a mapping, perhaps
      empty, for a data frame whose columns are taken for what they are, as in `shoal.read_table`.
    - `fronts`: what stands between data and layers, any of `shoal.flows.FRONTS`; each alone is a rung of 0 layers, in closed
      form. None: all that are good for some table, of which the three likeliest get layers.
    - `families`: names out of `shoal.flows.FAMILIES`, or `Family` values such as `Family(nsf, bins=16)`. `depths`:
      numbers of layers. `start`: "grow" begins a rung from the weights of the chain's shallower one, new layers at the
      identity; "scratch" begins anew. `seeds`: trained side by side.
    - `time_limit`: seconds for everything, from the time `began` on (of `time.monotonic()`; None: now). Without one, a
      chain ends where its last layers surely gained less than `margin`.
    - `margin`: nats a row that a flow may be behind the best (95 % upper bound) and count as good; None: 0.02 times the
      square root of the number of columns.
    - `max_condition`: bound on the 99 % quantile of κ (latent -> standardised data, validation points);
      `max_round_trip`: bound on the 99.9 % quantile of the float32 error of data -> latent -> data, in standard deviations.
    - `dequantize`: "auto" adds uniform noise of one step to lattice columns, in all parts; "off" does not. `parts`:
      shares of training, validation and test rows; a test share of 0 leaves no test part.

    **Other arguments:** `hidden`: widths of conditioners (None: the family's own); `settings`: how weights are moved, a
    `shoal.training.Settings` (None: `settings_for` the training rows); `dtype`: of the weights ("float64" needs JAX's 64-bit
    switch); `seed`: of the split, the noise and the weights; `folder`, `resume`: checkpoints; `progress`: called with plain
    dictionaries; `monitor`: records κ and round trips of the layers while the rungs train (None: does not, which saves
    compiling a program a rung); `executor`: what trains the rungs of a round side by side, a task for each seed: anything
    with `submit`, such as a Dask client, a pool of `concurrent.futures` or MPI's (None: this process). Where epochs and not
    seconds are the limit, the bits are the same on machines of one kind; `work`: the URL of a folder, such as
    s3://bucket/work, where workers find the rows and leave checkpoints, which then come back to `folder` (None: `folder`,
    which must be on a disk that all workers share).

    **Returns:** `LadderResult`. Ctrl-C ends the training and gives the result of what is done.

    **Raises:** `InputError` (a ValueError) for bad input, before anything is trained, and for workers that have other
    versions than this process or do not see `folder` or reach `work`; a RuntimeError where the executor was lost, what was
    done kept in `folder`.
    """
    clock = Clock(time_limit) if began is None else Clock(time_limit, began)
    if isinstance(data, StreamedTable):
        table = data.sample
    else:
        wanted = {"context": context, "weights": weights, "kinds": kinds}
        table = as_table(data, columns, **wanted, minimum_rows=MINIMUM_ROWS, distinct=True)
    if fronts is None:
        named, few = usual_fronts(table), HANDED_ON
    else:
        named, few = ((fronts,) if isinstance(fronts, str) else tuple(fronts)), None
    each = [families] if isinstance(families, (str, Family)) else families
    allowed = MARGIN * float(np.sqrt(table.values.shape[1])) if margin is None else float(margin)
    options = Options(
        families=tuple(family(f) for f in each),
        fronts=named,
        depths=depths_of(depths),
        gates=Gates(allowed, max_condition, max_round_trip),
        settings=settings if isinstance(settings, Settings) else Settings(),
        start=start,
        seeds=seeds,
        seed=seed,
        time_limit=time_limit,
        dequantize=dequantize,
        parts=parts,
        hidden=None if hidden is None else tuple(hidden),
        dtype=dtype,
        few=few,
        folder=None if folder is None else Path(folder),
        resume=resume,
        monitor=monitor,
        executor=executor,
        work=work,
    )
    with _prepared(data, table, options) as prepared:
        if not isinstance(settings, Settings):
            limited, given = time_limit is not None, settings or {}
            options = replace(options, settings=settings_for(*prepared.epochs, limited=limited, **given))
        result = _climbed(prepared, options, clock, progress)
    if options.folder is not None and not (result.interrupted or result.failed):
        without_rows(options.folder)
    return result


@contextmanager
def _prepared(data: object, table: Table, options: Options) -> Generator[Prepared, None, None]:
    """The table ready for rungs; its shuffled rows, where they are in a file, in the run's folder or one of the scope."""
    streamed, seed, dtype = data if isinstance(data, StreamedTable) else None, options.seed, options.dtype
    prepared = prepare(
        table,
        seed=seed,
        dequantize_columns=options.dequantize == "auto",
        dtype=dtype,
        parts=options.parts,
        hashed=streamed is not None,
    )
    prepared = with_discrete_part(prepared, seed=seed, limit=options.time_limit)
    if streamed is None:
        yield in_blocks(prepared, seed=seed, dtype=dtype)
        return
    with (
        TemporaryDirectory(prefix="shoal-")
        if options.folder is None
        else nullcontext(options.folder) as folder
    ):
        yield on_disk(streamed, prepared, Path(folder), seed=seed, parts=options.parts, dtype=dtype)


def usual_fronts(table: Table) -> tuple[str, ...]:
    """The fronts that are raced where none are named."""
    if table.context is not None:
        return WITH_CONTEXT
    return WITH_STATES if table.schema is not None and table.schema.sizes else DEFAULT_FRONTS


def _climbed(prepared: Prepared, options: Options, clock: Clock, listen: Listener) -> LadderResult:
    """The race, the choice, and what is measured of the delivered flow."""
    run = race(prepared, options, clock, listen)
    interrupted, limited = run.interrupted, clock.limit is not None
    make_room()
    if listen is not None:
        listen({"stage": "measuring", "fraction": 1.0})
    more = lambda: not interrupted and _has_time(clock, run.rungs)
    choice, delivery = decide(run.rungs, prepared, options.gates, more, limited=limited)
    flow = plain = scores = test = layers = foretold = None
    quantiles: list[float] = []
    if delivery is not None:
        rung = run.rungs[delivery.rung]
        inner = rung.flows[delivery.seed]
        plain = in_user_units(inner, prepared)
        flow = whole_table(plain, prepared, options.seed)
        scores, test = _test(inner, prepared)
        quantiles = _quantiles(flow, inner, prepared, options.seed)
        if not interrupted and listen is not None:
            listen({"stage": "layer profile", "fraction": 1.0})
        layers, interrupted = _layers(rung, delivery.seed, prepared, clock, options.seed, interrupted)
        if not interrupted and delivery.rung == choice.best:
            foretold = _foretold(run.rungs, delivery, prepared, clock, options.seed)
    record = build_record(
        prepared,
        run,
        choice,
        delivery,
        options.config(),
        flow=plain,
        test=test,
        quantiles=quantiles,
        layers=layers,
        foretold=foretold,
    )
    return LadderResult(flow, record, tuple(run.rungs), choice, delivery, prepared, scores, interrupted)


def _has_time(clock: Clock, rungs: Sequence[Rung]) -> bool:
    """Whether another rung can be measured before the limit, the layer profile left its time."""
    if clock.limit is None:
        return True
    (longest,) = agreed(max((r.measuring_seconds for r in rungs), default=0.0))
    return clock.limit - clock.elapsed() > longest + allowed_seconds(clock.limit, 0.0) + 2.0


def in_user_units(inner: AbstractFlow, prepared: Prepared) -> AbstractFlow:
    """The flow on standardised rows as a flow in the user's units, with column names."""
    body, table, dtype = inner.bijection, prepared.table, inner.dtype
    center, spread = prepared.context_mean, prepared.context_scale
    if body.context_shape is not None and center is not None and spread is not None:
        body = StandardizedContext(body, jnp.asarray(center, dtype), jnp.asarray(spread, dtype))
    # What the flow adds to the data keeps its units.
    mean = np.concatenate([prepared.mean, np.zeros(inner.extra)])
    scale = np.concatenate([prepared.scale, np.ones(inner.extra)])
    last = Standardize(jnp.asarray(mean, dtype), jnp.asarray(scale, dtype))
    states = () if prepared.mass is None or table.schema is None else table.schema.state_names
    layers = (
        [body, last] if prepared.support is None else [body, last, _widened(prepared.support, inner.extra)]
    )
    base = inner.joint.base
    if isinstance(base, GaussianMixture) and center is not None and spread is not None:
        base = base.with_context_units(center, spread)
    joint = Flow(base, Chain(layers), context_columns=(*table.context_names, *states) or None)
    return inner.with_joint(joint, table.names)


def _widened(support: Support, extra: int) -> Support:
    """The intervals of the data, and the line for what the flow adds to it."""
    if not extra:
        return support
    ends = (*support.low, *[-np.inf] * extra), (*support.high, *[np.inf] * extra)
    return Support(support.shape[0] + extra, low=ends[0], high=ends[1])


def whole_table(flow: AbstractFlow, prepared: Prepared, seed: int) -> AbstractFlow | Mixed:
    """The flow of the numbers with the law of the codes, and with the turns of its periodic columns, where it has some."""
    if prepared.mass is None and prepared.turns is None:
        return flow
    names, width = prepared.table.context_names or None, len(prepared.table.context_names)
    mass = prepared.mass
    if (
        mass is not None
        and width
        and prepared.context_mean is not None
        and prepared.context_scale is not None
    ):
        mass = mass.with_context_units(prepared.context_mean[:width], prepared.context_scale[:width])
    return Mixed(
        mass, flow, prepared.filling, prepared.turns, context_columns=names, key=jr.fold_in(jr.key(seed), 17)
    )


def _test(inner: AbstractFlow, prepared: Prepared) -> tuple[FloatArray | None, HeldOut | None]:
    part = prepared.parts["test"]
    if len(part.rows) == 0:
        return None, None
    scores = prepared.user_log_prob("test", log_likelihoods(inner, part.x, part.context))
    w = np.ones(len(scores)) if part.weights is None else part.weights
    mean = float(np.average(scores, weights=w))
    error = float(np.sqrt(np.sum(w**2 * (scores - mean) ** 2)) / np.sum(w))
    robust = winsorised(scores[None], part.weights)
    return scores, HeldOut(log_likelihood=mean, standard_error=error, winsorised=robust, rows=len(scores))


def _quantiles(flow: AbstractFlow | Mixed, inner: AbstractFlow, prepared: Prepared, seed: int) -> list[float]:
    """Quantiles of log p of training rows, at shares from 0 to 1; none where one is not a number."""
    part, table = prepared.parts["train"], prepared.table
    some = np.random.default_rng([seed, 4]).permutation(len(part.rows))[:LOOKED_AT]
    if isinstance(flow, Mixed) and flow.filling is not None and table.codes is not None:
        some = some[: LOOKED_AT // DRAWS]
        index, key = part.rows[some], jr.fold_in(jr.key(seed), 18)
        rows = np.hstack([table.codes[index], prepared.values[index]])
        context = None if table.context is None else table.context[index]
        logs = np.asarray(_estimated(flow, key, rows, context))
    else:
        context = None if part.context is None else part.context[some]
        logs = prepared.user_log_prob("train", log_likelihoods(inner, part.x[some], context), some)
    if np.isnan(logs).any():
        return []
    logs, weights = np.maximum(logs, LEAST), None if part.weights is None else part.weights[some]
    return np.quantile(logs, np.linspace(0, 1, SHARES), weights=weights, method="inverted_cdf").tolist()


@quickly
def _estimated(law: Mixed, key: Key, rows: ArrayLike, context: ArrayLike | None) -> Array:
    return law.log_prob_estimate(key, rows, context, samples=DRAWS).value


def _layers(
    rung: Rung, index: int, prepared: Prepared, clock: Clock, seed: int, interrupted: bool
) -> tuple[LayersRecord, bool]:
    """The layer profile of the kept flow for the record, and whether Ctrl-C came, now or before."""
    if interrupted:
        return unmeasured("interrupted"), True
    flow, figures, part = rung.flows[index], rung.figures[index], prepared.parts["validation"]
    seconds = allowed_seconds(clock.limit, clock.elapsed())
    measuring = rung.measuring_seconds
    try:
        return layer_record(flow, part, figures, seed=seed, seconds=seconds, measuring=measuring), False
    except KeyboardInterrupt:
        return unmeasured("interrupted"), True


def _foretold(
    rungs: Sequence[Rung], delivery: Delivery, prepared: Prepared, clock: Clock, seed: int
) -> NextLayer | None:
    """What one more layer would gain, where the likeliest rung is the deepest of its chain and its last layers gained: the
    time was up, or no deeper rung was asked for.
    """
    rung = rungs[delivery.rung]
    chain = [r.depth for r in rungs if (r.front, r.family) == (rung.front, rung.family) and r.log_likelihoods]
    if rung.depth == 0 or rung.dropped or rung.depth < max(chain):
        return None
    seconds = np.inf if clock.limit is None else clock.limit - clock.elapsed()
    parts = prepared.parts["train"], prepared.parts["validation"]
    try:
        return next_layer(rung.flows[delivery.seed], *parts, seed=seed, seconds=seconds)
    except KeyboardInterrupt:
        return None
