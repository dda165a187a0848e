"""What `shoal fit` prints at the end: the rungs, the decision, and the figure to quote, in the words of the report."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ._console import sized


def print_summary(record: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table of rungs, the sentence of the decision, and the test log-likelihood of the delivered flow."""
    console = sized(console)
    console.print(rungs_table(record))
    decision = record.get("decision") or {}
    if decision.get("margin") is not None:
        words = (
            f"As good: behind the best by at most {_number(decision['margin'], '.3g')}, with 95 % confidence."
        )
        console.print(words, highlight=False, soft_wrap=True)
    if decision.get("sentence"):
        console.print(str(decision["sentence"]), markup=False, highlight=False, soft_wrap=True)
    test, kept = record.get("test") or {}, decision.get("kept")
    if test.get("log_likelihood") is None or kept is None:
        return
    error = f" ± {_number(test['standard_error'])}" if test.get("standard_error") is not None else ""
    rows = f" (plain mean of {test['rows']} rows" if test.get("rows") else " (plain mean"
    robust = _number(test.get("winsorised"))
    if robust and robust != _number(test["log_likelihood"]):
        rows += f"; robust mean {robust}"
    line = f"Test log-likelihood of {record['rungs'][kept]['name']}: {_number(test['log_likelihood'])}{error}"
    console.print(f"{line} nats per row{rows}).", markup=False, highlight=False, soft_wrap=True)


def rungs_table(record: Mapping[str, Any]) -> Table:
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
    for place, rung in enumerate(record["rungs"]):
        single = (rung.get("round_trip") or {}).get("float32") or {}
        unmeasured = "not measured" if not rung.get("condition") and rung.get("state") else ""
        table.add_row(
            _marks(record, place),
            str(rung["name"]),
            _number(rung.get("validation_log_likelihood")),
            _number(rung.get("difference")),
            _number(rung.get("upper")),
            str(rung.get("state") or rung.get("status") or ""),
            _number((rung.get("condition") or {}).get("q99"), ".3g"),
            _number(single.get("q999"), ".1e") or unmeasured,
        )
    return table


def _marks(record: Mapping[str, Any], place: int) -> str:
    """As on the page: "chosen", or "delivered" where it is not, and "best"."""
    decision = record.get("decision") or {}
    if decision.get("chosen") == place:
        return "chosen"
    return next(
        (word for key, word in (("kept", "delivered"), ("best", "best")) if decision.get(key) == place), ""
    )


def _number(value: Any, form: str = ".3f") -> str:
    if value is None or isinstance(value, str):  # a record may hold "nan" or "inf"
        return value or ""
    return format(float(value), form)
