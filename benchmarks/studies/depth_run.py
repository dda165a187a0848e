"""One group of the depth study: seeds of one flow, trained side by side on exact samples of a hard instance, measured."""

from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from shoal._types import Key
from shoal.distributions import Flow
from shoal.flows import layerwise, planar, realnvp
from shoal.theory.hardness import FreeMeansMixture, GaussianMixtureOnSphere, ring, wasserstein_gap
from shoal.training import FitResult, Settings, fit_many

from .grid import Cell, Failure, Result, Tell

Instance = FreeMeansMixture | GaussianMixtureOnSphere


def instance_of(cell: Cell) -> Instance:
    """The instance of a cell: a ring for d = 2, code words on the sphere otherwise, both of radius sqrt(d).

    gamma is the least distance of two means divided by `separation`, so that neighbours are that many deviations apart.
    """
    config: Any = cell.config
    k, d = config["k"], config["d"]
    radius = float(np.sqrt(d))
    key = jr.key(config["instance"])
    at_first = (
        ring(k, radius=radius, gamma=1.0) if d == 2 else GaussianMixtureOnSphere(key, k, d, 1.0, radius)
    )
    gamma = at_first.distance / config["separation"]
    return (
        ring(k, radius=radius, gamma=gamma) if d == 2 else GaussianMixtureOnSphere(key, k, d, gamma, radius)
    )


def build(key: Key, cell: Cell) -> Flow:
    """An untrained flow of the cell's family and depth."""
    config: Any = cell.config
    d, depth = config["d"], config["depth"]
    made = {
        "layerwise": lambda: layerwise(key, d, depth),
        "realnvp": lambda: realnvp(key, d, depth, hidden=(config["hidden"],)),
        "planar": lambda: planar(key, d, depth),
    }
    if config["family"] not in made:
        raise ValueError(f"`family` must be one of {', '.join(made)}; got {config['family']!r}.")
    return made[config["family"]]()


def parameters(flow: Flow) -> int:
    """Trained numbers: the entries of all floating-point arrays of the bijection."""
    return sum(a.size for a in jax.tree.leaves(eqx.filter(flow.bijection, eqx.is_inexact_array)))


def run_depth(cells: tuple[Cell, ...], tell: Tell) -> list[Result]:
    """The figures of cells that differ in their seed only.

    Training and held-out rows depend on the instance and the numbers of rows only: all families and depths see the same. The
    weights are those of the last epoch.
    """
    config: Any = cells[0].config
    instance = instance_of(cells[0])
    rows = _key(cells[0].words("k", "d", "instance", "separation", "rows", "held_out"))
    k_train, k_held_out, k_gap = jr.split(rows, 3)
    train = instance.sample(k_train, config["rows"])
    held_out = instance.sample(k_held_out, config["held_out"])
    entropy = np.asarray(instance.log_prob(held_out), np.float64)
    keys = [jr.split(_key(cell.words()), 3) for cell in cells]
    trained = fit_many(
        [build(k[0], cell) for k, cell in zip(keys, cells, strict=True)],
        train,
        keys=[k[1] for k in keys],
        settings=Settings(
            batch_size=config["batch"],
            max_epochs=config["epochs"],
            learning_rate=config["rate"],
            patience=None,
        ),
        callback=lambda run, epoch: tell(0.8 * epoch.epoch / config["epochs"], cells[run].name),
    )
    if any(result.status == "interrupted" for result in trained):
        raise KeyboardInterrupt
    two = jr.split(k_gap)
    floor = wasserstein_gap(
        _Held(instance, two[0]),
        instance,
        key=two[1],
        samples=config["samples"],
        transported=config["transported"],
    )
    everything = zip(cells, trained, keys, strict=True)
    return [
        {**figures, "w1_data": floor.upper} if isinstance(figures, dict) else figures
        for cell, result, k in everything
        for figures in (_figures(cell, result, k[2], instance, held_out, entropy),)
    ]


class _Held:
    """Samples of an instance by a key of its own: what the distance of two samples of one law is."""

    def __init__(self, instance: Instance, key: Key):
        self.instance, self.key = instance, key

    def sample(self, key: Key, rows: int) -> Any:
        del key
        return self.instance.sample(self.key, rows)


def _key(words: tuple[int, int]) -> Key:
    return jr.fold_in(jr.fold_in(jr.key(0), np.uint32(words[0])), np.uint32(words[1]))


def _figures(
    cell: Cell, result: FitResult, key: Key, instance: Instance, held_out: Any, entropy: Any
) -> dict[str, Any] | Failure:
    config: Any = cell.config
    if not result.history:
        return Failure(f"training ended before its first epoch: {result.message}")
    flow = result.flow
    each = entropy - np.asarray(flow.log_prob(held_out), np.float64)
    finite = bool(np.isfinite(each).all())
    total = parameters(flow)
    figures: dict[str, Any] = {
        "training": result.status,
        "epochs": len(result.history),
        "rollbacks": len(result.rollbacks),
        "parameters": total,
        "parameters_a_layer": total / config["depth"],
        "gamma": instance.gamma,
        "least_distance": instance.distance,
        "kl": float(each.mean()) if finite else None,
        "kl_error": float(each.std(ddof=1) / len(each) ** 0.5) if finite else None,
    }
    try:
        gap = wasserstein_gap(
            flow, instance, key=key, samples=config["samples"], transported=config["transported"]
        )
    except ValueError:  # a sample is not finite: there is no distance, and the figures say so
        return {**figures, "gap_lower": None, "gap_upper": None, "gap_upper_error": None, "witness": "none"}
    return {
        **figures,
        "gap_lower": gap.lower,
        "gap_upper": gap.upper,
        "gap_upper_error": gap.error,
        "witness": gap.witness,
    }
