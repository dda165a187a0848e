"""`propose`: which remedies might help a map that an audit found ill, and why, in order of expected effect."""

import numpy as np

from shoal._errors import InputError
from shoal._types import ArrayLike
from shoal.bijections import SigmoidScale
from shoal.conditioning import Audit
from shoal.distributions import AbstractFlow
from shoal.remedies._base import AbstractRemedy, Evidence, Proposal
from shoal.remedies._data_remedies import DequantizationNoise, Whitening
from shoal.remedies._flow_remedies import (
    BoundedScale,
    GaussianPad,
    InFloat64,
    LipschitzPenalty,
    SpectralNormalization,
)

NOISE = 0.01  # deviations: normal noise for columns that depend on each other


def every_remedy(worst: int, lattice: bool = False) -> tuple[AbstractRemedy, ...]:
    """The remedies with their published, or usual, settings.

    **Arguments:** `worst`: the layer for float64, see `worst_trip`; `lattice`: noise on lattice columns only (else normal
    noise of 0.01 deviations on the others too).
    """
    return (
        BoundedScale(),
        BoundedScale(SigmoidScale(), name="sigmoid scale"),
        LipschitzPenalty(),
        SpectralNormalization(),
        InFloat64(frozenset({worst})),
        GaussianPad(),
        DequantizationNoise(0.0 if lattice else NOISE),
        Whitening(),
    )


def worst_trip(audit: Audit) -> int:
    """The layer that loses most in a float32 round trip of its own; one that is not finite loses most of all."""
    trips = np.array([row.round_trip for row in audit.layers], np.float64)
    return int(np.argmax(np.nan_to_num(trips, nan=np.inf)))


def propose(
    audit: Audit, flow: AbstractFlow | None = None, x: ArrayLike | None = None
) -> tuple[Proposal, ...]:
    """The remedies that apply, the one with the largest expected effect first; none for a healthy map.

    **Arguments:** `audit`: of any map, Shoal's or foreign; `flow`: the Shoal flow that was audited, if it is one: remedies
    that are in place already, or need parts that it lacks, are then left out; `x`: rows of its data (default: those of the
    audit), from which resolution and correlations are read; more rows say more.
    **Returns:** `Proposal`s with `.remedy`, `.why` (a sentence) and `.expected` (decimal digits, a rule of thumb for the
    order). For foreign flows this is all that can be done here: their author applies the remedy; `measure` takes recipes of
    Shoal flows. **Raises:** InputError for rows that do not have the audit's columns.
    """
    rows = audit.x if x is None else np.asarray(x, np.float64)
    columns = audit.x.shape[1] - (flow.extra if isinstance(flow, AbstractFlow) else 0)
    if (
        rows.ndim != 2
        or rows.shape[1] not in (columns, audit.x.shape[1])
        or (x is not None and len(rows) < 2)
    ):
        raise InputError(f"`x` must be two or more rows of {columns} columns; got shape {rows.shape}.")
    if audit.healthy:
        return ()
    evidence = Evidence(audit, flow, rows)
    lattice = len(evidence.lattices) == rows.shape[1] and bool(evidence.correlations[-1] > 1e-8)
    found = []
    for remedy in every_remedy(worst_trip(audit), lattice):
        judged = remedy.judge(evidence)
        if judged is not None:
            found.append(Proposal(remedy, expected=judged[0], why=judged[1]))
    return tuple(sorted(found, key=lambda p: -p.expected))
