"""`shoal factor`: what it prints and writes against NumPy, every wrong input, and what it never loads."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import Result

import shoal
from shoal._errors import NumericalFailure
from shoal.cli._factor import print_factorization, shown_work
from shoal.theory.linear import Factorization

Run = Callable[..., Result]
START = "from shoal.cli import main; main()"
HEAVY = {"jax", "jaxlib", "equinox", "polars", "numpy", "altair"}
LISTED = f"""
import atexit, sys
atexit.register(lambda: print("loaded", *sorted({HEAVY} & set(sys.modules))))
{START}
"""


def matrix(n: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n))


def product(path: Path) -> np.ndarray:
    """The factors in a file, multiplied out by blocks."""
    with np.load(path, allow_pickle=False) as data:
        kept, n = [int(i) for i in data["kept"]], len(data["target"])
        order = [*kept, *(i for i in range(n) if i not in kept)]
        total, p = np.eye(n), len(kept)
        for i, kind in enumerate(json.loads(str(data["about"]))["kinds"]):
            moved, rest = (slice(p, n), slice(0, p)) if kind == "lower" else (slice(0, p), slice(p, n))
            m = np.eye(n)
            m[moved, rest], m[moved, moved] = data[f"block_{i}"], np.diag(np.exp(data[f"log_scale_{i}"]))
            total = total @ m
        out = np.empty_like(total)
        out[np.ix_(order, order)] = total
        return np.diag(data["signs"]) @ out


@pytest.mark.parametrize("name", ["m.npy", "m.npz", "m.csv", "header.csv", "semicolon.csv"])
def test_every_kind_of_file(shoal_command: Run, tmp_path: Path, name: str):
    t = matrix()
    lines = [",".join(map(repr, map(float, row))) for row in t]
    np.save(tmp_path / "m.npy", t)
    np.savez(tmp_path / "m.npz", t=t, other=np.arange(3))
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "header.csv").write_text("\n".join(["a,b,c,d", *lines]))
    (tmp_path / "semicolon.csv").write_text("\n".join(lines).replace(",", ";"))
    result = shoal_command("factor", name, "-o", "f.npz")
    assert result.exit_code == 0, result.output
    assert np.linalg.norm(product(tmp_path / "f.npz") - t) <= 1e-12 * np.linalg.norm(t)
    again = shoal_command("factor", "f.npz", "--layers", 11)  # the matrix that the factors are of
    assert again.exit_code == 0, again.output


def test_it_prints_what_it_found(shoal_command: Run, tmp_path: Path):
    t = matrix()
    t[0] *= -np.sign(np.linalg.det(t))
    np.save(tmp_path / "m.npy", t)
    result = shoal_command(
        "factor", "m.npy", "-o", "f.npz", "--kept", "3,1", "--first", "upper", "--layers", 7
    )
    assert result.exit_code == 0, result.output
    made = Factorization.load(tmp_path / "f.npz")
    assert made.kept == (3, 1)
    assert [layer.kind for layer in made.layers] == ["upper", "lower"] * 3 + ["upper"]
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "T (4 x 4) as 7 layers, the last acts first"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    for i, (row, layer) in enumerate(zip(rows, made.layers, strict=True), 1):
        assert row[:2] == [str(i), layer.kind]
        assert float(row[2]) == pytest.approx(np.linalg.norm(layer.block, 2), rel=1e-3)
        assert float(row[4]) == pytest.approx(np.linalg.cond(layer.matrix()), rel=1e-3)
    log_det = float(np.linalg.slogdet(t)[1])
    assert f"log|det| {log_det:.6g}, sign -; route: extended." in lines[-2]
    assert f"Largest condition {made.conditions.largest:.4g}; residual " in lines[-2]
    assert lines[-1] == "The factors are in f.npz"


def test_odd_sizes_have_six_layers_too_and_additive_ones_are_named(shoal_command: Run, tmp_path: Path):
    np.save(tmp_path / "m.npy", matrix(3))
    assert "as 6 layers" in shoal_command("factor", "m.npy").stdout
    np.save(tmp_path / "p.npy", np.eye(4)[[1, 0, 3, 2]])
    result = shoal_command("factor", "p.npy")
    assert result.stdout.count("additive") == 6
    assert "route: rotation." in result.stdout
    np.save(tmp_path / "one.npy", np.array([[-2.0]]))
    assert "sign -; route: scalar." in shoal_command("factor", "one.npy").stdout


def test_symplectic_matrices_have_five_layers_with_symmetric_blocks(shoal_command: Run, tmp_path: Path):
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    t = np.kron(turn, np.eye(2)) + np.kron([[1.0, 0.0], [0.0, 0.0]], np.diag([2.0, -3.0]))
    np.save(tmp_path / "m.npy", t)
    result = shoal_command("factor", "m.npy", "--group", "symplectic", "-o", "f.npz", "--report", "r.html")
    assert result.exit_code == 0, result.output
    assert "as 5 layers" in result.stdout
    assert "route: symplectic" in result.stdout
    assert np.linalg.norm(product(tmp_path / "f.npz") - t) <= 1e-12 * np.linalg.norm(t)
    with np.load(tmp_path / "f.npz") as data:
        assert all(np.array_equal(data[f"block_{i}"], data[f"block_{i}"].T) for i in range(5))


def test_auto_takes_the_fewest_layers_within_the_budget(shoal_command: Run, tmp_path: Path):
    np.save(tmp_path / "m.npy", matrix(2))
    result = shoal_command("factor", "m.npy", "--layers", "auto", "--max-condition", 3.5, "-o", "f.npz")
    assert result.exit_code == 0, result.output
    made = Factorization.load(tmp_path / "f.npz")
    assert made.conditions.largest <= 3.5
    result = shoal_command("factor", "m.npy", "--layers", "auto", "--max-condition", 1.0001, "-o", "g.npz")
    assert result.exit_code == 3
    assert result.stderr.startswith("Numerical failure: no number of layers up to 11 meets")
    assert {path.name for path in tmp_path.iterdir()} == {"m.npy", "f.npz"}


def test_frontier_and_report(shoal_command: Run, tmp_path: Path):
    np.save(tmp_path / "m.npy", matrix(3))
    result = shoal_command("factor", "m.npy", "--frontier", "--report", "r.html", "-o", "f.npz")
    assert result.exit_code == 0, result.output
    told = result.stderr.splitlines()
    assert [line.split()[0] for line in told] == ["5", "6", "7", "8", "9", "10", "11"]
    assert told[0].startswith(" 5 layers: condition ")
    made = Factorization.load(tmp_path / "f.npz")
    assert f"6 layers: condition {made.conditions.largest:.4g}, at least" in told[1]
    assert "│ shown │      6 │" in result.stdout
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<title>m.npy – shoal factor</title>" in page
    assert "<pre>shoal factor m.npy --frontier</pre>" in page
    assert "Depth against conditioning" in page
    assert result.stdout.splitlines()[-2:] == ["The factors are in f.npz", "The report lies at r.html"]
    np.save(tmp_path / "m.npy", np.array([[3.0]]))
    result = shoal_command("factor", "m.npy", "--frontier", "--layers", "auto", "--max-condition", 100)
    assert "as 5 layers" in result.stdout


def test_existing_outputs_are_replaced(shoal_command: Run, tmp_path: Path):
    np.save(tmp_path / "m.npy", matrix())
    (tmp_path / "f.npz").write_bytes(b"old")
    (tmp_path / "r.html").write_text("old")
    assert (
        shoal_command("factor", "m.npy", "-o", "f.npz", "--report", "r.html", "--layers", 11).exit_code == 0
    )
    assert Factorization.load(tmp_path / "f.npz").route == "svd"
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def write_inputs(folder: Path) -> None:
    np.save(folder / "m.npy", matrix())
    np.save(folder / "wide.npy", np.ones((2, 3)))
    np.save(folder / "flat.npy", np.ones(4))
    np.save(folder / "none.npy", np.ones((0, 0)))
    np.save(folder / "singular.npy", np.outer([1.0, 2, 3, 4], [1.0, 1, 1, 1]))
    np.save(folder / "nan.npy", np.where(np.arange(16).reshape(4, 4) == 6, np.nan, matrix()))
    np.save(folder / "complex.npy", matrix().astype(complex))
    np.save(folder / "words.npy", np.array([["a", "b"], ["c", "d"]]))
    np.save(folder / "objects.npy", np.array([[1, None], [2, 3]], dtype=object), allow_pickle=True)
    np.savez(folder / "two.npz", a=matrix(), b=matrix())
    np.savez(folder / "objects.npz", T=np.array([[1, None], [2, 3]], dtype=object))
    (folder / "torn.npy").write_bytes((folder / "m.npy").read_bytes()[:-9])
    (folder / "torn.npz").write_bytes((folder / "two.npz").read_bytes()[:200])
    (folder / "text.npy").write_text("1,2\n3,4\n")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "empty.csv").write_text("a,b\n")
    (folder / "cell.csv").write_text("1,2\n3,x\n")
    (folder / "ragged.csv").write_text("1,2\n3\n")
    (folder / "latin.csv").write_bytes(b"1,2\n\xe9,4\n")
    (folder / "m.xlsx").write_text("1,2\n3,4\n")
    (folder / "folder.npy").mkdir()


ERRORS: dict[str, tuple[list[str], str]] = {
    "missing": (["no.npy"], "no.npy does not exist"),
    "folder": (["folder.npy"], "folder.npy is a folder"),
    "suffix": (
        ["m.xlsx"],
        "m.xlsx has the suffix .xlsx: the format is read off the suffix, "
        "one of .npy, .npz, .csv, .tsv, .tab, .txt or .dat.",
    ),
    "not what it is called": (["text.npy"], "text.npy is not an NPY file"),
    "empty": (["empty.npy"], "empty.npy is empty"),
    "torn": (["torn.npy"], "torn.npy can not be read"),
    "torn archive": (["torn.npz"], "torn.npz can not be read"),
    "two arrays": (
        ["two.npz"],
        "two.npz must hold one two-dimensional array, or one called 'T'; found a (4, 4)",
    ),
    "objects": (["objects.npy"], "objects.npy holds an array of Python objects, which is not loaded"),
    "objects in an archive": (["objects.npz"], "objects.npz holds an array of Python objects"),
    "words": (["words.npy"], "words.npy: `T` must hold real numbers; got dtype <U1."),
    "complex": (["complex.npy"], "complex.npy: `T` must hold real numbers; got dtype complex128."),
    "not square": (["wide.npy"], "wide.npy: `T` must be a square matrix; got shape (2, 3)."),
    "flat": (["flat.npy"], "flat.npy: `T` must be a square matrix; got shape (4,)."),
    "no entry": (["none.npy"], "none.npy: `T` must be a square matrix; got shape (0, 0)."),
    "not finite": (["nan.npy"], "nan.npy: `T` must be finite; entry (1, 2) is nan."),
    "singular": (["singular.npy"], "numerical rank 1 of 4"),
    "cell": (["cell.csv"], "cell.csv, column 'c1', row 2: found the text 'x' where a number is needed"),
    "ragged": (["ragged.csv"], "ragged.csv, row 2: found 1 field where the first row has 2 columns"),
    "header only": (["empty.csv"], "empty.csv has columns but no rows"),
    "not a number": (
        ["latin.csv"],
        "latin.csv, column 'c0', row 2: found the text 'é' where a number is needed",
    ),
    "layers": (["m.npy", "--layers", "4"], "--layers '4' must be 5 ... 11 or auto."),
    "layers in words": (["m.npy", "--layers", "six"], "--layers 'six' must be 5 ... 11 or auto."),
    "auto alone": (["m.npy", "--layers", "auto"], "--layers auto and --max-condition C belong together"),
    "budget alone": (
        ["m.npy", "--max-condition", "9"],
        "--layers auto and --max-condition C belong together",
    ),
    "budget": (
        ["m.npy", "--layers", "auto", "--max-condition", "nan"],
        "--max-condition must be at least 1; got nan.",
    ),
    "not symplectic": (["m.npy", "--group", "symplectic"], "symplectic"),
    "first": (["m.npy", "--first", "left"], "--first is 'left'; it must be one of lower, upper."),
    "kept in words": (["m.npy", "--kept", "0,b"], "--kept '0,b' must be indices from 0, separated by commas"),
    "kept twice": (
        ["m.npy", "--kept", "1,1"],
        "m.npy: `kept` must hold 2 distinct indices in 0 ... 3; got (1, 1).",
    ),
    "output suffix": (
        ["m.npy", "-o", "f.npy"],
        "-o f.npy has the suffix .npy; name a file that ends in .npz.",
    ),
    "output folder": (["m.npy", "-o", "no/f.npz"], "-o no/f.npz can not be written: there is no folder no"),
    "onto itself": (["two.npz", "-o", "two.npz"], "-o two.npz is the input itself"),
    "report suffix": (
        ["m.npy", "--report", "r"],
        "--report r has no suffix; name a file that ends in .html.",
    ),
}


@pytest.mark.parametrize(("words", "expected"), ERRORS.values(), ids=ERRORS.keys())
@pytest.mark.parametrize("with_frontier", [False, True], ids=["plain", "frontier"])
def test_wrong_input(
    shoal_command: Run, tmp_path: Path, words: list[str], expected: str, with_frontier: bool
):
    write_inputs(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    extra = [] if "-o" in words else ["-o", "f.npz"]
    result = shoal_command("factor", *words, *extra, *(["--frontier"] if with_frontier else []))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_five_layers_that_do_not_exist(shoal_command: Run, tmp_path: Path):
    np.save(tmp_path / "m.npy", np.kron(np.eye(2), matrix(2)))
    result = shoal_command("factor", "m.npy", "--layers", 5)
    assert result.exit_code == 2
    assert "m.npy: five layers that start with a lower one need a block T12 of full rank" in result.stderr


def test_numerical_failure(shoal_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(*_: Any, **__: Any) -> None:
        raise NumericalFailure("the 6 layers found miss T.")

    np.save(tmp_path / "m.npy", matrix())
    monkeypatch.setattr(shoal.linear, "factor", failing)
    result = shoal_command("factor", "m.npy", "-o", "f.npz")
    assert result.exit_code == 3
    assert result.stderr == "Numerical failure: the 6 layers found miss T.\n"
    assert {path.name for path in tmp_path.iterdir()} == {"m.npy"}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LISTED, "factor", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--help"], []),
        (["m.npy", "-o", "f.txt"], []),
        (["m.npy", "--layers", "11", "--report", "r.html"], ["altair", "numpy", "polars"]),
    ],
)
def test_jax_is_never_loaded(tmp_path: Path, words: list[str], loaded: list[str]):
    write_inputs(tmp_path)
    done = run(*words)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].split()[1:] == loaded


def test_ctrl_c(tmp_path: Path):
    np.save(tmp_path / "m.npy", matrix(24))
    command = [sys.executable, "-c", START, "factor", "m.npy", "--frontier", "-o", "f.npz"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(" 5 layers: ")
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Interrupted: nothing was kept.\n"
    assert output == ""
    assert {path.name for path in tmp_path.iterdir()} == {"m.npy"}


def test_a_terminal_gets_a_spinner_that_leaves_nothing_but_tables():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=70)
    with shown_work(1, console) as show:
        found = shoal.linear.frontier(matrix(1), (5, 8), progress=show)
    assert "factoring 1 x 1, 8 layers are done" in text.getvalue()
    assert text.getvalue().endswith(
        "\x1b[?25h\r\x1b[1A\x1b[2K"
    )  # the cursor is back, the spinner's line is gone
    made = found.rows[0].factors
    assert made is not None
    text = io.StringIO()
    print_factorization(made, found, Console(file=text, force_terminal=True, width=70))
    *tables, last = (Text.from_ansi(line).plain for line in text.getvalue().splitlines())
    assert max(map(len, tables)) <= 70
    assert last.endswith("sign +; route: scalar.")
