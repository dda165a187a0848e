"""`shoal audit`: what it audits, prints and writes, every wrong input in one sentence, and what it never loads."""

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from typer.testing import Result

import shoal
from shoal.bijections import Chain, Standardize
from shoal.cli import _model
from shoal.cli._audit_summary import layers_table, print_audit
from shoal.cli._session import spinner
from shoal.conditioning import Audit
from shoal.distributions import Flow, StandardNormal
from shoal.records import AuditRecord, FitRecord, write_record
from shoal.records.fit import Decision, TableRecord
from tests.report.audits import broken, make_audit, make_layers, nothing, typed_audit
from tests.report.test_page import Parsed

Run = Callable[..., Result]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
COLUMNS = ("a", "b", "c")
MODULE = """
import jax.numpy as jnp

SCALE = jnp.array([8.0, 0.5, 1.0])


def forward(z):
    return SCALE * z


def inverse(x):
    return x / SCALE


class Whole:
    layers = ((forward, inverse),)

    def forward(self, z):
        return forward(z)

    def inverse(self, x):
        return inverse(x)


def make():
    return (forward, inverse)


def fails():
    raise KeyError("weights")


pair, whole, number = (forward, inverse), Whole(), 3
"""
ZUKO = """
import numpy as np
import torch
import zuko

torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.as_tensor(np.load("x.npy"), dtype=torch.float32)
flow = zuko.flows.MAF(3, transforms=2, hidden_features=(8,))
optimizer = torch.optim.Adam(flow.parameters(), lr=3e-2)
losses = []
for _ in range(30):
    loss = -flow().log_prob(x).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss.detach()))
first, last = losses[0], losses[-1]
"""
EPS = float(np.finfo(np.float64).eps)


def make(context: tuple[str, ...] | None = None) -> Flow:
    """A flow in units of its own, with weights that are not those of a start."""
    inner = shoal.flows.realnvp(jr.key(0), 3, 1, hidden=(8,), context_dim=len(context or ()))
    leaves, structure = jax.tree.flatten(inner.bijection)
    keys = jr.split(jr.key(1), len(leaves))
    moved = [
        leaf + 0.3 * jr.normal(key, leaf.shape) if leaf.dtype == np.float32 else leaf
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    last = Standardize(jax.numpy.array([1.0, -2.0, 300.0]), jax.numpy.array([0.5, 2.0, 50.0]))
    body = jax.tree.unflatten(structure, moved)
    return Flow(StandardNormal(3), Chain([body, last]), columns=COLUMNS, context_columns=context)


def rows(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)) * [0.5, 2, 50] + [1, -2, 300]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    frame = pl.DataFrame(rows(), schema=COLUMNS).select("c", id=pl.int_range(40), a="a", b="b")
    frame.write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


@pytest.fixture
def run_folder(tmp_path: Path) -> Flow:
    flow = make()
    shoal.save(flow, tmp_path / "run")
    return flow


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """A module of a name of its own in the current directory."""
    name = f"mine_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE)
    yield name
    sys.modules.pop(name, None)


class MadeUp(Audit):
    """An audit that measured nothing."""

    given: tuple[AuditRecord, int]

    def to_record(self, points: int = 1000) -> AuditRecord:
        assert points == 1000
        return self.given[0]

    def points_table(self) -> pl.DataFrame:
        return pl.DataFrame({"point": np.arange(self.given[1])})

    def layers_table(self) -> pl.DataFrame:
        return pl.DataFrame({"index": [0]})


