"""The data of the padding study: what a model is trained on, what it is judged on, and a second sample beside that."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import Chain, Standardize, Support

from .grid import Cell
from .images import IMAGES
from .targets import TARGETS

ALPHA = 0.05  # of the Support next to the pixels
FLOOR = 0.5  # least deviation of a pixel's logit, in units of the root mean square of all


@dataclass(frozen=True)
class Data:
    """`train`, `held_out`, `other` (rows to compare the held-out ones with), float32.

    Planar targets are standardised by the training part, and `levels` is None. Images are whole numbers below `levels`;
    `pixels` is the map from standardised logits to them, fixed.
    """

    train: FloatArray
    held_out: FloatArray
    other: FloatArray
    levels: int | None = None
    pixels: Chain | None = None

    @property
    def dim(self) -> int:
        """Data coordinates."""
        return self.train.shape[1]

    @property
    def unit(self) -> float:
        """What transport distances are in units of: 1, or the range of a pixel."""
        return 1.0 if self.levels is None else self.levels - 1.0


def load(cell: Cell) -> Data:
    """The data of a cell: a function of its target and of the numbers of rows, the same for all paddings and seeds."""
    config: Any = cell.config
    rng = np.random.default_rng(cell.words("target", "rows", "held_out"))
    sizes = (config["rows"], config["held_out"])
    if config["target"] in TARGETS:
        make = TARGETS[config["target"]]
        parts = [make(rng, rows) for rows in (*sizes, sizes[1])]
        mean, deviation = parts[0].mean(axis=0), parts[0].std(axis=0)
        return Data(*(((x - mean) / deviation).astype(np.float32) for x in parts))
    images, levels = IMAGES[config["target"]]()
    images = images[rng.permutation(len(images))].astype(np.float32)
    train, held_out = images[: sizes[0]], images[sizes[0] : sum(sizes)]
    return Data(train, held_out, train[: len(held_out)], levels, _pixels(train, levels, rng))


def _pixels(train: FloatArray, levels: int, rng: np.random.Generator) -> Chain:
    """From standardised logits to pixels in (0, levels): mean and deviation of the dequantized training rows' logits."""
    share = ALPHA + (1.0 - 2.0 * ALPHA) * (train + rng.random(train.shape)) / levels
    logits = np.log(share) - np.log1p(-share)
    mean, deviation = logits.mean(axis=0), logits.std(axis=0)
    deviation = np.maximum(
        deviation, FLOOR * np.sqrt(np.mean(deviation**2))
    )  # a pixel that is 0 in every row
    standard = Standardize(jnp.asarray(mean, jnp.float32), jnp.asarray(deviation, jnp.float32))
    return Chain([standard, Support(train.shape[1], low=0.0, high=float(levels), alpha=ALPHA)])
