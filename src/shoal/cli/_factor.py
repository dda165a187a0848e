"""`shoal factor`: a square matrix as few linear couplings, with the price in conditioning."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from shoal._errors import InputError, NumericalFailure
from shoal.cli._parse import check_output, parse_choice
from shoal.cli._session import Call, argument, command, option, say, sized, table
from shoal.records import FactorizationRecord

FEWEST, MOST = 5, 11
Layers = int | Literal["auto"] | None
KINDS: tuple[Literal["lower", "upper"], ...] = ("lower", "upper")
Group = Literal["linear", "symplectic"]
GROUPS: tuple[Group, ...] = ("linear", "symplectic")


@command
def factor(
    call: Call,
    matrix: Annotated[
        str, argument("A NPY, NPZ or CSV file with a square matrix, or its URL.", metavar="MATRIX")
    ],
    layers: Annotated[
        str | None,
        option(
            "Number of layers, 6 by default; auto: the fewest within --max-condition.", metavar="5..11|auto"
        ),
    ] = None,
    max_condition: Annotated[
        float | None, option("With --layers auto: largest condition number of a layer.", metavar="C")
    ] = None,
    group: Annotated[
        str,
        option(
            "symplectic: 5 or 6 layers with symmetric blocks, kept coordinates conjugate to the others in order.",
            metavar="linear|symplectic",
        ),
    ] = "linear",
    first: Annotated[str, option("Kind of the leftmost layer.", metavar="lower|upper")] = "lower",
    kept: Annotated[
        str | None,
        option(
            "Coordinates that lower layers keep, half of all; the first ones by default.", metavar="0,3,5"
        ),
    ] = None,
    output: Annotated[
        Path | None, option("A .npz file for the factors.", "-o", "--output", metavar="FILE")
    ] = None,
    report: Annotated[
        Path | None, option("A .html file for the report with pictures.", metavar="FILE")
    ] = None,
    frontier: Annotated[
        bool, option("Also look for the best condition number for 5 to 11 layers.", "--frontier")
    ] = False,
) -> None:
    """Write a matrix as a product of linear couplings: exact to rounding, and well conditioned.

    Exit codes: 0 done, 2 bad input, 3 no factorization within the tolerance or the budget, 130 interrupted.
    """
    count = _count(layers, max_condition)
    kind, indices = parse_choice(first, "--first", KINDS), _indices(kept)
    which = parse_choice(group, "--group", GROUPS)
    if which == "symplectic" and (frontier or layers == "auto"):
        raise InputError("--group symplectic goes without --frontier and --layers auto.")
    for place, word, suffix in ((output, "-o", ".npz"), (report, "--report", ".html")):
        if place is not None:
            check_output(place, word, (suffix,), matrix)
    from shoal.cli._data import say_notes
    from shoal.tables import read_matrix  # here and not above: `shoal --help` must not wait for it

    array = read_matrix(matrix, partial(say_notes, matrix))
    options = {"first": kind, "kept": indices}
    made, found = _computed(array, matrix, (count, max_condition), options, which, frontier=frontier)
    if output is not None:
        made.save(output)
    if report is not None:
        from shoal.report import write_report

        about = {"source": matrix, "command": call.line("output", "report")}
        rows = found and found.to_record()
        write_report(replace(made.to_record(), frontier=rows, **about), report)
    print_factorization(made, found)
    if output is not None:
        typer.echo(f"The factors are in {output}")
    if report is not None:
        typer.echo(f"The report lies at {report}")


def _computed(
    array: Any,
    label: str,
    asked: tuple[Layers, float | None],
    options: dict[str, Any],
    group: Group,
    *,
    frontier: bool,
) -> tuple[Any, Any]:
    """The factorization, from the frontier where that has it, and the frontier; `asked`: layers and condition number."""
    import numpy as np

    from shoal.theory import linear

    try:
        with shown_work(len(array) if array.ndim else 0) as show:
            found = linear.frontier(array, **options, progress=show) if frontier else None
            made = found and _from_frontier(found, *asked, options["first"])
            return made or linear.factor(
                array, asked[0], max_condition=asked[1], group=group, **options
            ), found
    except np.linalg.LinAlgError as error:
        raise NumericalFailure(f"{label}: {error}.") from error
    except InputError as error:
        raise InputError(f"{label}: {error}") from error


def _from_frontier(found: Any, count: Layers, budget: float | None, first: str) -> Any:
    """None where the frontier has no such factorization: `factor` then says why."""
    if count == "auto":
        return found.within(budget)
    wanted = count or 6
    return next((row.factors for row in found.rows if row.layers == wanted and row.first == first), None)


def _count(layers: str | None, budget: float | None) -> Layers:
    if (layers == "auto") != (budget is not None):
        raise InputError("--layers auto and --max-condition C belong together: give both or neither.")
    if budget is not None and not budget >= 1.0:
        raise InputError(f"--max-condition must be at least 1; got {budget:g}.")
    if layers is None or layers == "auto":
        return layers
    if not (layers.isascii() and layers.isdecimal() and FEWEST <= int(layers) <= MOST):
        raise InputError(f"--layers {layers!r} must be {FEWEST} ... {MOST} or auto.")
    return int(layers)


def _indices(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words):
        raise InputError(f"--kept {text!r} must be indices from 0, separated by commas, such as 0,3,5.")
    return tuple(int(word) for word in words)


def print_factorization(made: Any, found: Any | None, console: Console | None = None) -> None:
    """Prints the tables of a `Factorization` and, if there is one, of its `Frontier`, and one line of figures."""
    console = sized(console)
    if found is not None:
        console.print(frontier_table(found, len(made.layers)))
    console.print(layers_table(made.to_record()))
    say(console, figures(made))


def layers_table(record: FactorizationRecord) -> Table:
    """One row for each layer, from left to right."""
    size, count = record.size, len(record.layers)
    title = f"T ({size} x {size}) as {count} layers, the last acts first"
    rows = table(title, "layer", "kind", "block norm", "log-scales", "condition", left=("kind",))
    for place, layer in enumerate(record.layers, 1):
        low, high = layer.log_scale_range
        scales = "additive" if layer.additive else f"{low:.3g} ... {high:.3g}"
        rows.add_row(str(place), layer.kind, f"{layer.block_norm:.4g}", scales, f"{layer.condition:.4g}")
    return rows


def frontier_table(found: Any, shown: int) -> Table:
    """One row for each number of layers; where nothing was found the reason stands in its place."""
    heads = ("", "layers", "worst condition", "at least", "residual", "route", "seconds")
    rows = table("Depth against conditioning", *heads, left=("", "route"))
    for row in found.rows:
        if row.factors is None:
            rows.add_row("", str(row.layers), "", f"{row.lower_bound:.4g}", "", row.reason, "")
            continue
        route = row.route if row.first == found.rows[-1].first else f"{row.route}, {row.first} first"
        rows.add_row(
            "shown" if row.layers == shown else "",
            str(row.layers),
            f"{row.condition:.4g}",
            f"{row.lower_bound:.4g}",
            f"{row.residual_float64:.1e}",
            route,
            f"{row.seconds:.1f}",
        )
    return rows


def figures(made: Any) -> str:
    """Residuals, determinant and route in one line."""
    sign = "-" if (made.signs < 0).any() else "+"
    return (
        f"Largest condition {made.conditions.largest:.4g}; residual {made.residual.float64:.1e} in float64, "
        f"{made.residual.float32:.1e} in float32; log|det| {made.log_abs_det:.6g}, sign {sign}; route: {made.route}."
    )


@contextmanager
def shown_work(size: int, console: Console | None = None) -> Generator[Callable[[Any], None], None, None]:
    """Yields what `frontier` calls with its rows: a spinner on a terminal, otherwise one line for each row."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda row: say(console, str(row))
        return
    words = f"factoring {size} x {size}"
    with console.status(words) as status:
        yield lambda row: status.update(f"{words}, {row.layers} layers are done")
