"""What is timed: three flows, the same for every library. No library is imported here.

All have ReLU conditioners with two hidden layers, float32, a standard normal base, Adam with learning rate 1e-3.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

LEARNING_RATE = 1e-3
BATCH = 512  # rows of a training step
BATCHES = 100  # different batches, all in memory before the clock starts
POINTS = 10_000  # rows of one log_prob or sample call


@dataclass(frozen=True)
class Task:
    """A flow and how often its calls are timed."""

    name: str
    family: Literal["realnvp", "maf"]
    dim: int
    depth: int  # couplings, or autoregressive transforms
    width: int  # of both hidden layers
    steps: int
    calls: int


TASKS = {
    task.name: task
    for task in (
        Task("realnvp-2", "realnvp", dim=2, depth=8, width=64, steps=300, calls=15),
        Task("realnvp-64", "realnvp", dim=64, depth=8, width=256, steps=100, calls=9),
        Task("maf-8", "maf", dim=8, depth=5, width=64, steps=300, calls=15),
    )
}


def rows_of(task: Task, rows: int, seed: int) -> np.ndarray:
    """(rows, dim) float32, each column with mean 0 and deviation 1: two moons for dim 2, else curved and correlated."""
    rng = np.random.default_rng(seed)
    if task.dim == 2:
        angle, upper = rng.uniform(0, np.pi, rows), rng.integers(0, 2, rows)
        moons = np.where(upper, [np.cos(angle), np.sin(angle)], [1 - np.cos(angle), 0.5 - np.sin(angle)])
        x = moons.T + 0.08 * rng.normal(size=(rows, 2))
    else:
        mixing = np.random.default_rng(1).normal(size=(task.dim, task.dim)) / np.sqrt(task.dim)
        x = np.tanh(rng.normal(size=(rows, task.dim))) @ mixing + 0.3 * rng.normal(size=(rows, task.dim))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)
