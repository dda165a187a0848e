"""What `shoal audit` prints: the layers, the round trips, the key figures with their kinds, and the verdict."""

import math

from rich.console import Console
from rich.table import Table

from shoal.cli._session import say, sized
from shoal.cli._session import table as empty_table
from shoal.records import AuditRecord
from shoal.records.audit import Trip
from shoal.records.figures import kind_words

MOST = 24  # layers that the terminal lists; the report and --parquet have all
COLUMNS = {
    "condition_median": "κ median",
    "condition_q99": "κ 99 %",
    "condition_max": "κ max",
    "lipschitz": "Lip, at least",
    "inverse_lipschitz": "inverse",
    "log_det": "log-det",
    "amplification_forward": "to data",
    "amplification_reverse": "to latent",
    "round_trip": "trip f32",
}


def print_audit(record: AuditRecord, console: Console | None = None) -> None:
    """Prints the tables of an audit's record, the figures in one line each, and the verdict."""
    console = sized(console)
    console.print(layers_table(record))
    console.print(trips_table(record))
    bars = record.log_prob_errors and record.log_prob_errors.sentence
    more = [str(found) for found in (record.next_layer, record.coverage) if found is not None]
    say(console, *filter(None, (*figures(record), record.note, *more, bars, record.diagnosis.sentence)))


def layers_table(record: AuditRecord) -> Table:
    """One row for each layer, in forward order; beyond `MOST` the worst conditioned ones."""
    layers, worst = record.layers, record.diagnosis.worst_layer
    shown = list(range(len(layers)))
    if len(layers) > MOST:
        worst_kappa = (row.condition_worst for row in layers)
        badness = [math.inf if math.isnan(kappa) else kappa for kappa in worst_kappa]
        shown = sorted(sorted(shown, key=lambda i: (i != worst, -badness[i]))[:MOST])
    title = "Layers, latent to data" + (f" (the {MOST} worst of {len(layers)})" if len(layers) > MOST else "")
    table = empty_table(title, "", "layer", *COLUMNS.values(), left=("", "layer"))
    for i in shown:
        table.add_row(
            "worst" if i == worst else "",
            f"{i} {layers[i].name}",
            *(number(getattr(layers[i], key)) for key in COLUMNS),
        )
    return table


def trips_table(record: AuditRecord) -> Table:
    """The largest error of every set in every precision; predicted (u κ |start|) in brackets."""
    sets = record.round_trips
    precisions = list(dict.fromkeys(p for by in sets.values() for p in by))
    table = empty_table("Round trips: largest error (predicted)", "points", *precisions, left=("points",))
    for name, by in sets.items():
        table.add_row(name, *(_trip(by[p]) if p in by else "" for p in precisions))
    return table


def figures(record: AuditRecord) -> list[str]:
    """Condition numbers, both ends and log-dets, each with its kind."""
    kappa, bands, kinds = record.condition, record.spectrum, record.kinds
    lost = kappa.unresolved
    lines = [
        f"κ median {number(kappa.median)}, 99 % {number(kappa.q99)}, max {number(kappa.max)} "
        f"({kind_words(kinds['condition_numbers'])}" + (f": at {lost} points above 1/eps)" if lost else ")")
    ]
    if bands.max:
        largest, smallest = (kind_words(kinds[name]) for name in ("sigma_max", "sigma_min"))
        lines[0] += f"; σ max {number(bands.max[0])} ({largest}), σ min {number(bands.min[-1])} ({smallest})"
    gap = record.log_det_gap
    if gap is not None:
        lines.append(f"log|det|: own, slogdet and sum of logs agree to {number(gap)}.")
    found = record.attack
    if found is not None:
        lines.append(
            f"Attack within {found.radius:g}: round trip {number(found.start_error)} -> {number(found.error)}, "
            f"stretch {number(found.start_stretch)} -> {number(found.stretch)} (lower bound)."
        )
    return lines


def number(value: float | None) -> str:
    """Three digits; what is not finite is named."""
    if value is None:
        return ""
    return f"{value:.3g}" if math.isfinite(value) else "not finite"


def _trip(trip: Trip) -> str:
    if trip.failed:
        return "not run"
    guess = "" if trip.predicted is None else f" ({trip.predicted:.1g})"
    lost = trip.nonfinite
    return (f"not finite: {lost} of {trip.points}" if lost else f"{trip.max:.2g}") + guess
