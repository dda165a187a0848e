"""One group of the padding study: seeds of one model, trained side by side, measured after epochs and at the end."""

from typing import Any

import jax.random as jr
import numpy as np

from shoal._types import Key
from shoal.training import Epoch, FitResult, Settings, fit_many

from .grid import Cell, Failure, Result, Tell
from .padding_data import Data, load
from .padding_figures import condition_points, conditions, likelihoods, transports
from .padding_models import build, core

BY_EPOCH = ("median", "mean", "q10", "q90", "max", "mean_16", "unresolved")


def run_padding(cells: tuple[Cell, ...], tell: Tell) -> list[Result]:
    """The figures of cells that differ in their seed only.

    Weights, shuffles and noise depend on the cell. The data depend on target and sizes only; so do held-out rows and the
    points of κ. The weights are those of the last epoch: there is no early stopping, which would look at another quantity
    under every padding.
    """
    config: Any = cells[0].config
    data = load(cells[0])
    keys = [jr.split(seed_of(cell), 4) for cell in cells]
    models = [build(k[0], cell, data) for k, cell in zip(keys, cells, strict=True)]
    key_points = shared_key(cells[0])
    points = [condition_points(key_points, model, data, config["points"]) for model in models]
    curves: list[dict[int, dict[str, Any]]] = [
        {0: conditions(core(m, data), p)} for m, p in zip(models, points, strict=True)
    ]
    looks = {int(epoch) for epoch in str(config["looks"]).split()} if config["looks"] else None

    def look(run: int, epoch: Epoch) -> None:
        if looks is None or epoch.epoch in looks:
            curves[run][epoch.epoch] = conditions(core(epoch.flow, data), points[run])
        done = sum(max(curve) for curve in curves) / (len(cells) * config["epochs"])
        tell(0.95 * done, f"{cells[run].name}, epoch {epoch.epoch}/{config['epochs']}")

    trained = fit_many(
        models,
        data.train,
        keys=[k[1] for k in keys],
        callback=look,
        settings=Settings(
            batch_size=config["batch"],
            max_epochs=config["epochs"],
            learning_rate=config["rate"],
            patience=None,
        ),
    )
    if any(result.status == "interrupted" for result in trained):
        raise KeyboardInterrupt
    everything = zip(cells, trained, curves, keys, strict=True)
    return [_figures(cell, data, result, curve, k[2], k[3]) for cell, result, curve, k in everything]


def seed_of(cell: Cell) -> Key:
    """The key of a cell: the two words of its configuration folded into one key."""
    return _folded(cell.words())


def shared_key(cell: Cell) -> Key:
    """The key of what the models of one target have in common."""
    return _folded(cell.words("target", "rows", "held_out"))


def _folded(words: tuple[int, int]) -> Key:
    return jr.fold_in(jr.fold_in(jr.key(0), np.uint32(words[0])), np.uint32(words[1]))


def _figures(
    cell: Cell,
    data: Data,
    result: FitResult,
    curve: dict[int, dict[str, Any]],
    key_likelihoods: Key,
    key_samples: Key,
) -> Result:
    config: Any = cell.config
    if not result.history:
        return Failure(f"training ended before its first epoch: {result.message}")
    epochs = sorted(curve)
    last = curve[epochs[-1]]
    return {
        "training": result.status,
        "epochs": len(result.history),
        "rollbacks": len(result.rollbacks),
        **likelihoods(key_likelihoods, result.flow, data, config["draws"]),
        **transports(key_samples, result.flow, data, config["samples"]),
        **{f"kappa_{name}": last[name] for name in BY_EPOCH},
        "kappa_epochs": epochs,
        **{f"kappa_{name}_by_epoch": [curve[e][name] for e in epochs] for name in BY_EPOCH},
        "train_by_epoch": [float(row.train) / data.dim for row in result.history],
    }
