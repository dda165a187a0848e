"""What `shoal factor` prints: the layers, the figures of the whole, and the frontier."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from ..records import FactorizationRecord
from ._console import sized


def print_factorization(made: Any, found: Any | None, console: Console | None = None) -> None:
    """Prints the tables of a `Factorization` and, if there is one, of its `Frontier`, and one line of figures."""
    console = sized(console)
    if found is not None:
        console.print(frontier_table(found, len(made.layers)))
    console.print(layers_table(made.to_record()))
    console.print(figures(made), markup=False, highlight=False, soft_wrap=True)


def layers_table(record: FactorizationRecord) -> Table:
    """One row for each layer, from left to right."""
    size, count = record.size, len(record.layers)
    table = Table(title=f"T ({size} x {size}) as {count} layers, the last acts first", title_justify="left")
    for name in ("layer", "kind", "block norm", "log-scales", "condition"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for place, layer in enumerate(record.layers, 1):
        low, high = layer.log_scale_range
        scales = "additive" if layer.additive else f"{low:.3g} ... {high:.3g}"
        table.add_row(str(place), layer.kind, f"{layer.block_norm:.4g}", scales, f"{layer.condition:.4g}")
    return table


def frontier_table(found: Any, shown: int) -> Table:
    """One row for each number of layers; where nothing was found the reason stands in its place."""
    table = Table(title="Depth against conditioning", title_justify="left")
    for name in ("", "layers", "worst condition", "at least", "residual", "route", "seconds"):
        table.add_column(name, justify="left" if name in ("", "route") else "right", overflow="fold")
    for row in found.rows:
        if row.factors is None:
            table.add_row("", str(row.layers), "", f"{row.lower_bound:.4g}", "", row.reason, "")
            continue
        route = row.route if row.first == found.rows[-1].first else f"{row.route}, {row.first} first"
        table.add_row(
            "shown" if row.layers == shown else "",
            str(row.layers),
            f"{row.condition:.4g}",
            f"{row.lower_bound:.4g}",
            f"{row.residual_float64:.1e}",
            route,
            f"{row.seconds:.1f}",
        )
    return table


def figures(made: Any) -> str:
    """Residuals, determinant and route in one line."""
    sign = "-" if (made.signs < 0).any() else "+"
    return (
        f"Largest condition {made.conditions.largest:.4g}; residual {made.residual.float64:.1e} in float64, "
        f"{made.residual.float32:.1e} in float32; log|det| {made.log_abs_det:.6g}, sign {sign}; route: {made.route}."
    )


@contextmanager
def shown_work(size: int, console: Console | None = None) -> Iterator[Callable[[Any], None]]:
    """Yields what `frontier` calls with its rows: a spinner on a terminal, otherwise one line for each row."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda row: console.print(str(row), markup=False, highlight=False, soft_wrap=True)
        return
    words = f"factoring {size} x {size}"
    with console.status(words) as status:
        yield lambda row: status.update(f"{words}, {row.layers} layers are done")
