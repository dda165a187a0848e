"""Memory of the gradient of a residual layer's log-det: temporaries of the compiled program, in MiB.

    python -m speed.residual_memory [--out results/residual-memory.json]

One `Residual` layer, n = 8, hidden (64, 64), 500 rows, float32, CPU. `neumann`: `PowerSeries` with one probe, its gradient
from the Neumann series (Chen et al. 2019); `through_the_sum`: the same sum differentiated by JAX; then the two others.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from resume import RESULTS

from shoal._types import Scalar, Vector
from shoal.bijections import AbstractLogDet, ExactLogDet, Noise, PowerSeries, Residual, RussianRoulette
from shoal.records import system_info

TERMS, ROWS, DIM, HIDDEN = (2, 10, 50), 500, 8, (64, 64)


class ThroughTheSum(AbstractLogDet):
    """The truncated series with one probe, written as a scan."""

    noise: Noise
    terms: int = eqx.field(static=True)

    def check(self, lipschitz: float) -> None:
        """Serves always."""

    def log_det(self, function: Callable[[Vector], Vector], x: Vector) -> Scalar:
        """sum_k (-1)^{k+1} v . J^k v / k."""
        probe = jr.rademacher(self.noise.key_for(x), x.shape, x.dtype)

        def step(u, k):
            u = jax.jvp(function, (x,), (u,))[1]
            return u, (2.0 * (k % 2) - 1.0) / k * jnp.dot(u, probe)

        return jnp.sum(jax.lax.scan(step, probe, jnp.arange(1, self.terms + 1, dtype=x.dtype))[1])


def mebibytes(strategy: AbstractLogDet) -> float:
    """Temporaries of the program that computes the gradient to all parameters."""
    layer = Residual(DIM, hidden=HIDDEN, log_det=strategy, key=jr.key(0))
    free, rest = eqx.partition(layer, eqx.is_inexact_array)

    def loss(free, x):
        return jnp.sum(jax.vmap(eqx.combine(free, rest).inverse_and_log_det)(x)[1])

    analysis = jax.jit(jax.grad(loss)).lower(free, jnp.zeros((ROWS, DIM))).compile().memory_analysis()
    assert analysis is not None
    return round(analysis.temp_size_in_bytes / 2**20, 2)


def main() -> None:
    """Print the table and write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "residual-memory.json")
    out, noise = parser.parse_args().out, Noise(jr.key(0))
    rows = {
        "neumann": {m: mebibytes(PowerSeries(m, noise)) for m in TERMS},
        "through_the_sum": {m: mebibytes(ThroughTheSum(noise, m)) for m in TERMS},
        "roulette": mebibytes(RussianRoulette(noise)),
        "exact": mebibytes(ExactLogDet()),
    }
    print(json.dumps(rows, indent=1))
    what = "temporaries of the gradient of a residual layer's log-det, MiB, by number of terms"
    setting = {"rows": ROWS, "dim": DIM, "hidden": HIDDEN, "seed": 0, "dtype": "float32", "device": "cpu"}
    record = {"what": what, "setting": setting, "versions": system_info(), "mebibytes": rows}
    out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
