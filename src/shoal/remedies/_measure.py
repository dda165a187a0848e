"""`measure`: train without a remedy and with each, over seeds, and compare."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.random as jr
import numpy as np

from shoal._types import Key
from shoal.conditioning import audit
from shoal.remedies._base import AbstractRemedy, Proposal
from shoal.remedies._figures import Figures, figures
from shoal.remedies._measurements import Measured, Measurements, effects_of
from shoal.remedies._plan import Plan, make_plan
from shoal.remedies._propose import propose
from shoal.training import FitResult, Settings, fit


def measure(
    make_flow: Any,
    data: Any,
    proposals: Sequence[Proposal | AbstractRemedy] | None = None,
    *,
    key: Key,
    seeds: int = 3,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    points: int = 256,
    progress: Callable[[Measured], Any] | None = None,
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

    **Returns:** `Measurements`. **Raises:** ValueError for bad input, before anything is trained.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise ValueError(f"`seeds` must be a whole number of at least 2; got {seeds!r}.")
    settings = Settings(max_epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, patience=None)
    plan = make_plan(make_flow, data, settings)
    keys = list(jr.split(key, seeds))
    tell = (lambda row: row) if progress is None else (lambda row: (progress(row), row)[1])
    before, first = trained_runs(plan, keys, points)
    none = tell(Measured("none", None, before, {}))
    if proposals is None:
        proposals = _proposed(plan, first, points)
    rows = [none]
    for given in proposals:
        rows.append(tell(measured(_as_proposal(given), plan, before, keys, points)))
    return Measurements(tuple(rows), seeds, epochs)


def trained_runs(plan: Plan, keys: list[Key], points: int) -> tuple[tuple[Figures, ...], FitResult]:
    """The figures of one run a key, and the first run."""
    trained = [_train(plan, k) for k in keys]
    pairs = zip(trained, keys, strict=True)
    return tuple(figures(plan, t, points, jr.fold_in(k, 0x7E57)) for t, k in pairs), trained[0]


def measured(
    proposal: Proposal, plan: Plan, before: tuple[Figures, ...], keys: list[Key], points: int
) -> Measured:
    """One remedy against the figures of the runs `before` it; the reason where it can not be applied to the plan."""
    name = proposal.remedy.name
    try:
        changed = proposal.remedy.apply(plan)
        runs = trained_runs(changed, keys, points)[0]
    except ValueError as why:
        return Measured(name, proposal, (), {}, " ".join(str(why).split()))
    return Measured(name, proposal, runs, effects_of(before, runs))


def _train(plan: Plan, key: Key) -> FitResult:
    k_flow, k_fit = jr.split(key)
    train, validation = (p.astype(np.float32) for p in (plan.train, plan.validation))
    return fit(plan.make(k_flow), train, key=k_fit, validation=validation, settings=plan.settings)


def _proposed(plan: Plan, trained: FitResult, points: int) -> tuple[Proposal, ...]:
    x = trained.flow.extended_rows(plan.test[:points])
    return propose(audit(trained.flow, x, scale=np.ones(x.shape[1])), trained.flow, plan.train)


def _as_proposal(given: Any) -> Proposal:
    if isinstance(given, Proposal):
        return given
    if isinstance(given, AbstractRemedy):
        return Proposal(given)
    raise ValueError(f"`proposals` must hold proposals or remedies; got {given!r}.")
