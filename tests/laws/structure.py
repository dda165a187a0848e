"""The law of each family's structure: which entries of the Jacobian are exactly 0 or 1, which numbers pass unchanged."""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportIncompatibleVariableOverride=false, reportIncompatibleMethodOverride=false

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal.bijections import (
    AbstractBijection,
    AbstractPartition,
    ActNorm,
    Additive,
    Autoregressive,
    Chain,
    ConvolutionalConditioner,
    Coupling,
    Inverse,
    LULinear,
    Permutation,
    Scan,
    SignFlip,
    Standardize,
    StandardizedContext,
)
from tests.laws import (
    structure_continuous,
    structure_fronts,
    structure_glow,
    structure_planar,
    structure_residual,
)
from tests.laws.laws import close
from tests.laws.oracles import Points, cast, data, values, values_and_jacobians
from tests.laws.structure_types import Law, Laws


def law_coupling(bijection: AbstractBijection, points: Points) -> None:
    """The kept part passes bit for bit, both ways and dtypes; each moved entry depends on itself and kept ones."""
    kept, moved = parts_of(bijection.partition)
    for dtype in ("float64", "float32"):
        z, x = points.z.astype(dtype), data(bijection, points).astype(dtype)
        context = None if points.context is None else points.context.astype(dtype)
        got = values(bijection, z, x, context) if dtype == "float32" else _values64(bijection, z, x, context)
        np.testing.assert_array_equal(got.x[:, kept], z[:, kept], err_msg="forward changes the kept part")
        np.testing.assert_array_equal(got.z[:, kept], x[:, kept], err_msg="inverse changes the kept part")
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        np.testing.assert_array_equal(j[:, kept][:, :, kept], _eye(j, len(kept)))
        assert not np.any(j[:, kept][:, :, moved]), "a kept entry depends on a moved one"
        own = j[:, moved][:, :, moved]
        assert not np.any(own * (1.0 - np.eye(len(moved)))), "a moved entry depends on another moved one"
        assert np.all(own * np.eye(len(moved)) >= 0.0), "a moved entry falls with itself"
        assert not kept or np.all(np.any(j[:, moved][:, :, kept] != 0.0, axis=2)), (
            "a moved entry ignores the kept part"
        )


def law_volume(bijection: AbstractBijection, points: Points) -> None:
    """log-det is exactly 0, and the diagonal of the Jacobian exactly 1, so that det is exactly 1."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    assert not np.any(got.log_det), "forward log-det is not exactly 0"
    assert not np.any(got.log_det_inverse), "inverse log-det is not exactly 0"
    for j in jacobians:
        np.testing.assert_array_equal(np.diagonal(j, axis1=1, axis2=2), 1.0)


def law_triangular(bijection: AbstractBijection, points: Points) -> None:
    """Lower triangular (upper, if reversed): exactly 0 beyond the diagonal, positive on it, nowhere 0 before it."""
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        j = j[:, ::-1, ::-1] if bijection.reverse else j
        assert not np.any(np.triu(j, 1)), "a coordinate depends on a later one"
        assert np.all(np.diagonal(j, axis1=1, axis2=2) > 0.0)
        before = np.tril_indices(j.shape[1], -1)
        assert np.all(j[:, before[0], before[1]] != 0.0), "a coordinate ignores an earlier one"


def law_orthogonal(bijection: AbstractBijection, points: Points) -> None:
    """A permutation: every entry of the Jacobian is 0 or 1, J J^T = 1 and log-det = 0, exactly; values only move."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    for j in jacobians:
        assert np.all((j == 0.0) | (j == 1.0))
        np.testing.assert_array_equal(j @ j.transpose(0, 2, 1), _eye(j, j.shape[1]))
    assert not np.any(got.log_det)
    assert not np.any(got.log_det_inverse)
    np.testing.assert_array_equal(np.sort(got.x), np.sort(points.z))


def law_signs(bijection: AbstractBijection, points: Points) -> None:
    """Sign flips: one diagonal Jacobian of 1 and -1, with at least one -1, and log-det = 0, exactly."""
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    for j in jacobians:
        assert not np.any(j * (1.0 - np.eye(j.shape[1])))
        diagonal = np.diagonal(j, axis1=1, axis2=2)
        assert np.all(np.abs(diagonal) == 1.0)
        assert np.all(np.any(diagonal < 0, axis=1))
    assert not np.any(got.log_det)
    assert not np.any(got.log_det_inverse)
    np.testing.assert_array_equal(np.abs(got.x), np.abs(points.z))


