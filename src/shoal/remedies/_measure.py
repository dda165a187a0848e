"""`measure`: train without a remedy and with each, over seeds, and compare."""

from collections.abc import Callable, Sequence

import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._types import ArrayLike, Key
from shoal.conditioning import AbstractMap, audit, order_statistics, resolved, round_trip, spectrum
from shoal.distributions import AbstractFlow
from shoal.records.figures import Kind
from shoal.remedies._base import AbstractRemedy, Proposal
from shoal.remedies._effects import Figures, Measured, Measurements, effects_of
from shoal.remedies._mixed import MixedMap, mixed_log_prob
from shoal.remedies._plan import Plan, Recipe, make_plan
from shoal.remedies._propose import propose
from shoal.training import FitResult, Settings, fit

DRAWS = 32  # of the padding, for each test row


def measure(
    make_flow: Recipe | AbstractFlow,
    data: Sequence[ArrayLike],
    proposals: Sequence[Proposal | AbstractRemedy] | None = None,
    *,
    key: Key,
    seeds: int = 3,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    points: int = 256,
    progress: Callable[[Measured], object] | None = None,
) -> Measurements:
    """Condition number, float32 round trip and test log-likelihood with each remedy and without, on the same seeds.

    **Arguments:**

    - `make_flow`: a function (key, dim) -> Shoal flow on R^dim for rows in units of their deviations, without `Standardize`,
      such as `lambda key, dim: flows.realnvp(key, dim, 16)`; padding calls it with a larger dim. A flow itself is taken as
      the start of every seed, which then differ in their shuffles only; remedies that need a recipe are then not run.
    - `data`: (train, validation, test), arrays of rows; they are standardised by the training part.
    - `proposals`: of `propose`, or remedies; None: the first flow without a remedy is audited, and what `propose` says of
      it is measured.
    - `key`: of the seeds: seed i has the same weights, where the flows' structure is the same, and the same shuffles under
      every remedy; `seeds`: at least 2; `epochs`, `batch_size`, `learning_rate`: of `training.Settings`; the weights
      are those that are best on the validation rows; `points`: test rows for kappa and round trips; `progress`: called with
      each row.

    Figures are of latent -> data in units of the training part's deviations (of the joint map, where coordinates are
    padded), on the test rows as they are: noise is put on training and validation rows only, so a density that is unbounded
    on a lattice keeps that advantage over one that is not. A remedy that raises a ValueError is reported as not run.

    **Returns:** `Measurements`. **Raises:** InputError for bad input, before anything is trained.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise InputError(f"`seeds` must be a whole number of at least 2; got {seeds!r}.")
    settings = Settings(max_epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, patience=None)
    plan = make_plan(make_flow, data, settings)
    keys = list(jr.split(key, seeds))
    before, first = trained_runs(plan, keys, points)
    rows = [Measured("none", None, before, {})]
    if progress is not None:
        progress(rows[0])
    for given in _proposed(plan, first, points) if proposals is None else map(_as_proposal, proposals):
        rows.append(measured(given, plan, before, keys, points))
        if progress is not None:
            progress(rows[-1])
    return Measurements(tuple(rows))


def trained_runs(plan: Plan, keys: list[Key], points: int) -> tuple[tuple[Figures, ...], FitResult]:
    """The figures of one run a key, and the first run."""
    trained = [_train(plan, k) for k in keys]
    pairs = zip(trained, keys, strict=True)
    return tuple(_figures(plan, t, points, jr.fold_in(k, 0x7E57)) for t, k in pairs), trained[0]


def measured(
    proposal: Proposal, plan: Plan, before: tuple[Figures, ...], keys: list[Key], points: int
) -> Measured:
    """One remedy against the figures of the runs `before` it; the reason where it can not be applied to the plan."""
    name = proposal.remedy.name
    try:
        runs = trained_runs(proposal.remedy.apply(plan), keys, points)[0]
    except ValueError as why:
        return Measured(name, proposal, (), {}, " ".join(str(why).split()))
    return Measured(name, proposal, runs, effects_of(before, runs))


def _train(plan: Plan, key: Key) -> FitResult:
    k_flow, k_fit = jr.split(key)
    train, validation = (p.astype(np.float32) for p in (plan.train, plan.validation))
    return fit(plan.make(k_flow), train, key=k_fit, validation=validation, settings=plan.settings)


def _figures(plan: Plan, trained: FitResult, points: int, key: Key) -> Figures:
    """The figures of a flow that was trained as `plan` says, on the plan's test rows; `points` of them for kappa."""
    flow = plan.finished(trained.flow)
    tested: AbstractMap = flow.to_map()
    if plan.float64:
        tested = MixedMap(tested, plan.float64)
    x = flow.extended_rows(plan.test[:points])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = spectrum(tested, x)
        samples = np.random.default_rng(0).standard_normal((len(x), tested.size))
        trips = [
            round_trip(tested, x, precision="float32"),
            round_trip(tested, samples, precision="float32", way="latent"),
        ]
    kappa = order_statistics(found.condition_numbers, 0.99)[0]
    usual: Kind = "exact" if found.dense else "lower_bound"
    if plan.float64 and not flow.extra:
        log_prob, kind = mixed_log_prob(flow.joint, plan.float64, plan.test), "exact"
    else:
        estimate = flow.log_prob_estimate(key, plan.test.astype(np.float32), samples=DRAWS)
        log_prob, kind = estimate.value, estimate.kind
    return Figures(
        condition=kappa,
        condition_kind=usual if kappa <= resolved("float64") else "unresolved",
        round_trip=float(np.max(trips)),
        log_likelihood=float(np.mean(np.asarray(log_prob, np.float64))) - plan.log_volume,
        log_likelihood_kind=kind,
        status=trained.status,
    )


def _proposed(plan: Plan, trained: FitResult, points: int) -> tuple[Proposal, ...]:
    x = trained.flow.extended_rows(plan.test[:points])
    return propose(audit(trained.flow, x, scale=np.ones(x.shape[1])), trained.flow, plan.train)


def _as_proposal(given: Proposal | AbstractRemedy) -> Proposal:
    if isinstance(given, AbstractRemedy):
        return Proposal(given)
    if isinstance(given, Proposal):
        return given
    raise InputError(f"`proposals` must hold proposals or remedies; got {given!r}.")
