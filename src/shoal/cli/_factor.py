"""`shoal factor`: a square matrix as few linear couplings, with the price in conditioning."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from msgspec.structs import replace

import shoal

from .._errors import InputError, NumericalFailure
from ._exit import exit_codes
from ._factor_summary import print_factorization, shown_work
from ._matrix import check_matrix_file, check_place, read_matrix
from ._parse import parse_choice

FEWEST, MOST = 5, 11
Layers = int | Literal["auto"] | None
KINDS: tuple[Literal["lower", "upper"], ...] = ("lower", "upper")


def factor(
    matrix: Annotated[
        Path,
        typer.Argument(
            metavar="MATRIX", help="A NPY, NPZ or CSV file with a square matrix.", show_default=False
        ),
    ],
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="5..11|auto",
            help="Number of layers, 6 for even size and 8 for odd by default; auto: the fewest within --max-condition.",
        ),
    ] = None,
    max_condition: Annotated[
        float | None,
        typer.Option(metavar="C", help="With --layers auto: largest condition number of a layer."),
    ] = None,
    first: Annotated[str, typer.Option(metavar="lower|upper", help="Kind of the leftmost layer.")] = "lower",
    kept: Annotated[
        str | None,
        typer.Option(
            metavar="0,3,5",
            help="Coordinates that lower layers keep, half of all; the first ones by default.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A .npz file for the factors.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .html file for the report with pictures.")
    ] = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Also look for the best condition number for 5 to 11 layers.")
    ] = False,
) -> None:
    """Write a matrix as a product of linear couplings: exact to rounding, and well conditioned.

    Exit codes: 0 done, 2 bad input, 3 no factorization within the tolerance or the budget, 130 interrupted.
    """
    with exit_codes():
        count = _count(layers, max_condition)
        kind, indices = parse_choice(first, "--first", KINDS), _indices(kept)
        check_matrix_file(matrix)
        for place, option, suffix in ((output, "-o", ".npz"), (report, "--report", ".html")):
            if place is not None:
                check_place(place, option, suffix, matrix)
        array = read_matrix(matrix)
        options = {"first": kind, "kept": indices}
        made, found = _computed(array, str(matrix), count, max_condition, options, frontier=frontier)
        if output is not None:
            made.save(output)
        if report is not None:
            named = {
                "matrix": matrix,
                "layers": layers,
                "max-condition": max_condition,
                "first": first,
                "kept": kept,
            }
            about = {"source": str(matrix), "command": _command(named, frontier)}
            rows = found and found.to_record()
            shoal.report.write_report(replace(made.to_record(), frontier=rows, **about), report)
        print_factorization(made, found)
        if output is not None:
            typer.echo(f"The factors are in {output}")
        if report is not None:
            typer.echo(f"The report lies at {report}")


def _computed(
    array: Any, label: str, count: Layers, budget: float | None, options: dict[str, Any], *, frontier: bool
) -> tuple[Any, Any]:
    """The factorization, from the frontier where that has it, and the frontier."""
    import numpy as np  # here and not above: `shoal --help` must not wait for it

    try:
        with shown_work(len(array) if array.ndim else 0) as show:
            found = shoal.linear.frontier(array, **options, progress=show) if frontier else None
            made = found and _from_frontier(found, count, budget, options["first"])
            return made or shoal.linear.factor(array, count, max_condition=budget, **options), found
    except np.linalg.LinAlgError as error:
        raise NumericalFailure(f"{label}: {error}.") from error
    except InputError as error:
        raise InputError(f"{label}: {error}") from error


def _from_frontier(found: Any, count: Layers, budget: float | None, first: str) -> Any:
    """None where the frontier has no such factorization: `factor` then says why."""
    if count == "auto":
        return found.within(budget)
    wanted = count or (6 if found.size % 2 == 0 else 8)
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


def _command(named: dict[str, Any], frontier: bool) -> str:
    """The command line, without the outputs."""
    words = ["shoal", "factor", str(named.pop("matrix"))]
    for name, value in named.items():
        if value is not None and (name, value) != ("first", "lower"):
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, *(["--frontier"] if frontier else [])])