def law_diagonal(bijection: AbstractBijection, points: Points) -> None:
    """One diagonal matrix at all points, exactly 0 off the diagonal, positive on it."""
    for j in values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]:
        assert not np.any(j * (1.0 - np.eye(j.shape[1])))
        np.testing.assert_array_equal(j, np.broadcast_to(j[:1], j.shape))
        assert np.all(np.diagonal(j, axis1=1, axis2=2) > 0.0)


def law_lu(bijection: AbstractBijection, points: Points) -> None:
    """J = L U at every point, x = L U z + b, multiplied out by NumPy; entries outside the triangles are not used."""
    lower = np.tril(bijection.lower, -1) + np.eye(bijection.shape[0])
    upper = np.triu(bijection.upper, 1) + np.diag(np.exp(bijection.log_diagonal))
    got, jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)
    matrix = lower @ upper
    close(
        "Jacobian",
        "float64",
        points.kappa,
        jacobians.forward,
        np.broadcast_to(matrix, jacobians.forward.shape),
    )
    close("Jacobian", "float64", points.kappa, got.x, points.z @ matrix.T + np.asarray(bijection.bias))


def law_layers(bijection: AbstractBijection, points: Points) -> None:
    """The map is its `layers()`, first to last in the forward direction and last to first in the other; log-dets add."""
    z, x = points.z.astype(np.float32), data(bijection, points).astype(np.float32)
    context = None if points.context is None else points.context.astype(np.float32)
    bijection = cast(bijection, "float32")
    whole = values(bijection, z, x, context)
    for got, want in zip(values(InLayers(bijection.layers()), z, x, context), whole, strict=True):
        close("compiled", "float32", points.kappa, got, want)


class InLayers(eqx.Module):
    """Layers, first to last and last to first."""

    parts: tuple[AbstractBijection, ...]

    def forward_and_log_det(self, v, context=None):
        return self._run(self.parts, "forward_and_log_det", v, context)

    def inverse_and_log_det(self, v, context=None):
        return self._run(self.parts[::-1], "inverse_and_log_det", v, context)

    def _run(self, parts, name, v, context):
        total = jnp.zeros((), v.dtype)
        for part in parts:
            v, log_det = getattr(part, name)(v, context)
            total = total + log_det
        return v, total


def law_inverse(bijection: AbstractBijection, points: Points) -> None:
    """The two directions of the wrapped bijection, exchanged: the same programs, to the last operation and constant."""
    v = jnp.asarray(points.z[0], jnp.float32)
    context = None if points.context is None else jnp.asarray(points.context[0], jnp.float32)
    outer, inner = cast(bijection, "float32"), cast(bijection.bijection, "float32")
    for name, other in (("forward", "inverse"), ("inverse", "forward")):
        got, want = (
            jax.make_jaxpr(getattr(b, f"{n}_and_log_det"))(v, context)
            for b, n in ((outer, name), (inner, other))
        )
        assert str(got) == str(want), f"{name} is not the wrapped bijection's {other}"
        assert all(np.array_equal(a, b) for a, b in zip(got.consts, want.consts, strict=True))


LAWS: Laws = {
    Coupling: (law_coupling,),
    Autoregressive: (law_triangular,),
    Permutation: (law_orthogonal,),
    SignFlip: (law_signs,),
    ActNorm: (law_diagonal,),
    Standardize: (law_diagonal,),
    LULinear: (law_lu,),
    Chain: (law_layers,),
    Scan: (law_layers,),
    StandardizedContext: (law_layers,),
    Inverse: (law_layers, law_inverse),
    **structure_planar.LAWS,
    **structure_residual.LAWS,
    **structure_continuous.LAWS,
    **structure_glow.LAWS,
    **structure_fronts.LAWS,
}


# What a layer's transformer or conditioner adds to the laws of its class.
OF_PARTS: dict[type, tuple[Law, ...]] = {
    Additive: (law_volume,),
    ConvolutionalConditioner: (structure_glow.law_reach,),
}


def laws_of(bijection: AbstractBijection) -> tuple[Law, ...]:
    """The structure laws of a bijection: of its class and of its parts."""
    parts = (getattr(bijection, name, None) for name in ("transformer", "conditioner"))
    return (*LAWS[type(bijection)], *(law for part in parts for law in OF_PARTS.get(type(part), ())))


def parts_of(partition: AbstractPartition) -> tuple[list[int], list[int]]:
    """Kept and moved indices of any kind of partition."""
    kept, moved = partition.split(jnp.arange(partition.dim, dtype=jnp.float32))
    return [int(i) for i in kept], [int(i) for i in moved]


def _values64(bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None):
    return values_and_jacobians(bijection, z, x, context)[0]


def _eye(like: np.ndarray, size: int) -> np.ndarray:
    return np.broadcast_to(np.eye(size), (len(like), size, size))
