"""Penalties: their values by closed forms, when they act, what the history shows, and resuming bit for bit."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal import flows
from shoal._types import Key, Scalar
from shoal.distributions import GaussianPadding, Mixture, Padded
from shoal.training import AbstractPenalty, FitResult, JacobianPenalty, fit
from shoal.training._data import Rows
from shoal.training._losses import due
from tests.training.cases import TRAIN, VALID, chunks_of, fragile, realnvp, same_bits, scales, settled, short

KEY = jax.random.key(5)
ROWS = Rows(jnp.asarray(TRAIN[:32]), None, None)
WIDE = (4.0 * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)


def scaled(log_scale: float) -> Any:
    """x = exp(log_scale) z in every coordinate: |J v| is the scale whatever v is."""
    return eqx.tree_at(lambda f: f.bijection.bijections[-1].a, scales(), jnp.full(2, log_scale))


def value_of(penalty: JacobianPenalty, flow: Any, rows: Rows = ROWS) -> float:
    return float(eqx.filter_jit(lambda f, r: penalty.value(f, r, KEY))(flow, rows))


@dataclass(frozen=True)
class NotFinite(AbstractPenalty):
    every: int = 1

    def value(self, flow: Any, rows: Rows, key: Key) -> Scalar:
        return jnp.full((), jnp.inf, rows.x.dtype)


@pytest.mark.parametrize("log_scale", [0.0, 1.0, -1.5])
def test_the_value_of_a_scaling_is_known(log_scale: float):
    found = value_of(JacobianPenalty(0.5), scaled(log_scale))
    wanted = 0.5 * (np.exp(2 * log_scale) + np.exp(-2 * log_scale))
    eps = float(jnp.finfo(jnp.float32).eps)
    assert abs(found - wanted) <= 16 * eps * wanted


def test_weights_weight_the_rows():
    x = jnp.asarray(TRAIN[:4])
    weighted = Rows(x, None, jnp.asarray([2.0, 2.0, 0.0, 0.0]))
    penalty, flow = JacobianPenalty(1.0), realnvp()
    value = value_of(penalty, flow, weighted)
    assert value == pytest.approx(2.0, rel=1e-5)  # the identity stretches by 1 both ways, weights have mean 1


def test_a_padded_flow_is_penalised_with_its_padding():
    joint = flows.realnvp(KEY, 3, 2, hidden=(4,))
    padded = Padded(joint, GaussianPadding(1), key=KEY)
    assert value_of(JacobianPenalty(1.0), padded) == pytest.approx(2.0, rel=1e-5)


def test_only_every_kth_step_is_penalised():
    penalty = JacobianPenalty(1.0, every=3)
    term = jax.jit(lambda i: due(penalty, scales(), ROWS, i, KEY))
    found = [float(term(jnp.asarray(i))) for i in range(7)]
    assert [v > 1.9 for v in found] == [True, False, False, True, False, False, True]
    assert [v == 0.0 for v in found] == [False, True, True, False, True, True, False]


def test_it_holds_the_scale_back_and_the_history_shows_the_likelihood():
    """2 L + 16 exp(-2 L) + 10 (exp(2 L) + exp(-2 L)) is least where 20 u^2 + 2 u = 52, u = exp(2 L)."""
    settings = short(learning_rate=0.05, max_epochs=12)
    free = fit(scales(), WIDE, key=KEY, settings=settings)
    held = fit(scales(), WIDE, key=KEY, settings=replace(settings, penalty=JacobianPenalty(10.0, every=1)))
    log_scales = [float(np.mean(sum(b.a for b in r.flow.bijection.bijections))) for r in (free, held)]
    assert log_scales[0] == pytest.approx(np.log(4.0), abs=0.1)
    assert log_scales[1] == pytest.approx(0.5 * np.log((4164**0.5 - 2.0) / 40.0), abs=0.05)
    start = -float(np.mean(scales().log_prob(WIDE)))
    first = fit(
        scales(),
        WIDE,
        key=KEY,
        settings=short(max_epochs=1, learning_rate=1e-9, penalty=JacobianPenalty(10.0, every=1)),
    )
    assert -first.history[0].train == pytest.approx(start, rel=1e-5)


def run(folder: Path | None = None, *, epochs: int | None = None, **changes: Any) -> FitResult:
    stop = threading.Event()

    def listen(event: dict) -> None:
        if event["epoch"] == epochs:
            stop.set()

    settings: dict[str, Any] = {
        "batch_size": 64,
        "max_epochs": 6,
        "learning_rate": 0.2,
        "warmup_fraction": 0.0,
        "checkpoint_seconds": 1e-6,
        "penalty": JacobianPenalty(1e-2, every=4),
        "validation": VALID,
        "key": KEY,
        "folder": folder,
        "stop": stop,
        "progress": listen,
    }
    return fit(fragile(0.3), TRAIN, **settled(**(settings | changes)))


@pytest.fixture(scope="module")
def whole() -> FitResult:
    return run()


def test_an_interrupted_run_goes_on_bit_for_bit(whole: FitResult, tmp_path: Path):
    assert run(tmp_path, epochs=2).status == "interrupted"
    assert same_bits(whole, run(tmp_path, resume=True))


def test_the_cut_into_chunks_changes_nothing(whole: FitResult):
    with chunks_of([3, 1, 5]):
        assert same_bits(whole, run())


def test_the_penalty_changes_the_run(whole: FitResult):
    assert not same_bits(whole, run(penalty=None))
    assert not same_bits(whole, run(penalty=JacobianPenalty(1e-2, every=5)))


def test_another_penalty_is_another_run(tmp_path: Path):
    run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="another run: `penalty`"):
        run(tmp_path, resume=True, penalty=None)


def test_a_penalty_that_is_not_finite_is_named():
    result = fit(scales(), TRAIN, key=KEY, settings=short(penalty=NotFinite(), max_rollbacks=2))
    assert result.status == "diverged"
    assert [r.layer for r in result.rollbacks] == ["the penalty"] * 2


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: short(penalty=1e-4), r"`penalty` must be a penalty such as"),
        (
            lambda: fit(
                Mixture(jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((2, 2))),
                TRAIN,
                key=KEY,
                settings=short(penalty=JacobianPenalty()),
            ),
            "needs a flow with a bijection",
        ),
        (lambda: JacobianPenalty(0.0), "`coefficient` must be a finite number above 0"),
        (lambda: JacobianPenalty(every=0), "`every` must be a whole number of at least 1"),
    ],
    ids=["number", "mixture", "coefficient", "every"],
)
def test_errors(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make()
