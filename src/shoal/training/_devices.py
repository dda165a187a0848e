"""The devices that share the rows of a step: which, and how arrays come to them and back.

The table and the weights lie whole on every device. A step takes the rows of its batch apart, one part a device, and the
gradients are added up; so the batch is that of one device, and only the order of additions differs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from shoal._errors import InputError

AXIS = "rows"
# rows of one device in a step, times weights of the flow: a quarter of a millisecond of an H200
WORTH = 2**30


def devices_for(batch: int, weights: int, wanted: int | None) -> int:
    """How many devices share a step of `batch` rows of a flow of `weights` trained numbers.

    `wanted` None: with several processes all devices of all of them. With one: one on a CPU, whose devices are the same
    cores; on accelerators as many as divide the batch and leave each `WORTH` rows times weights. Below that a step takes the
    time of starting its kernels, whatever the rows (`results/accelerator.json`: 0.27 ms for 8 layers, and 0.25 ms for 2**30
    rows times weights where products are large).

    **Raises:** `InputError` where there are not so many devices, a process would have none, or, in one process, the batch is
    not a multiple of their number.
    """
    there = len(jax.devices())
    if wanted is not None and wanted > there:
        raise InputError(f"`devices={wanted}`, but JAX has {there}; ask for at most {there}.")
    if jax.process_count() > 1:
        if wanted not in (None, there):
            raise InputError(f"Of several processes all {there} devices train; leave `devices={wanted}` out.")
        return there  # uneven parts are filled up
    if wanted is None:
        most = 1 if jax.default_backend() == "cpu" else min(there, max(batch * weights // WORTH, 1))
        return next(n for n in range(most, 0, -1) if batch % n == 0)
    if batch % wanted:
        raise InputError(
            f"A step has {batch} rows, which {wanted} devices can not share evenly; let `batch_size` be a multiple of "
            f"{wanted}, with as many rows of data."
        )
    return wanted


def mesh_of(count: int) -> Mesh | None:
    """The first so many devices, or None for one: then nothing is placed, and JAX's default device computes."""
    if count == 1:
        return None
    return jax.make_mesh((count,), (AXIS,), (AxisType.Auto,), devices=jax.devices()[:count])


def apart(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Within a program: arrays whose leading axis is shared by the devices."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def whole(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Within a program: arrays that every device has whole."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


def placed(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """The arrays of this process, whole on every device of the mesh; other processes place the same ones."""
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())

    def one(leaf: jax.Array) -> jax.Array:
        if getattr(leaf, "sharding", None) == everywhere:
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        host = np.asarray(jnp.asarray(leaf))
        return jax.make_array_from_callback(host.shape, everywhere, lambda index: host[index])

    return jax.tree.map(one, tree)


def home(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Arrays that are whole on every device, on the default device of this process."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.array(np.asarray(leaf), copy=True), tree)
