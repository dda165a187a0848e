"""The leaderboard's runner: it goes on where it stopped, keeps what fails, and stores what paired errors need."""

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Bench = dict[str, ModuleType]


def options(folder: Path, *words: str) -> list[str]:
    return ["run", "--folder", str(folder), "--tables", "mixture-2", *words]


@pytest.fixture(scope="module")
def ran(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cell of the cheapest arm, by the command."""
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", options(folder, "--arms", "gaussian"))
        bench["run"].main()
    return folder


def test_a_cell_is_stored_with_its_log_likelihoods(bench: Bench, ran: Path) -> None:
    results, known = bench["results"], bench["known"]
    row = results.cells("gaussian", ran)["mixture-2/0/120"]
    scores = results.scores("gaussian", ran)["mixture-2/0/120"]
    split, truth = known.known_split("mixture-2", 0)
    expected = bench["arms.gaussian"].train("gaussian", split.train, 1.0, 0).log_prob(split.test)
    assert row["status"] == "ok"
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(row["mean"], expected.mean(), rtol=1e-10)
    np.testing.assert_allclose(row["kl"]["mean"], (truth - expected).mean(), rtol=1e-8)
    assert row["sample"]["rows"] == 10_000


def test_a_run_goes_on_where_it_stopped(
    bench: Bench, ran: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (ran / "gaussian.json").read_bytes()
    monkeypatch.setattr(bench["run"], "compute", lambda *_: pytest.fail("a cell was run again"))
    monkeypatch.setattr("sys.argv", options(ran, "--arms", "gaussian"))
    bench["run"].main()
    assert (ran / "gaussian.json").read_bytes() == before
    monkeypatch.setattr("sys.argv", options(ran, "--arms", "gaussian,kde", "--list"))
    bench["run"].main()
    assert capsys.readouterr().out.splitlines() == ["kde mixture-2/0/120", "1 cells, 0.0 hours of budget"]


def test_what_fails_is_kept_with_its_message_and_done_again_when_asked(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column of one value: the covariance has no factor."""
    run, results = bench["run"], bench["results"]
    parts = bench["prepare"].Split(np.ones((20, 2)), np.ones((5, 2)))
    monkeypatch.setattr(run, "prepared", lambda table, number: (parts, None))
    cell = run.Cell("gaussian", "flat", 0, 120.0)
    run.run([cell], 0, tmp_path)
    row = results.cells("gaussian", tmp_path)[cell.key]
    assert row["status"] == "failed"
    assert row["message"].startswith("numpy.linalg.LinAlgError: ")
    assert results.scores("gaussian", tmp_path) == {}
    assert run.todo([cell], 0, False, tmp_path) == []
    assert run.todo([cell], 0, True, tmp_path) == [cell]
    assert run.todo([cell], 1, False, tmp_path) == [cell]


def test_a_cell_that_takes_too_long_is_ended(bench: Bench, tmp_path: Path) -> None:
    process, long = bench["process"], [sys.executable, "-c", "import time; time.sleep(60)"]
    assert process.call(long, None, 0.5, str(tmp_path), tmp_path / "stop")[0] is None
    (tmp_path / "stop").touch()
    began = time.monotonic()
    assert process.call(long, None, 60.0, str(tmp_path), tmp_path / "stop")[0] is None
    assert time.monotonic() - began < 30


def test_cells_at_work_have_cores_of_their_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = bench["process"]
    monkeypatch.setattr(process.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(process.os, "sched_getaffinity", lambda _: {3, 5})
    with process.own_core() as one:
        with process.own_core() as other:
            assert (one, other) == (3, 5)
        with process.own_core() as again:
            assert again == 5


def test_cells_side_by_side_are_stored_as_one_after_the_other(
    bench: Bench, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, results = bench["run"], bench["results"]
    with ThreadPoolExecutor(2) as pool:
        run.run([run.Cell("gaussian", "mixture-2", 0, 120.0)], 0, tmp_path, executor=pool)
    assert "ok" in capsys.readouterr().out
    scores = [results.scores("gaussian", folder)["mixture-2/0/120"] for folder in (ran, tmp_path)]
    np.testing.assert_array_equal(*scores)
    assert {path.name for path in tmp_path.iterdir()} == {"gaussian.json", "gaussian.npz"}


def test_paired_errors_are_those_of_the_differences(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_000).astype(np.float32)
    mean, error = bench["results"].paired(a + 1, a)
    np.testing.assert_allclose([mean, error], [1, 0], atol=1e-6)


def test_the_plan_has_both_budgets_and_splits(bench: Bench) -> None:
    kinds = Counter(cell[1:] for cell in bench["run"].plan())
    assert kinds == {(0, 120.0): 29, (1, 120.0): 8, (0, 600.0): 8}
