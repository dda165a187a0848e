"""Writes results/next-layer.json: what `next_layer` foretells of one more coupling, and what really adding it gains.

    python -m next_layer [--fresh] [TABLE ...]

The 12 tables of the leaderboard with the most rows, 20,000 at most: half of the rows train, a tenth validate, a fifth are
what `next_layer` measures, and on a fifth the gains are measured. The flow is RealNVP of 2 layers. `next_layer` is asked
twice: with the training rows to fit to, and with nothing but its own rows. Both intervals are of one number, the largest
mean gain of an affine coupling next to the latent, with the half that `next_layer` names, the flow held. It is measured by
an optimiser that shares nothing with `next_layer`: s and t are the means of two nets, trained by AdamW to the end of a
cosine at each of `CONFIGS`; of all weights seen every `EVERY` steps, those with the best mean on the validation rows (and no
layer, where none gains there) are taken. Nets read b through 4 tanh(b / 4): beyond, no row says what they should do, and a
few rows of heavy tails decided everything. The gain is a mean over test rows, with its standard error.
"""

import sys
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from resume import RESULTS, Record
from tables.prepare import split
from tables.tables import drawn, rows_of

from shoal.conditioning import next_layer
from shoal.distributions import Flow
from shoal.flows import realnvp
from shoal.records import system_info
from shoal.training import Settings, fit

PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax")
TABLES, MOST_ROWS, DEPTH, BATCH, SEED = 12, 20_000, 2, 256, 19
STEPS, LAYER_STEPS, EVERY, RATE, WIDTHS, NETS = 1000, 1500, 50, 3e-3, (128, 128), 2
CONFIGS = ((5e-3, 0.0), (1e-3, 3.0))  # rates and decays of the added layer
ADAM = optax.scale_by_adam()
ERROR = 2.576  # standard errors of a measured gain: 99 %


def chosen() -> list[str]:
    """The tables with the most rows."""
    tables = drawn()["tables"]
    return sorted(tables, key=lambda name: -tables[name]["rows"])[:TABLES]


