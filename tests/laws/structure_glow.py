"""Structure laws of image layers: which entries of the Jacobian are zero, and what the linear ones multiply by."""

# pyright: reportAttributeAccessIssue=false

import jax.numpy as jnp
import numpy as np
import scipy.special

from shoal.bijections import (
    AbstractBijection,
    DenseLinear,
    OnPart,
    PixelWise,
    Squeeze,
    Support,
)
from tests.laws.laws import close
from tests.laws.oracles import Points, data, values_and_jacobians
from tests.laws.structure_types import Laws


def law_dense(bijection: AbstractBijection, points: Points) -> None:
    """x = W z + b at every point, multiplied out by NumPy."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    weight = np.asarray(bijection.weight)
    want = np.broadcast_to(weight, jacobians.forward.shape)
    close("Jacobian", "float64", points.kappa, jacobians.forward, want)
    close("Jacobian", "float64", points.kappa, got.x, points.z @ weight.T + np.asarray(bijection.bias))


def law_pixels(bijection: AbstractBijection, points: Points) -> None:
    """No pixel depends on another, both ways; each depends on itself."""
    h, w, c = bijection.image_shape
    same = np.kron(np.eye(h * w), np.ones((c, c))).astype(bool)
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        assert not np.any(j[:, ~same]), "a pixel depends on another"
        assert np.all(np.any(j != 0.0, axis=2))


def law_squeeze(bijection: AbstractBijection, points: Points) -> None:
    """Entries move as the docstring's index formula says, exactly; both log-dets are 0."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    h, w, c = bijection.image_shape
    k = bijection.factor
    matrix = np.zeros((h * w * c, h * w * c))
    for i in range(h):
        for j in range(w):
            for channel in range(c):
                latent = ((i // k) * (w // k) + j // k) * k * k * c + ((i % k) * k + j % k) * c + channel
                matrix[(i * w + j) * c + channel, latent] = 1.0
    np.testing.assert_array_equal(jacobians.forward, np.broadcast_to(matrix, jacobians.forward.shape))
    np.testing.assert_array_equal(jacobians.inverse, np.broadcast_to(matrix.T, jacobians.inverse.shape))
    assert not np.any(got.log_det)
    assert not np.any(got.log_det_inverse)


def law_support(bijection: AbstractBijection, points: Points) -> None:
    """SciPy's logit of the rescaled data; one entry depends on one."""
    x = data(bijection, points)
    got, jacobians = values_and_jacobians(bijection, points.z, x, points.context)
    low, high = (np.broadcast_to(part, x.shape) for part in (bijection.low, bijection.high))
    with np.errstate(invalid="ignore"):
        p = bijection.alpha + (1 - 2 * bijection.alpha) * (x - low) / (high - low)
    wanted = np.where(np.isfinite(high - low), scipy.special.logit(p), x)
    for closed, sign in ((np.isfinite(low) & np.isinf(high), 1), (np.isfinite(high) & np.isinf(low), -1)):
        end = low if sign > 0 else high
        wanted[closed] = sign * np.log(sign * (x[closed] - end[closed]))
    close("round trip", "float64", np.full(len(x), 100.0), got.z, wanted)
    assert np.all((got.x >= low) & (got.x <= high))
    for j in jacobians:
        assert not np.any(j * (1.0 - np.eye(j.shape[1])))


def law_part(bijection: AbstractBijection, points: Points) -> None:
    """Kept entries pass bit for bit; neither part depends on the other."""
    kept, moved = list(bijection.partition.kept), list(bijection.partition.moved)
    x = data(bijection, points)
    got, jacobians = values_and_jacobians(bijection, points.z, x, points.context)
    np.testing.assert_array_equal(got.x[:, kept], points.z[:, kept])
    np.testing.assert_array_equal(got.z[:, kept], x[:, kept])
    for j in jacobians:
        np.testing.assert_array_equal(
            j[:, kept][:, :, kept], np.broadcast_to(np.eye(len(kept)), (len(j), len(kept), len(kept)))
        )
        assert not np.any(j[:, kept][:, :, moved])
        assert not np.any(j[:, moved][:, :, kept])


def law_reach(bijection: AbstractBijection, points: Points) -> None:
    """A moved entry of a coupling of channels sees kept channels of pixels within the kernels' reach, and no others."""
    partition, net = bijection.partition, bijection.conditioner
    _, w, c = partition.image_shape
    entries = jnp.arange(partition.dim, dtype=jnp.float32)
    kept, moved = (np.asarray(part, int) for part in partition.split(entries))
    assert set(kept % c).isdisjoint(moved % c), "a channel is both kept and moved"
    rows, columns = moved[:, None] // c // w - kept // c // w, moved[:, None] // c % w - kept // c % w
    far = np.maximum(np.abs(rows), np.abs(columns)) > 2 * (net.kernel // 2)
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        across = j[:, moved][:, :, kept]
        assert not np.any(across[:, far]), "a moved entry sees a pixel out of reach"
        assert np.all(np.any(across != 0.0, axis=2)), "a moved entry ignores the kept channels"


LAWS: Laws = {
    DenseLinear: (law_dense,),
    PixelWise: (law_pixels,),
    Squeeze: (law_squeeze,),
    Support: (law_support,),
    OnPart: (law_part,),
}
