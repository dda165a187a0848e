"""Two tables with an even number of columns, in three standardised parts: diamonds (six columns) and digits (16 axes)."""

from pathlib import Path

import numpy as np
from resume import ROOT
from sklearn.datasets import load_digits

from .summary import SEED

DIAMONDS = {
    "carat": 0.01,
    "depth": 0.1,
    "price": 1.0,
    "x": 0.01,
    "y": 0.01,
    "z": 0.01,
}  # and their rounding steps
CONSISTENT = (  # how much of the box x y z a stone fills; its depth; its outline
    "fill within 10 % of the median 0.3476, 100 z / mean(x, y) within 0.5 of depth, x within 5 % of y"
)
TABLES = ("diamonds", "digits")
AXES = 16


def parts(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation and test rows, each column with mean 0 and deviation 1 over the training rows.

    Diamonds: logarithms of all but depth, rounding undone by uniform noise, 8,000 rows that are no recording errors (see
    `CONSISTENT`; one such row can decide the mean of a test part). Digits: 64 pixels with uniform noise, the first 16
    principal axes of the training rows.
    """
    rng = np.random.default_rng([SEED, TABLES.index(name)])
    x = _diamonds(ROOT / "data" / "diamonds.csv", rng) if name == "diamonds" else _digits(rng)
    x = x[rng.permutation(len(x))]
    first, second = int(0.7 * len(x)), int(0.8 * len(x))
    if name == "digits":
        centre = x[:first].mean(0)
        x = (x - centre) @ np.linalg.svd(x[:first] - centre, full_matrices=False)[2][:AXES].T
    x = ((x - x[:first].mean(0)) / x[:first].std(0)).astype(np.float32)
    return x[:first], x[first:second], x[second:]


def _diamonds(path: Path, rng: np.random.Generator) -> np.ndarray:
    names = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    raw = np.loadtxt(path, delimiter=",", skiprows=1)
    column = {name: raw[:, names.index(name)] for name in DIAMONDS}
    fill = column["carat"] * 0.2 / 3.52e-3 / (column["x"] * column["y"] * column["z"])
    x, y, z = (column[name] for name in "xyz")
    depth_off = np.abs(200 * z / (x + y) - column["depth"])
    consistent = (np.abs(fill / 0.3476 - 1) < 0.1) & (depth_off < 0.5) & (np.abs(x / y - 1) < 0.05)
    rows = rng.permutation(np.flatnonzero(consistent))[:8000]
    spread = {
        name: column[name][rows] + step * rng.uniform(-0.5, 0.5, len(rows)) for name, step in DIAMONDS.items()
    }
    return np.stack([v if name == "depth" else np.log(v) for name, v in spread.items()], axis=1)


def _digits(rng: np.random.Generator) -> np.ndarray:
    pixels = np.asarray(load_digits(return_X_y=True)[0], np.float64)
    return pixels + rng.uniform(size=pixels.shape)
