"""The laws of every bijection, as functions that raise AssertionError where one does not hold.

A law takes a bijection in float64 and its test points. The tests run them on the registry; the mutants show that
each can fail. The oracle of a law shares no code with what it checks: Jacobians by automatic differentiation
against log-dets as written, finite differences against gradients, float64 against float32.
"""

# Laws and mutants reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportCallIssue=false, reportIncompatibleVariableOverride=false, reportIncompatibleMethodOverride=false

import contextlib
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal.bijections import AbstractBijection
from tests.laws.oracles import Points, Values, cast, data, gradients, values, values_and_jacobians
from tests.laws.scaling import leaf_name
from tests.laws.tolerances import EPS, tolerance

_STEP = EPS["difference"] ** 0.25  # h with h^4 = eps^(4/5)
_WEIGHTS = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0  # central difference of fourth order at -2h, ..., 2h


def close(law: str, precision: str, kappa: np.ndarray, got: np.ndarray, want: np.ndarray) -> None:
    """Each row of `got` is `want` to C * eps * kappa of that row, relative to max(1, largest entry of the row)."""
    got, want = (np.asarray(a, np.float64).reshape(len(kappa), -1) for a in (got, want))
    assert got.shape == want.shape, f"{law}: shapes {got.shape} and {want.shape}"
    assert np.all(np.isfinite(got)), f"{law}, {precision}: not finite"
    assert np.all(np.isfinite(want)), f"{law}, {precision}: the oracle is not finite"
    size = np.maximum(1.0, np.max(np.abs(want), axis=1, initial=0.0))
    error = np.max(np.abs(got - want), axis=1, initial=0.0) / size
    allowed = tolerance(law, precision, kappa)
    worst = int(np.argmax(error / allowed))
    assert np.all(error <= allowed), (
        f"{law}, {precision}: error {error[worst]:.3g} > {allowed[worst]:.3g} at point {worst}, "
        f"kappa {kappa[worst]:.3g} (error / (eps kappa) = {error[worst] / EPS[precision] / kappa[worst]:.3g})"
    )


def law_round_trip(bijection: AbstractBijection, points: Points, precision: str) -> None:
    """inverse(forward(z)) = z and forward(inverse(x)) = x."""
    z, x, context = _in(precision, points.z, data(bijection, points), points.context)
    once = _evaluate(bijection, z, x, context)
    twice = _evaluate(bijection, once.z, once.x, context)
    close("round trip", precision, points.kappa, twice.z, z)
    close("round trip", precision, points.kappa, twice.x, x)


def law_log_det(bijection: AbstractBijection, points: Points, precision: str) -> None:
    """Both log-dets against NumPy's slogdet of the Jacobian, forward and reverse mode; they cancel at x = f(z)."""
    x64 = data(bijection, points)
    _, jacobians = values_and_jacobians(bijection, points.z, x64, points.context)
    z, x, context = _in(precision, points.z, x64, points.context)
    got = _evaluate(bijection, z, x, context)
    close("log-det", precision, points.kappa, got.log_det, _log_det(jacobians.forward))
    close("log-det", precision, points.kappa, got.log_det_inverse, _log_det(jacobians.inverse))
    if precision == "float64":
        reverse = gradients(bijection, z, x, context)
        close("log-det", precision, points.kappa, got.log_det, _log_det(reverse.forward_input[:, :-1]))
        close(
            "log-det", precision, points.kappa, got.log_det_inverse, _log_det(reverse.inverse_input[:, :-1])
        )
    close("cancel", precision, points.kappa, got.log_det + got.log_det_inverse, np.zeros(len(z)))


def law_sign(bijection: AbstractBijection, points: Points) -> None:
    """det has one sign at all points, the same in both directions."""
    jacobians = values_and_jacobians(bijection, points.z, data(bijection, points), points.context)[1]
    signs = {float(s) for j in jacobians for s in np.linalg.slogdet(j)[0]}
    assert signs in ({1.0}, {-1.0}), f"sign of det: {sorted(signs)}"


def law_inverse_jacobian(bijection: AbstractBijection, points: Points) -> None:
    """dz/dx dx/dz = 1, and both modes of differentiation give one Jacobian."""
    x = data(bijection, points)
    jacobians = values_and_jacobians(bijection, points.z, x, points.context)[1]
    reverse = gradients(bijection, points.z, x, points.context)
    one = np.broadcast_to(np.eye(points.z.shape[1]), jacobians.forward.shape)
    close("Jacobian", "float64", points.kappa, jacobians.inverse @ jacobians.forward, one)
    close("Jacobian", "float64", points.kappa, reverse.forward_input[:, :-1], jacobians.forward)
    close("Jacobian", "float64", points.kappa, reverse.inverse_input[:, :-1], jacobians.inverse)


