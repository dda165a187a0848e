"""Every bad input is one sentence, raised before anything is compiled."""

import math
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from shoal import flows
from shoal._errors import InputError
from shoal.distributions import Flow
from shoal.training import fit
from tests.training.cases import TRAIN, VALID, compilations, scales, settled

KEY = jax.random.key(0)
CONTEXT = np.zeros((640, 1), np.float32)


def changed(row: int, column: int, value: float) -> np.ndarray:
    table = TRAIN.astype(np.float64)
    table[row, column] = value
    return table


def weights(row: int, value: float) -> np.ndarray:
    values = np.ones(640)
    values[row] = value
    return values


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "1-D": ({"data": TRAIN[:, 0]}, r"`data` has shape \(640,\); pass a table of shape \(rows, columns\)"),
    "text": ({"data": np.array([["a", "b"]])}, "`data` has dtype <U1; pass real numbers"),
    "complex": ({"data": TRAIN + 0j}, "`data` has dtype complex64; pass real numbers"),
    "object": ({"data": np.array([[None, 1]])}, "`data` has dtype object; pass real numbers"),
    "no rows": ({"data": TRAIN[:0]}, "`data` has no rows"),
    "columns": ({"data": np.ones((5, 3))}, r"`data` has 3 columns but the flow has shape \(2,\)"),
    "nan": ({"data": changed(7, 1, math.nan)}, "`data` is nan in float32 at row 7, column 1"),
    "inf": ({"data": changed(0, 0, -math.inf)}, "`data` is -inf in float32 at row 0, column 0"),
    "overflow": ({"data": changed(3, 0, 1e39)}, "`data` is inf in float32 at row 3, column 0"),
    "validation columns": ({"validation": np.ones((5, 3))}, "`validation` has 3 columns but `data` has 2"),
    "validation nan": ({"validation": VALID * np.nan}, "`validation` is nan in float32 at row 0, column 0"),
    "no validation": (
        {"validation_weights": np.ones(3)},
        "`validation_weights` was given without `validation`",
    ),
    "context rows": ({"context": CONTEXT[1:]}, "`context` has 639 rows but `data` has 640"),
    "context alone": (
        {"context": CONTEXT, "validation": VALID},
        "`context` and `validation_context` go together",
    ),
    "context shape": ({"context": CONTEXT[:, 0]}, r"`context` has shape \(640,\)"),
    "weights shape": ({"weights": CONTEXT}, r"`weights` has shape \(640, 1\)"),
    "weights negative": ({"weights": weights(3, -1.0)}, r"`weights` is -1\.0 at row 3"),
    "weights nan": ({"weights": weights(5, math.nan)}, "`weights` is nan at row 5"),
    "weights zero": ({"weights": np.zeros(640)}, "`weights` is zero in every row"),
    "batch size": ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1; got 0"),
    "epochs": ({"max_epochs": -1}, "`max_epochs` must be a whole number of at least 1; got -1"),
    "patience": ({"patience": 0}, "`patience` must be a whole number"),
    "rollbacks": ({"max_rollbacks": 0}, "`max_rollbacks` must be a whole number"),
    "rate": ({"learning_rate": -1e-3}, "`learning_rate` must be a finite number above 0; got -0.001"),
    "rate nan": ({"learning_rate": math.nan}, "`learning_rate` must be a finite number above 0; got nan"),
    "clip": ({"clip_norm": 0.0}, "`clip_norm` must be a finite number above 0"),
    "limit": ({"time_limit": 0.0}, "`time_limit` must be a finite number above 0"),
    "warm-up": ({"warmup_fraction": 1.0}, "`warmup_fraction` must be at least 0 and below 1"),
    "decay": ({"weight_decay": -0.1}, "`weight_decay` must be a finite number of at least 0; got -0.1"),
    "averaging": ({"averaging": 1.0}, "`averaging` must be at least 0 and below 1; got 1.0"),
    "often": ({"checkpoint_seconds": 0.0}, "`checkpoint_seconds` must be a finite number above 0"),
    "resume": ({"resume": True}, "`resume=True` needs the `folder`"),
    "folder": ({"folder": Path(__file__)}, "which is a file; name a folder"),
    "keys": ({"key": jax.random.split(KEY, 2)}, "`key` must be one JAX random key; got 2 of them"),
    "not a key": ({"key": jnp.ones(3)}, r"`key` must be one JAX random key; got an array of shape \(3,\)"),
    "no parameters": ({"flow": threading}, "`flow` is a module without `log_prob`"),
}


@pytest.mark.parametrize(("changes", "message"), CASES.values(), ids=CASES.keys())
def test_bad_input(changes: dict[str, Any], message: str):
    compiled = compilations()
    with pytest.raises(InputError, match=message) as caught:
        fit(**settled(**({"flow": scales(), "data": TRAIN, "key": KEY} | changes)))
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert compilations() == compiled


def test_a_flow_that_needs_context():
    flow = flows.nice(jax.random.key(0), 2, 1, hidden=(4,), context_dim=2)
    with pytest.raises(InputError, match="needs a `context` with 2 columns; none was given"):
        fit(flow, TRAIN, key=KEY)
    with pytest.raises(InputError, match="needs a `context` with 2 columns; got 1 columns"):
        fit(flow, TRAIN, context=CONTEXT, key=KEY)


def test_a_context_that_the_flow_would_ignore():
    with pytest.raises(
        InputError, match="`context` was given but the flow has none; build it with `context_dim`"
    ):
        fit(scales(), TRAIN, context=CONTEXT, key=KEY)


def test_nothing_to_train():
    class Constant:
        def log_prob(self, x, context=None):
            return jnp.zeros(len(x))

    with pytest.raises(InputError, match="`flow` is a Constant without trainable arrays"):
        fit(Constant(), TRAIN, key=KEY)


def test_missing_column_of_a_data_frame():
    named = Flow(scales().base, scales().bijection, columns=("a", "b"))
    with pytest.raises(InputError, match="`data` has no column 'b'; it has a, c"):
        fit(named, pl.DataFrame({"a": [1.0], "c": [2.0]}), key=KEY)
