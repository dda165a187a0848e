"""`propose`: which remedies might help a map that an audit found ill, and why, in order of expected effect."""

from typing import Any

import numpy as np

from shoal._types import ArrayLike
from shoal.bijections import SigmoidScale
from shoal.conditioning import Audit
from shoal.distributions import AbstractFlow
from shoal.remedies._base import AbstractRemedy, Evidence, Proposal
from shoal.remedies._bounded_scale import BoundedScale
from shoal.remedies._float64 import InFloat64
from shoal.remedies._lipschitz import LipschitzPenalty
from shoal.remedies._noise import DequantizationNoise
from shoal.remedies._padding import GaussianPad
from shoal.remedies._spectral import SpectralNormalization
from shoal.remedies._whitening import Whitening

NOISE = 0.01  # deviations: normal noise for columns that depend on each other


def every_remedy(worst: Audit | int, lattice: bool = False) -> tuple[AbstractRemedy, ...]:
    """The remedies with their published, or usual, settings.

    **Arguments:** `worst`: the layer for float64, or an audit, whose layer that loses most in a float32 round trip is meant;
    `lattice`: noise on lattice columns only (else normal noise of 0.01 deviations on the others too).
    """
    if isinstance(worst, Audit):
        trips = np.array([row.round_trip for row in worst.layers], np.float64)
        trips = np.nan_to_num(trips, nan=np.inf)
        worst = int(np.argmax(trips))
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


def propose(audit: Audit, flow: Any = None, x: ArrayLike | None = None) -> tuple[Proposal, ...]:
    """The remedies that apply, the one with the largest expected effect first; none for a healthy map.

    **Arguments:** `audit`: of any map, Shoal's or foreign; `flow`: the Shoal flow that was audited, if it is one: remedies
    that are in place already, or need parts that it lacks, are then left out; `x`: rows of its data (default: those of the
    audit), from which resolution and correlations are read; more rows say more.
    **Returns:** `Proposal`s with `.remedy`, `.why` (a sentence) and `.expected` (decimal digits, a rule of thumb for the
    order). For foreign flows this is all that can be done here: their author applies the remedy; `measure` takes recipes of
    Shoal flows. **Raises:** ValueError for rows that do not have the audit's columns.
    """
    rows = audit.x if x is None else np.asarray(x, np.float64)
    shoals = flow if isinstance(flow, AbstractFlow) else None
    columns = audit.x.shape[1] - (0 if shoals is None else shoals.extra)
    if x is not None and (
        rows.ndim != 2 or rows.shape[1] not in (columns, audit.x.shape[1]) or len(rows) < 2
    ):
        raise ValueError(f"`x` must be two or more rows of {columns} columns; got shape {rows.shape}.")
    if audit.healthy:
        return ()
    evidence = Evidence(audit, shoals, rows)
    lattice = len(evidence.lattices) == rows.shape[1] and bool(evidence.correlations[-1] > 1e-8)
    found = []
    for remedy in every_remedy(audit, lattice):
        why = remedy.why(evidence)
        if why is not None:
            found.append(Proposal(remedy, why, remedy.expected(evidence)))
    return tuple(sorted(found, key=lambda p: -p.expected))