def law_compiled(bijection: AbstractBijection, points: Points) -> None:
    """Called op by op on one vector, a bijection gives what it gives compiled over a batch (float32)."""
    z, x, context = _in("float32", points.z, data(bijection, points), points.context)
    batch = values(bijection, z, x, context)
    single = one_by_one(bijection, z[:1], x[:1], None if context is None else context[:1])
    for got, want in zip(single, batch, strict=True):
        close("compiled", "float32", points.kappa[:1], got, want[:1])


def law_precision(bijection: AbstractBijection, points: Points) -> None:
    """float32 agrees with float64 on the same numbers, in both directions."""
    z, x, context = _in("float32", points.z, data(bijection, points), points.context)
    low = values(bijection, z, x, context)
    assert {a.dtype for a in low} == {np.dtype("float32")}, "float32 in, another dtype out"
    wide = _in("float64", z, x, context)
    high = values_and_jacobians(bijection, *wide)[0]
    for got, want in zip(low, high, strict=True):
        close("precision", "float32", points.kappa, got, want)


def law_gradient(bijection: AbstractBijection, points: Points, frozen: tuple[str, ...] = ()) -> None:
    """Derivatives of value and log-det, to input and parameters, against central differences of fourth order.

    Leaves named in `frozen` have derivative exactly 0. Directions are drawn with a fixed seed, and scaled so that they
    move the result by about 1 at most: x moves along the image of z's direction.
    """
    z, x, context = points.z, data(bijection, points), points.context
    exact = gradients(bijection, z, x, context)
    rng = np.random.default_rng(11)  # no point lies within two steps of a knot, where a log-det has a kink
    dz = rng.normal(size=z.shape)
    dx = np.einsum("pij,pj->pi", exact.forward_input[:, :-1], dz)
    size = np.maximum(1.0, np.max(np.abs(np.column_stack([dz, dx])), axis=1, keepdims=True))
    dz, dx = dz / size, dx / size
    direction = _direction(bijection, rng, frozen)
    shape = (*x.shape[:1], x.shape[1] + 1)
    effects = [_along(j, direction, shape) for j in (exact.forward_parameters, exact.inverse_parameters)]
    direction = jax.tree.map(lambda d: d / max(1.0, *(float(np.max(np.abs(e))) for e in effects)), direction)
    inputs = [
        values_and_jacobians(bijection, z + h * dz, x + h * dx, context)[0]
        for h in _STEP * np.arange(-2.0, 3.0)
    ]
    parameters = [
        values_and_jacobians(_moved(bijection, direction, h), z, x, context)[0]
        for h in _STEP * np.arange(-2.0, 3.0)
    ]
    for which, jacobian, tangent in ((0, exact.forward_input, dz), (2, exact.inverse_input, dx)):
        want = _difference([np.column_stack([v[which], v[which + 1]]) for v in inputs])
        close("gradient", "difference", points.kappa, np.einsum("pij,pj->pi", jacobian, tangent), want)
    for which, jacobian in ((0, exact.forward_parameters), (2, exact.inverse_parameters)):
        want = _difference([np.column_stack([v[which], v[which + 1]]) for v in parameters])
        close("gradient", "difference", points.kappa, _along(jacobian, direction, want.shape), want)
        for path, leaf in jax.tree_util.tree_leaves_with_path(jacobian):
            assert leaf_name(path) not in frozen or not np.any(leaf), (
                f"gradient to {leaf_name(path)} is not 0"
            )


def law_dtype(bijection: AbstractBijection, points: Points) -> None:
    """The dtype that goes in comes out where float64 is switched on, under JAX's strict promotion of dtypes and ranks.

    `law_precision` has float32 where it is switched off, as users run.
    """
    for dtype in ("float32", "float64"):
        with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            b = cast(bijection, dtype)
            v, context = (None if a is None else jnp.asarray(a[0], dtype) for a in (points.z, points.context))
            for name in ("forward_and_log_det", "inverse_and_log_det"):
                call = lambda b, v, c, name=name: getattr(b, name)(v, c)
                out, log_det = eqx.filter_eval_shape(call, b, v, context)
                assert (out.shape, out.dtype) == (v.shape, dtype), f"{dtype} in, {out} out"
                assert (log_det.shape, log_det.dtype) == ((), dtype), f"{dtype} in, log-det {log_det}"