class FakeAudit:
    """Stands for `shoal.conditioning.audit`; remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, np.ndarray, dict[str, Any]]] = []
        self.change: Callable[[dict[str, Any]], None] = lambda record: None

    def __call__(self, given: Any, x: Any, **options: Any) -> Any:
        self.calls.append((given, x, options))
        record = make_audit(points=len(x))
        self.change(record)
        made = object.__new__(MadeUp)
        object.__setattr__(made, "given", (typed_audit(record), len(x)))
        return made


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAudit:
    made = FakeAudit()
    monkeypatch.setattr(shoal.conditioning, "audit", made)
    return made


def test_a_run_at_a_table(shoal_command: Run, run_folder: Flow, table: Path, tmp_path: Path):
    result = shoal_command("audit", "run", "t.csv", "-o", "a.html", "--parquet", "p.parquet", "--points", 30)
    assert result.exit_code == 0, result.output
    assert "The report lies at a.html\nThe points are in p.parquet\n" in result.stdout
    points = pl.read_parquet(tmp_path / "p.parquet")
    picked = np.sort(np.random.default_rng(0).permutation(40)[:30])
    np.testing.assert_array_equal(points.select("x0", "x1", "x2").to_numpy(), rows()[picked])
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda v: v.astype("float64") if v.dtype == np.float32 else v, run_folder)
        z = np.asarray(wide.inverse(rows()[picked]))
        jacobian = np.asarray(jax.vmap(jax.jacfwd(lambda v: wide.bijection.forward(v, None)))(z))
    expected = np.linalg.cond(jacobian / np.array([0.5, 2.0, 50.0])[:, None])
    np.testing.assert_allclose(points["condition"], expected, rtol=1e-8)
    layers = pl.read_parquet(tmp_path / "p.layers.parquet")
    assert layers["name"].to_list() == ["Coupling(Affine)", "Standardize"]
    words = Parsed(tmp_path / "a.html").words
    assert "shoal audit run t.csv --points 30" in words
    worst = picked[int(points["condition"].arg_max())]  # type: ignore[arg-type]
    assert f"Coordinates {worst + 2} " in words  # the row of the file, whose first line is its header
    for line in layers["condition_max"]:
        assert f"{line:.3g}" in result.stdout


@pytest.mark.parametrize(
    ("own", "options", "limit"),
    [
        (3e5, (), 3e5),
        (3e5, ("--max-condition", 50), 50.0),
        (None, (), 1e4),
    ],
)
def test_a_run_is_judged_by_the_limit_that_it_was_chosen_with(
    shoal_command: Run, fake: FakeAudit, run_folder: Flow, table: Path, tmp_path: Path, own, options, limit
):
    decision = Decision(max_condition=own)
    made = FitRecord(data=TableRecord(columns=["a"]), rungs=[], decision=decision)
    write_record(made, tmp_path / "run/record.json")
    result = shoal_command("audit", "run", "t.csv", *options)
    assert result.exit_code == 0, result.output
    assert fake.calls[-1][2]["max_condition"] == limit
    (tmp_path / "run/record.json").write_text("{")
    result = shoal_command("audit", "run", "t.csv")
    assert result.exit_code == 2
    assert "record.json is not a record: line 1 is not JSON" in result.stderr


@pytest.mark.parametrize("name", ["pair", "whole", "make", "Whole"])
def test_an_object_of_a_module(
    shoal_command: Run, fake: FakeAudit, module: str, table: Path, tmp_path: Path, name: str
):
    pl.DataFrame(rows(), schema=COLUMNS).write_csv(tmp_path / "t.csv")
    result = shoal_command("audit", f"{module}:{name}", "t.csv")
    assert result.exit_code == 0, result.output
    ((whole, x, options),) = fake.calls
    np.testing.assert_array_equal(whole(np.ones(3, np.float32)), [8.0, 0.5, 1.0])
    np.testing.assert_array_equal(options["inverse"](np.array([8.0, 0.5, 1.0], np.float32)), 1.0)
    assert (options.get("layers") is None) == (name in ("pair", "make"))
    np.testing.assert_array_equal(x, rows())
    assert module not in "".join(sys.path)


def test_a_flow_of_zuko_by_its_adapter_and_not_bare(shoal_command: Run, tmp_path: Path):
    x = np.random.default_rng(5).normal(size=(60, 3)) @ np.array([[1.0, 0.4, 0], [0, 0.9, 0.3], [0, 0, 0.8]])
    pl.DataFrame(x, schema=COLUMNS).write_csv(tmp_path / "t.csv")
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "peers.py").write_text(ZUKO)
    result = shoal_command("audit", "peers:flow", "t.csv", "-o", "a.html", "--parquet", "p.parquet")
    peers: Any = sys.modules.pop("peers", None)
    assert result.exit_code == 0, result.output
    points = pl.read_parquet(tmp_path / "p.parquet")
    forward = peers.flow.double()().transform.inv
    z = torch.as_tensor(points.select("z0", "z1", "z2").to_numpy().copy())
    jacobian = torch.stack([torch.autograd.functional.jacobian(forward, row) for row in z]).detach().numpy()
    expected = np.linalg.cond(jacobian)
    assert expected.max() > 1.5
    assert peers.last < peers.first - 0.1  # it was trained
    np.testing.assert_allclose(points["condition"], expected, rtol=1e3 * EPS * expected.max())
    np.testing.assert_array_equal(points.select("x0", "x1", "x2").to_numpy(), x)
    layers = pl.read_parquet(tmp_path / "p.layers.parquet")
    assert "MaskedAutoregressiveTransform" in layers["name"].to_list()
    assert "shoal audit peers:flow t.csv" in Parsed(tmp_path / "a.html").words


@pytest.mark.long
def test_the_page_of_the_documentation(
    shoal_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    (tmp_path / "mine.py").write_text(blocks[0])
    x = np.random.default_rng(0).normal(size=(20, 2)) * [1000.0, 1.0]
    pl.DataFrame(x, schema=["u", "v"]).write_csv(tmp_path / "points.csv")
    result = shoal_command("audit", "mine:Flow", "points.csv", "-o", "audit.html", "--max-condition", 100)
    assert result.exit_code == 0, result.output
    assert re.search(r"worst │ 1 stretch +│ +1e\+03 ", result.stdout)
    assert "Framed: layer 1 stretch" in Parsed(tmp_path / "audit.html").words
    t = 1 / np.cosh(x[:, 0] / 1000) ** 2  # J = [[1000, 0], [t, 1]]
    expected = np.linalg.cond(
        np.stack([[1e3 * np.ones(20), np.zeros(20)], [t, np.ones(20)]]).transpose(2, 0, 1)
    )
    assert f"max {expected.max():.3g} (exact)" in result.stdout
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("mine", None)
    exec(compile(blocks[1] + blocks[2], "audit.md", "exec"), {})  # noqa: S102 - the example is the test
    sys.modules.pop("mine", None)
    assert re.search(r"^1 1\d{3}\.\d+ exact$", capsys.readouterr().out, re.MULTILINE)


def test_samples_of_the_model_where_no_data_is_given(
    shoal_command: Run, fake: FakeAudit, run_folder: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(_model, "ROWS", 64)
    result = shoal_command("audit", "run", "--points", 50, "--seed", 4, "-o", "a.html", "--attack", 0.5)
    assert result.exit_code == 0, result.output
    ((_, x, options),) = fake.calls
    np.testing.assert_array_equal(x, _model.sample(run_folder, 4, 50))
    assert options["attack_radius"] == 0.5
    assert options["seed"] == 4
    note = "No DATA was given: 50 samples of the model itself were audited"
    assert note in result.stdout
    assert note in Parsed(tmp_path / "a.html").words


def test_expected_coverage(shoal_command: Run, fake: FakeAudit, run_folder: Flow, tmp_path: Path):
    pl.DataFrame(rows(60), schema=COLUMNS).write_csv(tmp_path / "held.csv")
    result = shoal_command("audit", "run", "held.csv", "--coverage", "-o", "a.html")
    assert result.exit_code == 0, result.output
    said = "Expected coverage of 60 rows (99 %): 50% regions hold"
    assert said in " ".join(result.stdout.split())
    assert said in Parsed(tmp_path / "a.html").words
    assert "Expected coverage" not in shoal_command("audit", "run", "held.csv").stdout
    result = shoal_command("audit", "run", "--coverage")
    assert result.exit_code == 2
    assert "--coverage needs DATA: rows that the flow was not trained on." in result.stderr


def test_context_columns(shoal_command: Run, fake: FakeAudit, module: str, tmp_path: Path):
    shoal.save(make(("t",)), tmp_path / "run")
    frame = pl.DataFrame(rows(), schema=COLUMNS).with_columns(t=pl.int_range(40) / 40)
    frame.write_csv(tmp_path / "t.csv")
    assert shoal_command("audit", "run", "t.csv").exit_code == 0
    assert shoal_command("audit", f"{module}:pair", "t.csv", "--context", "t").exit_code == 0
    for _, x, options in fake.calls:
        assert x.shape == (40, 3)
        np.testing.assert_allclose(options["context"][:, 0], np.arange(40) / 40)
    result = shoal_command("audit", "run")
    assert result.exit_code == 2
    assert "The model in run is conditioned on t: give DATA with these columns." in result.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["gone", "t.csv"], "RUN gone does not exist"),
        (["run", "gone.csv"], "gone.csv does not exist"),
        (["run", "narrow.csv"], "b"),
        (["absent_module:flow", "t.csv"], "There is no module 'absent_module' in the current directory"),
        (["MODULE:flow", "t.csv"], "has no object 'flow'; write MODULE:OBJECT."),
        (["MODULE:number", "t.csv"], "number is a int; it must be a flow of Shoal"),
        (["MODULE:fails", "t.csv"], "was called without arguments and failed: KeyError: 'weights'."),
        (["MODULE:pair"], "needs DATA"),
        (["torn:flow", "t.csv"], "torn can not be imported: SyntaxError"),
        (["needy:flow", "t.csv"], "needy can not be imported: No module named 'absent_peer'"),
        (
            ["foreign:flow", "t.csv"],
            "`adapters.to_map` takes a zuko Flow or LazyTransform; got zuko.flows.F.",
        ),
        (["flows:flow", "t.csv"], "flows:flow maps 5 coordinates, but DATA has 4 columns."),
        (["run", "t.csv", "--context", "a"], "--context goes with MODULE:OBJECT"),
        (["run", "t.csv", "--points", "0"], "--points must be a whole number of at least 1"),
        (["run", "t.csv", "--attack", "-1"], "--attack must be a finite number above 0; got -1."),
        (["run", "t.csv", "--max-condition", "nan"], "--max-condition must be a finite number above 0"),
        (["run", "t.csv", "-o", "a.txt"], "-o a.txt has the suffix .txt; name a file that ends in .html."),
        (["run", "t.csv", "-o", "old.html"], "-o old.html exists already; name another file, or replace it"),
        (["run", "t.csv", "--parquet", "old.parquet"], "--parquet old.layers.parquet exists already"),
        (["run", "t.csv", "-o", "none/a.html"], "there is no folder none; make it first."),
    ],
)
def test_wrong_input_is_one_sentence(
    shoal_command: Run,
    fake: FakeAudit,
    run_folder: Flow,
    table: Path,
    module: str,
    tmp_path: Path,
    words: list[str],
    text: str,
):
    (tmp_path / "narrow.csv").write_text("a,c\n1,2\n3,4\n")
    (tmp_path / "old.html").write_text("old")
    (tmp_path / "old.layers.parquet").write_text("old")
    (tmp_path / "torn.py").write_text("def f(:\n")
    (tmp_path / "needy.py").write_text("import absent_peer\n")
    (tmp_path / "foreign.py").write_text("class F:\n    pass\nF.__module__ = 'zuko.flows'\nflow = F()\n")
    (tmp_path / "flows.py").write_text(
        "import jax, shoal\nflow = shoal.flows.realnvp(jax.random.key(0), 5, 2, hidden=(4,))\n"
    )
    before = sorted(p.name for p in tmp_path.iterdir())
    result = shoal_command("audit", *(word.replace("MODULE", module) for word in words))
    for name in ("torn", "needy", "foreign", "flows"):
        sys.modules.pop(name, None)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert fake.calls == []
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == before
    assert (tmp_path / "old.html").read_text() == "old"


def test_overwrite(shoal_command: Run, fake: FakeAudit, run_folder: Flow, table: Path, tmp_path: Path):
    (tmp_path / "a.html").write_text("old")
    assert shoal_command("audit", "run", "t.csv", "-o", "a.html", "--overwrite").exit_code == 0
    assert "shoal audit" in Parsed(tmp_path / "a.html").words


def test_what_a_map_can_not_do_is_one_sentence(
    shoal_command: Run, run_folder: Flow, table: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("This map has no inverse\nin closed form.")

    monkeypatch.setattr(shoal.conditioning, "audit", refuse)
    result = shoal_command("audit", "run", "t.csv")
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert (
        last == "Error: The map can not be audited on these points: This map has no inverse in closed form."
    )


def test_unhealthy_is_a_result_and_nothing_measured_is_not(
    shoal_command: Run, fake: FakeAudit, run_folder: Flow, table: Path, tmp_path: Path
):
    fake.change = broken
    result = shoal_command("audit", "run", "t.csv", "-o", "a.html")
    assert result.exit_code == 0, result.output
    assert "not finite: 17 of 200" in result.stdout
    assert "(unresolved: at 7 points above 1/eps)" in result.stdout
    fake.change = nothing
    result = shoal_command("audit", "run", "t.csv", "-o", "b.html")
    assert result.exit_code == 3
    assert "Numerical failure: nothing of run could be measured" in result.stderr
    assert (tmp_path / "b.html").is_file()


def test_the_terminal_lists_the_worst_of_many_layers():
    record = make_audit(count=100)
    record["diagnosis"]["worst_layer"] = 3
    record["layers"][3]["condition_worst"] = 1.0
    table = layers_table(typed_audit(record))
    assert table.row_count == 24
    places = [int(str(cell).split()[0]) for cell in table.columns[1]._cells]
    assert places == sorted(places)
    assert 3 in places
    others = [row["condition_worst"] for i, row in enumerate(record["layers"]) if i not in places]
    assert max(others) <= min(record["layers"][i]["condition_worst"] for i in places if i != 3)
    assert [str(c) for c in table.columns[0]._cells].index("worst") == places.index(3)


def test_kinds_are_printed_with_their_figures():
    out = io.StringIO()
    record = make_audit(dense=False) | {"layers": make_layers(4), "note": "[bold]as it is[/bold]"}
    print_audit(typed_audit(record), Console(file=out))
    text = out.getvalue()
    assert "max 9.88e+04 (lower bound); σ max 100 (lower bound), σ min 0.01 (upper bound)" in text
    assert "[bold]as it is[/bold]" in text
    assert "Attack within 0.5: round trip 2e-06 -> 0.0044, stretch 12 -> 777 (lower bound)." in text


def test_the_terminal_shows_that_it_works():
    for terminal in (True, False):
        out = io.StringIO()
        with spinner("auditing", line=True, console=Console(file=out, force_terminal=terminal, width=80)):
            time.sleep(0.2 if terminal else 0)
        assert "auditing" in out.getvalue()


def test_wrong_input_is_told_before_jax_loads(tmp_path: Path):
    code = "import atexit, sys\natexit.register(lambda: print('jax' in sys.modules))\nfrom shoal.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", "gone", "t.csv"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == "False\n"


def test_interrupt_leaves_nothing(table: Path, tmp_path: Path):
    (tmp_path / "slow.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    start = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom shoal.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "audit", "slow:flow", "t.csv", "-o", "a.html"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"Interrupted: nothing was kept\.", said)
    assert not (tmp_path / "a.html").exists()