def trained(flow: Flow, train: np.ndarray, validation: np.ndarray, steps: int, rate: float) -> Flow:
    """The flow after so many steps, with the weights that are best on the validation rows."""
    epochs = max(1, round(steps / max(1, len(train) // BATCH)))
    settings = Settings(batch_size=BATCH, max_epochs=epochs, learning_rate=rate, patience=None)
    return fit(flow, train, key=jr.key(SEED), validation=validation, settings=settings).flow


def output(net: Any, b: Any) -> tuple[Any, Any]:
    """(s, t) for rows b: linear in b cut at 4, plus a net of it."""
    h = cut = 4.0 * jnp.tanh(b / 4.0)
    for weight, bias in net[1:-1]:
        h = jax.nn.gelu(h @ weight + bias)
    s, t = jnp.split(cut @ net[0][0] + h @ net[-1][0] + net[-1][1], 2, axis=1)
    return 3.0 * jnp.tanh(s / 3.0), t


def gains(s: Any, t: Any, a: Any) -> Any:
    """a^2 / 2 - (a - t)^2 e^(-2 s) / 2 - s, summed over coordinates: log p with the layer less log p without."""
    return jnp.sum(0.5 * a**2 - 0.5 * (a - t) ** 2 * jnp.exp(-2.0 * s) - s, axis=1)


@partial(jax.jit, static_argnums=0)
def some_steps(count: int, states: Any, begin: Any, a: Any, b: Any, rate: Any, decay: Any) -> Any:
    """`count` steps of AdamW of each net on batches of its own, at a cosine's rate."""

    def step(state: Any, i: Any) -> tuple[Any, None]:
        net, moments, key = state
        key, use = jr.split(key)
        rows = jr.randint(use, (min(BATCH, len(a)),), 0, len(a))
        slope = jax.grad(lambda net: -jnp.mean(gains(*output(net, b[rows]), a[rows])))(net)
        scale = 0.5 * (1.0 + jnp.cos(jnp.pi * (begin + i) / LAYER_STEPS))
        change: Any
        change, moments = ADAM.update(slope, moments, net)
        moved = [
            (w - rate * scale * (v + decay * w), c - rate * scale * d)
            for (w, c), (v, d) in zip(net, change, strict=True)
        ]
        return (moved, moments, key), None

    return jax.vmap(lambda state: jax.lax.scan(step, state, jnp.arange(count))[0])(states)


@jax.jit
def together(nets: Any, a: Any, b: Any) -> Any:
    """The gains of the one coupling whose s and t are the means of the nets'."""
    s, t = jax.vmap(output, (0, None))(nets, b)
    return gains(s.mean(0), t.mean(0), a)


def trained_layer(train: tuple[Any, Any], validation: tuple[Any, Any]) -> tuple[Any, float]:
    """The nets with the best mean gain on the validation rows, and that gain; None where none gains."""
    best: tuple[Any, float] = None, 0.0
    kept, moved = train[1].shape[1], train[0].shape[1]
    sizes = (kept, *WIDTHS, 2 * moved)

    def start(key: Any) -> Any:
        *keys, last = jr.split(key, len(sizes))
        net = [(jnp.zeros((kept, 2 * moved)), jnp.zeros(1))]
        for k, i, o in zip(keys, sizes, sizes[1:], strict=False):
            net.append(
                (jr.normal(k, (i, o)) * (0.0 if o == sizes[-1] else 1 / max(i, 1) ** 0.5), jnp.zeros(o))
            )
        return net, ADAM.init(net), last

    for rate, decay in CONFIGS:
        states = jax.vmap(start)(jr.split(jr.key(SEED + 1), NETS))
        for begin in range(0, LAYER_STEPS, EVERY):
            states = some_steps(EVERY, states, begin, *train, rate, decay)
            reached = float(together(states[0], *validation).mean())
            if reached > best[1]:
                best = states[0], reached
    return best


def added(latents: list[np.ndarray], kept: list[int]) -> tuple[float, float]:
    """The mean gain of a trained layer on the last latents, and its standard error."""
    moved = [i for i in range(latents[0].shape[1]) if i not in kept]
    train, validation, test = ((jnp.asarray(z[:, moved]), jnp.asarray(z[:, kept])) for z in latents)
    nets, _ = trained_layer(train, validation)
    gain = np.zeros(len(test[0])) if nets is None else np.asarray(together(nets, *test), float)
    return float(gain.mean()), float(gain.std(ddof=1) / len(gain) ** 0.5)


def measured(name: str, number: int = 0) -> dict[str, Any]:
    """The row of one table."""
    began = time.perf_counter()
    parts = split(name, rows_of(name)[:MOST_ROWS], number)
    ends = np.cumsum([5 * len(parts.train) // 8, len(parts.train) // 8])
    train, validation, held = np.split(parts.train, ends)
    n = train.shape[1]
    flow = trained(realnvp(jr.key(SEED), n, DEPTH), train, validation, STEPS, RATE)
    asked = time.perf_counter()
    fitted, alone = next_layer(flow, held, training=train), next_layer(flow, held)
    seconds = time.perf_counter() - asked
    row: dict[str, Any] = {
        "table": name,
        "columns": n,
        "rows": {"train": len(train), "held": len(held), "test": len(parts.test)},
    }
    latents = [np.asarray(flow.inverse(rows), np.float32) for rows in (train, validation, parts.test)]
    seen: dict[tuple[int, ...], tuple[float, float]] = {}
    for way, found in (("by_training_rows", fitted), ("by_halves", alone)):
        if tuple(found.kept) not in seen:
            seen[tuple(found.kept)] = added(latents, found.kept)
        mean, error = seen[tuple(found.kept)]
        low, high = found.gain.low or 0.0, found.gain.high or 0.0
        row[way] = {
            "kept": found.kept,
            "foretold": found.gain,
            "measured": {"mean": mean, "error": error},
            "inside": bool(low <= mean <= high),
            "apart": max(low - mean, mean - high, 0.0) / max(error, 1e-12),
        }
    row["seconds"] = {"next_layer, both": seconds, "all": time.perf_counter() - began}
    return row


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("--")] or chosen()
    config = {"tables": chosen(), "depth": DEPTH, "steps": [STEPS, LAYER_STEPS], "rate": RATE}
    config |= {"batch": BATCH, "most_rows": MOST_ROWS, "widths": WIDTHS, "layer": CONFIGS}
    head = {
        "what": "the largest gain of one more affine coupling, foretold by next_layer and measured, in nats a row",
        "command": "python -m next_layer",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": config,
    }
    record = Record(RESULTS / "next-layer.json", head, {"rows": []}, fresh="--fresh" in sys.argv)
    for name in names:
        if not record.has(table=name):
            record.add(measured(name))
            print(line(record.rows[-1]), flush=True)
    ways = ("by_training_rows", "by_halves")
    record.save(
        inside={way: sum(r[way]["inside"] for r in record.rows) for way in ways},
        inside_or_within_its_own_error={
            way: sum(r[way]["apart"] <= ERROR for r in record.rows) for way in ways
        },
    )


def line(row: dict[str, Any]) -> str:
    """What is printed of a table."""
    words = [row["table"]]
    for way in ("by_training_rows", "by_halves"):
        r = row[way]
        words.append(f"[{r['foretold']['low']:.4f}, {r['foretold']['high']:.4f}]")
        words.append(f"{r['measured']['mean']:.4f} ± {r['measured']['error']:.4f} {r['inside']}")
    return " ".join(words)


if __name__ == "__main__":
    main()
