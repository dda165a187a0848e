"""What `shoal fit` prints at the end: the rungs, the decision, and the figure to quote, in the words of the report."""

from rich.console import Console
from rich.table import Table

from ..records import FitRecord
from ._console import sized


def print_summary(record: FitRecord, console: Console | None = None) -> None:
    """Prints the table of rungs, the sentence of the decision, and the test log-likelihood of the delivered flow."""
    console = sized(console)
    console.print(rungs_table(record))
    decision, test, rung = record.decision, record.test, record.delivered
    if decision.margin is not None:
        words = f"As good: behind the best by at most {decision.margin:.3g}, with 95 % confidence."
        console.print(words, highlight=False, soft_wrap=True)
    if decision.sentence:
        console.print(decision.sentence, markup=False, highlight=False, soft_wrap=True)
    if test is None or rung is None:
        return
    error = "" if test.standard_error is None else f" ± {_number(test.standard_error)}"
    rows = f" (plain mean of {test.rows} rows" if test.rows else " (plain mean"
    robust = _number(test.winsorised)
    if robust and robust != _number(test.log_likelihood):
        rows += f"; robust mean {robust}"
    line = f"Test log-likelihood of {rung.name}: {_number(test.log_likelihood)}{error}"
    console.print(f"{line} nats per row{rows}).", markup=False, highlight=False, soft_wrap=True)


def rungs_table(record: FitRecord) -> Table:
    """One row for each rung. At most 100 columns wide, so its times and parameters stand in the report only."""
    title = "Rungs: validation in nats per row, and how far behind the best"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("")
    table.add_column("flow", overflow="fold")
    for name in ("validation", "behind", "at most"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for name in ("κ\n99 %", "round trip\n99.9 %"):
        table.add_column(name, justify="right")
    for place, rung in enumerate(record.rungs):
        trip, kappa = rung.round_trip.get("float32"), rung.condition
        table.add_row(
            next(iter(record.decision.marks(place)), ""),
            rung.name,
            _number(rung.validation_log_likelihood),
            _number(rung.difference),
            _number(rung.upper),
            rung.state or rung.status,
            _number(kappa and kappa.q99, ".3g"),
            _number(trip and trip.q999, ".1e") or ("not measured" if kappa is None and rung.state else ""),
        )
    return table


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form)