def law_context(bijection: AbstractBijection, points: Points) -> None:
    """A context enters no operation where `context_shape` is None; otherwise every entry matters, in both directions."""
    z, x, context = _in("float32", points.z, data(bijection, points), points.context)
    if context is None:
        with jax.enable_x64(False):
            b, c = cast(bijection, "float32"), jnp.zeros(3)
            for function in (b.forward_and_log_det, b.inverse_and_log_det):
                program = jax.make_jaxpr(function)(jnp.asarray(z[0]), c).jaxpr
                used = {id(v) for e in program.eqns for v in e.invars} | {id(v) for v in program.outvars}
                assert id(program.invars[-1]) not in used, "a context that is not taken enters an operation"
        return
    base = values(bijection, z, x, context)
    for i in range(context.shape[1]):
        other = values(bijection, z, x, context + np.eye(context.shape[1], dtype=np.float32)[i])
        for a, b in ((base.x, other.x), (base.z, other.z)):
            effect = np.median(np.max(np.abs(a - b), axis=1))
            assert effect > 1e-4, f"entry {i} of the context has no effect"


def law_errors(bijection: AbstractBijection, points: Points) -> None:
    """A wrong length, a missing context or one of wrong length is an InputError with the stated text."""
    (n,), c = bijection.shape, bijection.context_shape
    with jax.enable_x64(False):
        b = cast(bijection, "float32")
        context = None if c is None else _zeros(c[0])
        for function in (b.forward_and_log_det, b.inverse_and_log_det, b.forward, b.inverse):
            with raises(f"acts on one vector of shape ({n},); got shape ({n + 1},)"):
                function(_zeros(n + 1), context)
            if c is not None:
                with raises(f"was built for a context of shape {c}; none was given"):
                    function(_zeros(n), None)
                with raises(f"needs a context of shape {c}; got shape ({c[0] + 1},)"):
                    function(_zeros(n), _zeros(c[0] + 1))


@contextlib.contextmanager
def raises(text: str) -> Iterator[None]:
    """The body raises an InputError whose message contains `text`; an AssertionError where it does not."""
    said = None
    try:
        yield
    except InputError as error:
        said = str(error)
    assert said is not None, f"nothing was refused; expected: {text}"
    assert text in said


def one_by_one(
    bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None
) -> Values:
    """Both directions without jit or vmap, float32, one point after the other."""
    with jax.enable_x64(False):
        b = cast(bijection, "float32")
        rows = []
        for i in range(len(z)):
            c = None if context is None else jnp.asarray(context[i])
            rows.append(
                (*b.forward_and_log_det(jnp.asarray(z[i]), c), *b.inverse_and_log_det(jnp.asarray(x[i]), c))
            )
        return Values(*(np.stack([np.asarray(v) for v in column]) for column in zip(*rows, strict=True)))


def _evaluate(
    bijection: AbstractBijection, z: np.ndarray, x: np.ndarray, context: np.ndarray | None
) -> Values:
    if z.dtype == np.float64:
        return values_and_jacobians(bijection, z, x, context)[0]
    return values(bijection, z, x, context)


def _in(precision: str, *arrays: np.ndarray | None) -> list[Any]:
    return [None if a is None else np.asarray(a, precision) for a in arrays]


def _zeros(size: int) -> jax.Array:
    """In float32, without a program of its own."""
    return jnp.asarray(np.zeros(size, np.float32))


def _log_det(jacobians: np.ndarray) -> np.ndarray:
    return np.linalg.slogdet(jacobians)[1]


def _difference(samples: list[np.ndarray]) -> np.ndarray:
    return sum(w * s for w, s in zip(_WEIGHTS, samples, strict=True)) / _STEP


def _direction(
    bijection: AbstractBijection, rng: np.random.Generator, frozen: tuple[str, ...]
) -> AbstractBijection:
    """A direction in parameter space, of length 1; 0 in leaves that are not trained, None in those that are no floats."""
    draw = lambda path, a: rng.normal(size=a.shape) * (leaf_name(path) not in frozen)
    free = eqx.filter(bijection, eqx.is_inexact_array)
    direction = jax.tree_util.tree_map_with_path(draw, free)
    norm = np.sqrt(sum(np.sum(a * a) for a in jax.tree.leaves(direction)) + 1e-300)
    return jax.tree.map(lambda a: a / norm, direction)


def _moved(bijection: AbstractBijection, direction: AbstractBijection, h: float) -> AbstractBijection:
    free, rest = eqx.partition(bijection, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda a, d: np.asarray(a) + h * d, free, direction), rest)


def _along(jacobian: Any, direction: AbstractBijection, shape: tuple[int, ...]) -> np.ndarray:
    """The parameters' Jacobian, leaves (points, n + 1, ...), times a direction."""
    pairs = zip(jax.tree.leaves(jacobian), jax.tree.leaves(direction), strict=True)
    return sum((np.tensordot(j, d, axes=d.ndim) for j, d in pairs), start=np.zeros(shape))
