"""A bijection of some of the coordinates, the others left alone: what a multi-scale flow does after a split."""

import equinox as eqx

from shoal._types import Batch, Context, ContextBatch, Scalar, Vector
from shoal.bijections._base import (
    AbstractBijection,
    AbstractComposite,
    check_input,
    initialize_part,
    layers_of,
)
from shoal.bijections._partition import AbstractPartition


class OnPart(AbstractComposite):
    """x_moved = f(z_moved; c), x_kept = z_kept, for a bijection f of the moved coordinates of a partition.

    The split of multi-scale flows (Dinh et al. 2017, section 3.6): the kept coordinates are latents from here on.
    log-det, inverse and context are those of f; singular values are those of f and 1.
    """

    bijection: AbstractBijection
    partition: AbstractPartition
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, partition: AbstractPartition):
        moved = partition.dim - partition.kept_size
        if bijection.shape != (moved,):
            raise ValueError(
                f"`OnPart`: the bijection acts on {bijection.shape}, the partition moves {moved}."
            )
        self.bijection, self.partition = bijection, partition
        self.shape, self.context_shape = (partition.dim,), bijection.context_shape

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f of the moved part."""
        check_input(self, z, context)
        kept, moved = self.partition.split(z)
        moved, log_det = self.bijection.forward_and_log_det(moved, context)
        return self.partition.join(kept, moved), log_det

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f^{-1} of the moved part."""
        check_input(self, x, context)
        kept, moved = self.partition.split(x)
        moved, log_det = self.bijection.inverse_and_log_det(moved, context)
        return self.partition.join(kept, moved), log_det

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The layers of f, each on the moved part, in forward order."""
        if not isinstance(self.bijection, AbstractComposite):
            return (self,)
        return tuple(OnPart(layer, self.partition) for layer in layers_of(self.bijection))

    def initialized(self, x: Batch, context: ContextBatch) -> "OnPart":
        """f initialised from the moved part of the batch."""
        moved = eqx.filter_vmap(lambda row: self.partition.split(row)[1])(x)
        return eqx.tree_at(lambda p: p.bijection, self, initialize_part(self.bijection, moved, context))
