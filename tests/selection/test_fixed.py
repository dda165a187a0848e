"""A depth that is given: which front and family are kept, whose time it is, Ctrl-C."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shoal.selection import _fixed
from shoal.selection._fixed import fit_depth
from shoal.tables import as_table

GIVEN: dict[str, Any] = {
    "fronts": ("gaussian", "marginals"),
    "seed": 0,
    "parts": (0.8, 0.2, 0.0),
    "hidden": (8,),
    "settings": {"max_epochs": 2},
}


def table():
    z = np.random.default_rng(0).normal(size=(300, 2))
    return as_table(np.stack([z[:, 0], 0.9 * z[:, 0] + 0.1 * z[:, 1]], axis=1))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, float | None]]:
    """What would be trained: the front, the family and its seconds; the result is the front, moved by 0.1 nats for nice."""
    seen: list[tuple[str, str, float | None]] = []

    def train(rung, front, prepared, options, *, before, time_limit, progress):
        seen.append((rung.front, rung.family.name, time_limit))
        better = 0.1 if rung.family.name == "nice" else 0.0
        status = "interrupted" if rung.family.name == "maf" else "finished"
        rung.results = [SimpleNamespace(status=status)]
        if rung.family.name != "iaf":  # stands for one that has no whole epoch
            rung.flows, rung.log_likelihoods = [front.flow()], [front.validation + better]

    monkeypatch.setattr(_fixed, "train", train)
    return seen


def test_the_likeliest_front_and_family_are_kept(trained) -> None:
    done = fit_depth(table(), 3, families=("realnvp", "nice", "iaf"), time_limit=None, **GIVEN)
    assert trained == [("gaussian", name, None) for name in ("realnvp", "nice", "iaf")]
    assert (done.depth, done.interrupted) == (3, False)


def test_families_share_the_time(trained) -> None:
    fit_depth(table(), 1, families=("realnvp", "nice"), time_limit=100.0, **GIVEN)
    (_, _, first), (_, _, second) = trained
    assert first is not None
    assert second is not None
    assert 40 < first < 50
    assert second == pytest.approx(2 * first, rel=0.05)  # the first one's half, which it did not need, too


def test_ctrl_c_ends_it_with_what_is_done(trained) -> None:
    done = fit_depth(table(), 2, families=("nice", "maf", "realnvp"), time_limit=None, **GIVEN)
    assert [name for _, name, _ in trained] == ["nice", "maf"]
    assert (done.depth, done.interrupted) == (2, True)


def test_the_front_stands_in_where_no_training_came_to_an_epoch(trained) -> None:
    done = fit_depth(table(), 2, families=("iaf",), time_limit=None, **GIVEN)
    assert (done.depth, done.interrupted) == (0, False)
    alone = fit_depth(table(), 0, families=("nice",), time_limit=None, **GIVEN)
    assert [name for _, name, _ in trained] == ["iaf"]
    x = table().values
    assert (np.asarray(alone.flow.log_prob(x)) == np.asarray(done.flow.log_prob(x))).all()
