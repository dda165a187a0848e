"""Writes results/next-layer.json: what `next_layer` foretells of one more coupling, and what really adding it gains.

    python -m next_layer [--fresh] [TABLE ...]

The 12 tables of the leaderboard with the most rows, 20,000 at most: half of the rows train, a tenth validate, a fifth are
what `next_layer` measures, and on a fifth the gains are measured. The flow is RealNVP of 2 layers. `next_layer` is asked
twice: with the training rows to fit to, and with nothing but its own rows. Then a coupling with a net of its own is added
next to the latent, with the half that `next_layer` names, and trained: alone (`gain_alone`, what the theorem speaks of),
and together with the others (`gain_together`, over the old flow that was trained on for as many steps).
"""

import sys
import time
from typing import Any

import jax.random as jr
import numpy as np
from resume import RESULTS, Record
from tables.prepare import split
from tables.tables import drawn, rows_of

from shoal.bijections import Affine, Chain, Partition, dense_coupling
from shoal.conditioning import next_layer
from shoal.distributions import Flow, StandardNormal
from shoal.flows import realnvp
from shoal.records import system_info
from shoal.training import Settings, fit

PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax")
TABLES, MOST_ROWS, DEPTH, BATCH, SEED = 12, 20_000, 2, 256, 19
STEPS, LAYER_STEPS, RATE, LAYER_RATE, WIDTHS = 1000, 1500, 3e-3, 5e-3, (128, 128)


def chosen() -> list[str]:
    """The tables with the most rows."""
    tables = drawn()["tables"]
    return sorted(tables, key=lambda name: -tables[name]["rows"])[:TABLES]


def trained(flow: Flow, train: np.ndarray, validation: np.ndarray, steps: int, rate: float) -> Flow:
    """The flow after so many steps, with the weights that are best on the validation rows."""
    epochs = max(1, round(steps / max(1, len(train) // BATCH)))
    settings = Settings(batch_size=BATCH, max_epochs=epochs, learning_rate=rate, patience=None)
    return fit(flow, train, key=jr.key(SEED), validation=validation, settings=settings).flow


def gain(better: Flow, flow: Flow, test: np.ndarray) -> dict[str, float]:
    """Mean difference of log p on the test rows, and its standard error."""
    apart = np.asarray(better.log_prob(test), np.float64) - np.asarray(flow.log_prob(test), np.float64)
    return {"mean": float(apart.mean()), "error": float(apart.std(ddof=1) / len(apart) ** 0.5)}


def measured(name: str) -> dict[str, Any]:
    """The row of one table."""
    began = time.perf_counter()
    parts = split(name, rows_of(name)[:MOST_ROWS], 0)
    ends = np.cumsum([5 * len(parts.train) // 8, len(parts.train) // 8])
    train, validation, held = np.split(parts.train, ends)
    n = train.shape[1]
    flow = trained(realnvp(jr.key(SEED), n, DEPTH), train, validation, STEPS, RATE)
    asked = time.perf_counter()
    fitted, alone = next_layer(flow, held, training=train), next_layer(flow, held)
    seconds = time.perf_counter() - asked
    partition, key = Partition(n, fitted.kept), jr.key(SEED + 1)
    layer = dense_coupling(partition, Affine(), hidden=WIDTHS, activation="gelu", key=key)
    latents = [np.asarray(flow.inverse(rows), np.float64) for rows in (train, validation)]
    single = trained(Flow(StandardNormal(n), layer), *latents, LAYER_STEPS, LAYER_RATE).bijection
    deeper = trained(Flow(flow.base, Chain([layer, flow.bijection])), train, validation, LAYER_STEPS, RATE)
    longer = trained(flow, train, validation, LAYER_STEPS, RATE)
    with_layer = Flow(flow.base, Chain([single, flow.bijection]))
    row = {
        "table": name,
        "columns": n,
        "rows": {"train": len(train), "held": len(held), "test": len(parts.test)},
        "kept": fitted.kept,
        "by_training_rows": fitted.gain,
        "by_halves": alone.gain,
        "gain_alone": gain(with_layer, flow, parts.test),
        "gain_together": gain(deeper, longer, parts.test),
        "seconds": {"next_layer, both": seconds, "all": time.perf_counter() - began},
    }
    for way, found in (("by_training_rows", fitted.gain), ("by_halves", alone.gain)):
        row[f"inside, {way}"] = {
            which: bool((found.low or 0.0) <= row[which]["mean"] <= (found.high or 0.0))
            for which in ("gain_alone", "gain_together")
        }
    return row


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("--")] or chosen()
    config = {"tables": chosen(), "depth": DEPTH, "steps": [STEPS, LAYER_STEPS], "rates": [RATE, LAYER_RATE]}
    config |= {"batch": BATCH, "most_rows": MOST_ROWS, "widths": WIDTHS}
    head = {
        "what": "the gain of one more affine coupling, foretold by next_layer and measured, in nats a row",
        "command": "python -m next_layer",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": config,
    }
    record = Record(RESULTS / "next-layer.json", head, {"rows": []}, fresh="--fresh" in sys.argv)
    for name in names:
        if not record.has(table=name):
            record.add(measured(name))
            row = record.rows[-1]
            low, high = row["by_training_rows"]["low"], row["by_training_rows"]["high"]
            print(
                f"{name}: [{low:.4f}, {high:.4f}]",
                row["by_halves"],
                row["gain_alone"],
                row["gain_together"],
                flush=True,
            )
    record.save(
        inside={
            f"{which}, {name}": sum(row[f"inside, {name}"][which] for row in record.rows)
            for name in ("by_training_rows", "by_halves")
            for which in ("gain_alone", "gain_together")
        }
    )


if __name__ == "__main__":
    main()
