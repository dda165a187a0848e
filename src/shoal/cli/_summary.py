"""What `shoal fit` prints at the end: the rungs, the decision, and where the report lies."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ._console import sized


def print_summary(record: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table of rungs and the sentence of the decision."""
    console = sized(console)
    console.print(rungs_table(record))
    decision = record.get("decision") or {}
    if decision.get("sentence"):
        console.print(str(decision["sentence"]), markup=False, highlight=False, soft_wrap=True)
    test = record.get("test") or {}
    if test.get("log_likelihood") is not None:
        error = (
            f" ± {_number(test['standard_error'], '.4f')}" if test.get("standard_error") is not None else ""
        )
        rows = f" ({test['rows']} rows)" if test.get("rows") else ""
        line = f"Test log-likelihood: {_number(test['log_likelihood'], '.4f')}{error} nats per row{rows}."
        console.print(line, highlight=False, soft_wrap=True)


def rungs_table(record: Mapping[str, Any]) -> Table:
    """One row for each rung; what was not computed is left empty."""
    table = Table(title="Rungs (log-likelihood in nats per row, on validation)", title_justify="left")
    for name in ("", "family", "depth", "parameters", "validation", "below the best", "as good", "κ 99 %", "round trip",
                 "seconds", "status"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("", "family", "as good", "status") else "right")
    for rung in record["rungs"]:
        table.add_row(
            "chosen" if rung.get("chosen") else "",
            str(rung["family"]),
            str(rung["depth"]),
            _number(rung.get("parameters"), ",d"),
            _number(rung.get("validation_log_likelihood"), ".4f"),
            _difference(rung),
            {True: "yes", False: "no"}.get(rung.get("as_good"), ""),
            _number((rung.get("condition") or {}).get("q99"), ".3g"),
            _number(((rung.get("round_trip") or {}).get("float32") or {}).get("max"), ".1e"),
            _number(rung.get("seconds") or None, ".1f"),
            str(rung.get("status") or ""),
        )
    return table


def _difference(rung: Mapping[str, Any]) -> str:
    difference = _number(rung.get("difference"), ".4f")
    error = _number(rung.get("standard_error"), ".4f")
    return f"{difference} ± {error}" if difference and error else difference


def _number(value: Any, form: str) -> str:
    if value is None or isinstance(value, str):  # a record may hold "nan" or "inf"
        return value or ""
    return format(int(value), form) if form.endswith("d") else format(float(value), form)
