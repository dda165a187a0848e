"""`RowSource`: training rows in blocks of one size, one block an epoch, in memory or in a file.

Epochs of a large table would be too long to plan by: validation, checkpoints and roll-backs come at their ends. So an epoch
is a block of a table whose rows lie in random order. Every pass takes the blocks in another order, and the rows of a block
are shuffled each time. A step sees the rows of its block only, so its bits do not depend on where the table lies.
"""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError

from ._data import Rows, check_finite

BLOCK = 2**16  # rows
DIGESTED = 2**16  # rows at a time


@runtime_checkable
class Sliced(Protocol):
    """An array (rows, width), or what reads slices of one from a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class RowSource:
    """The rows of a table in random order; given to `fit` in place of `data`, `context` and `weights`.

    **Arguments:**

    - `table`: a float32 or float64 array (rows, width), or what gives slices of rows of one: the columns, behind them those
      of the context, and, where `weighted`, the weights, all above 0, as the last one. The rows lie in random order.
    - `columns`: how many columns are modelled. `context`: how many are context.
    - `mean_weight`: of all rows; weights are divided by it.
    - `block_rows`: rows of a block at most. `seed`: of the order of the blocks.

    **Raises:** `InputError` where the widths do not add up, or there is no row.
    """

    table: Sliced
    columns: int
    context: int = 0
    weighted: bool = False
    mean_weight: float = 1.0
    block_rows: int = BLOCK
    seed: int = 0

    def __post_init__(self) -> None:
        width = self.columns + self.context + self.weighted
        if self.table.shape[1:] != (width,) or not self.table.shape[0]:
            raise InputError(
                f"`table` has shape {self.table.shape}; pass at least one row of {width} numbers: {self.columns} columns, "
                f"{self.context} of context, {int(self.weighted)} of weights."
            )

    def __len__(self) -> int:
        return self.table.shape[0]

    @property
    def blocks(self) -> int:
        """Blocks of one pass."""
        return -(-len(self) // self.block_rows)

    @property
    def size(self) -> int:
        """Rows of a block. All have as many: the last one of a pass begins with rows of the block before."""
        return -(-len(self) // self.blocks)

    def begin(self, epoch: int) -> int:
        """The first row of the block of an epoch."""
        done, place = divmod(epoch, self.blocks)
        order = np.random.default_rng([self.seed, done]).permutation(self.blocks)
        return min(int(order[place]) * self.size, len(self) - self.size)

    def block(self, epoch: int, dtype: np.dtype) -> np.ndarray:
        """The rows of an epoch. **Raises:** `InputError` for a number that is not finite."""
        first = self.begin(epoch)
        with np.errstate(over="ignore"):
            part = np.asarray(self.table[first : first + self.size]).astype(dtype)
        check_finite("data", part, first)
        return part

    def rows(self, block: np.ndarray) -> Rows:
        """A block on the device."""
        x, context, weights = np.split(block, [self.columns, self.columns + self.context], axis=1)
        return Rows(
            jnp.asarray(x),
            jnp.asarray(context) if self.context else None,
            jnp.asarray(weights[:, 0] / weights.dtype.type(self.mean_weight)) if self.weighted else None,
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rows and of how they are read."""
        how = (*self.table.shape, self.table.dtype, self.columns, self.context, self.mean_weight, self.size)
        total = hashlib.sha256(" ".join(map(str, (*how, self.seed))).encode())
        for first in range(0, len(self), DIGESTED):
            total.update(np.ascontiguousarray(self.table[first : first + DIGESTED]).data)
        return total.hexdigest()


class Feed:
    """The blocks of a source, epoch after epoch, the next one read by a thread while the steps of one are done."""

    def __init__(self, source: RowSource, dtype: np.dtype):
        self.source, self.dtype = source, dtype
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="shoal-rows")
        self.ahead: tuple[int, Future[np.ndarray]] | None = None

    def rows(self, epoch: int) -> Rows:
        """The rows of an epoch; those of the next one are begun."""
        ready = self.ahead if self.ahead is not None and self.ahead[0] == epoch else self._begun(epoch)
        self.ahead = self._begun(epoch + 1)
        return self.source.rows(ready[1].result())

    def close(self) -> None:
        """End the thread."""
        self.pool.shutdown(cancel_futures=True)

    def _begun(self, epoch: int) -> tuple[int, Future[np.ndarray]]:
        return epoch, self.pool.submit(self.source.block, epoch, self.dtype)
