"""Files as people write them, on the command line: what is said about them, exit codes, and printed commands that work."""

import gzip
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

Run = Callable[..., Result]
ROWS = np.random.default_rng(3).normal([5, 20, -3], 1, (150, 3))
LINES = [";".join(f"{value:.2f}" for value in row).replace(".", ",") for row in ROWS]


def test_what_was_done_while_reading_is_said_on_stderr(shoal_command: Run):
    Path("t.csv").write_text("\n".join(["# by me", "a;b;c", *LINES]))
    result = shoal_command("advise", "t.csv")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(
        "t.csv: cells are separated by ';'\nt.csv: 1 comment line above the header skipped\n"
        "t.csv: numbers of columns 'a', 'b', 'c' have decimal commas: "
    )


def test_a_packed_file_without_a_header_keeps_row_1(shoal_command: Run):
    rows = [line.replace(",", ".").replace(";", ",") for line in LINES]
    rows[0] = rows[0].rpartition(",")[0] + ",?"
    Path("t.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    result = shoal_command("advise", "t.csv.gz")
    assert result.exit_code == 0, result.output
    assert "row 1 holds data, so there is no header" in result.stderr
    assert "c2: a number: log-density in its unit" in result.stdout
    assert "the 149 of 150 rows that hold a number" in result.stdout


@pytest.mark.parametrize("context", [[], ["--context", "b"]], ids=["plain", "context"])
def test_the_printed_command_does_not_model_bad_weights(shoal_command: Run, context: list[str]):
    weights = np.where(np.arange(150) % 5 == 0, -0.4, 1.3)
    rows = [f"{a:.4f},{b:.4f},{w}" for (a, b, _), w in zip(ROWS, weights, strict=True)]
    Path("t.csv").write_text("\n".join(["a,b,w", *rows]))
    result = shoal_command("advise", "t.csv", "--weights", "w", *context)
    assert result.exit_code == 2
    assert "column 'w', row 2: found the weight -0.4" in result.stderr
    command = shlex.split(result.stderr.split("`")[1])
    assert command == ["shoal", "advise", "t.csv", "--drop", "w", *context]
    assert shoal_command(*command[1:]).exit_code == 0


@pytest.mark.parametrize("name", ["advise", "fit"])
def test_a_column_of_identifiers_is_left_out_and_said(shoal_command: Run, ladder: Any, name: str):
    rows = [f"{1582218195625938945 + i},{a:.4f},{b:.4f}" for i, (a, b, _) in enumerate(ROWS)]
    Path("t.csv").write_text("\n".join(["id,a,b", *rows]))
    result = shoal_command(name, "t.csv", *(["--out", "run"] if name == "fit" else []))
    assert result.exit_code == 0, result.output
    assert "id: an identifier, left out: its values do not repeat\n" in result.stdout
    assert all(table.names == ("a", "b") for table, _ in ladder.calls)


def test_a_matrix_with_a_typing_error_is_not_taken_for_one_with_a_header(shoal_command: Run):
    Path("m.csv").write_text("1.0,O.5\n0.5,2\n0.1,1\n")
    result = shoal_command("factor", "m.csv")
    assert result.exit_code == 2
    assert "m.csv, column 'c1', row 1: found the text 'O.5' where a number is needed" in result.stderr
    Path("m.csv").write_text("1,5;0,5\n0,5;2\n")
    result = shoal_command("factor", "m.csv")
    assert result.exit_code == 0, result.output
    assert "m.csv: numbers of columns 'c0', 'c1' have decimal commas: '1,5' was read as 1.5" in result.stderr


@pytest.mark.parametrize("name", ["advise", "fit"])
@pytest.mark.parametrize("role", ["weights", "context"])
def test_kinds_are_of_modelled_columns(shoal_command: Run, name: str, role: str):
    Path("t.csv").write_text("\n".join(["a,b,w", *(f"{a:.4f},{b:.4f},1.5" for a, b, _ in ROWS)]))
    words = ["--kind", "w=category", f"--{role}", "w", *(["--out", "run"] if name == "fit" else [])]
    result = shoal_command(name, "t.csv", *words)
    assert result.exit_code == 2
    assert f"for column 'w', which is not modelled but named by --{role}; leave that kind out." in " ".join(
        result.stderr.split()
    )
    assert not Path("run").exists()


def test_advice_leaves_out_what_a_fit_refuses(shoal_command: Run, ladder: Any):
    """A function of another column, and a product of two others."""
    rows = [f"{a},{np.exp(a):.15g},{b},{a * b:.15g}" for a, b, _ in ROWS.round(4)]
    Path("t.csv").write_text("\n".join(["a,grown,b,area", *rows]))
    result = shoal_command("advise", "t.csv")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "Column 'grown' follows from 'a', as a function of it, so that there is no joint density" in said
    assert "Column 'area' is a * b" in said
    command = shlex.split(said.split("To confirm: ")[1])
    assert command[command.index("--drop") + 1] == "grown,area"
    assert shoal_command(*command[1:]).exit_code == 0
    assert shoal_command("fit", "t.csv", "--out", "other").exit_code == 2
