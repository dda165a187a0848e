"""Products of arrays with every digit that the dtype has, on every device.

On an accelerator JAX multiplies float32 matrices with factors rounded to 10 or fewer bits, unless it is told not to. A flow
has to undo what it did: an input that came back one unit in the last place away is then rounded elsewhere, and an
inverse that was good to 1e-6 is good to 1e-2, or does not converge.
"""

import jax
import jax.numpy as jnp


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """`a @ b` at the highest precision. The products of its derivatives are at that precision, too."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
