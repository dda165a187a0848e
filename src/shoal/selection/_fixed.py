"""A flow of a depth that is given: the likeliest front, so many layers behind it, and no choice between depths."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.distributions import AbstractFlow, Mixed
from shoal.flows import Family, Front, family
from shoal.selection._blocks import in_blocks
from shoal.selection._ladder import in_user_units, usual_fronts, whole_table
from shoal.selection._mass import with_discrete_part
from shoal.selection._options import Options, settings_for
from shoal.selection._prepare import Prepared, prepare
from shoal.selection._race import zero
from shoal.selection._rule import Gates
from shoal.selection._rung import Rung, train
from shoal.tables import Table


@dataclass(frozen=True)
class Fixed:
    """`flow`, in the user's units; `depth`: its layers, 0 where no training had the time for an epoch or was finite."""

    flow: AbstractFlow | Mixed
    depth: int
    interrupted: bool


def fit_depth(
    table: Table,
    depth: int,
    *,
    families: Sequence[str | Family],
    fronts: Sequence[str] | None,
    seed: int,
    time_limit: float | None,
    parts: tuple[float, float, float],
    hidden: tuple[int, ...] | None,
    settings: Mapping[str, object],
) -> Fixed:
    """The front that is likeliest on the validation rows, alone (depth 0) or with `depth` layers of a family behind it.

    Arguments are those of `ladder`. Each family is trained, front and layers, in an equal share of the time; the likeliest
    on the validation rows is kept. **Raises:** `InputError` as `ladder` does.
    """
    began = time.monotonic()
    prepared = prepare(table, seed=seed, dequantize_columns=True, dtype="float32", parts=parts)
    prepared = with_discrete_part(prepared, seed=seed, limit=time_limit)
    prepared = in_blocks(prepared, seed=seed, dtype="float32")
    options = Options(
        families=tuple(family(given) for given in families),
        fronts=usual_fronts(table) if fronts is None else tuple(fronts),
        depths=(depth,),
        gates=Gates(margin=1.0, max_condition=np.inf, max_round_trip=np.inf),
        settings=settings_for(*prepared.epochs, limited=time_limit is not None, **settings),
        seed=seed,
        time_limit=time_limit,
        parts=parts,
        hidden=hidden,
    )
    weights = prepared.parts["validation"].weights
    front, kept = max(zero(prepared, options, time_limit), key=lambda pair: pair[1].value(weights))
    trained = list(_trained(front, depth, prepared, options, began)) if depth else []
    finite = [rung for rung in trained if np.isfinite(rung.value(weights))]
    if finite:
        kept = max(finite, key=lambda rung: rung.value(weights))
    flow = whole_table(in_user_units(kept.flows[0], prepared), prepared, seed)
    interrupted = any(result.status == "interrupted" for rung in trained for result in rung.results)
    return Fixed(flow, kept.depth, interrupted)


def _trained(front: Front, depth: int, prepared: Prepared, options: Options, began: float) -> Iterator[Rung]:
    """The rungs of the families, one after the other, as long as there is time and nobody stops it."""
    for done, kind in enumerate(options.families):
        share = None
        if options.time_limit is not None:
            left = options.time_limit - (time.monotonic() - began)
            share = left / (len(options.families) - done)
            if share <= 0:
                return
        rung = Rung(front.name, kind, depth)
        train(rung, front, prepared, options, before=None, time_limit=share, progress=None)
        yield rung
        if any(result.status == "interrupted" for result in rung.results):
            return
