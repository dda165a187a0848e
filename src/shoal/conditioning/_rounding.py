"""What rounding does to what JAX computes: a running error analysis of a traced program, operation by operation.

Every operation that rounds gets a shift t of its result, t = 0 in the exact program; one reverse pass gives the adjoint
of every shift, and with it, to first order, what an error made there does to the outputs (Linnainmaa 1976). How large
the error is follows from the result itself and the operation, in units of u: no lower precision is run.

- Correctly rounded ones (+, -, *, /, sqrt): at most u 2^e, 2^e <= |result| < 2^(e + 1); as a random number it is uniform, of
  variance u^2 4^e / 3. Sums with 0, products with 0 and powers of 2 are exact, and so is what only moves or chooses numbers.
- A sum or product of vectors of m terms rounds m partial sums. At most: m u sum |term|, in any order. As random numbers: the
  mean over all orders of the terms of the partial sums' squares, (m + 1) / 3 S^2 + (m + 1) / 6 Q, S the sum, Q that of the
  terms' squares, times `MANTISSA` for the place of a number between two powers of 2. Terms that are 0 are not counted.
- Elementary functions: `ULPS`, largest and root mean square error of XLA on CPUs in float32 (a test measures them; in
  float64 they are better).
- Constants of the program that float32 does not hold are rounded; the flow's parameters and the row are what they are.
- Singular and eigenvalues have an error of the size of the largest one.
- What has no rule (solvers, other decompositions, loops with a derivative of their own) counts as backward stable: its
  inputs and outputs are off by `UNKNOWN`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from shoal._types import Array

EXACT = frozenset(
    (
        *(
            "neg",
            "abs",
            "sign",
            "max",
            "min",
            "clamp",
            "floor",
            "ceil",
            "round",
            "reduce_max",
            "reduce_min",
            "sort",
        ),
        *(
            "reshape",
            "squeeze",
            "expand_dims",
            "transpose",
            "broadcast_in_dim",
            "concatenate",
            "split",
            "pad",
            "rev",
        ),
        *(
            "slice",
            "dynamic_slice",
            "dynamic_update_slice",
            "gather",
            "scatter",
            "select_n",
            "iota",
            "copy",
            "copy_p",
        ),
        *("convert_element_type", "reduce_precision", "stop_gradient", "optimization_barrier", "device_put"),
    )
)
ROUNDED = frozenset(("add", "sub", "mul", "div", "sqrt", "add_any", "square"))
# units in the last place: the largest error, and the root mean square
ULPS = {
    **dict.fromkeys(("exp", "log", "cbrt"), (2.0, 0.38)),
    **dict.fromkeys(("sin", "cos", "atan", "pow", "integer_pow", "atan2"), (1.0, 0.31)),
    **dict.fromkeys(("log1p", "logistic", "asinh", "rsqrt"), (3.0, 0.55)),
    **dict.fromkeys(("exp2", "expm1", "tanh", "erf"), (6.0, 1.2)),
    **dict.fromkeys(("erfc", "erf_inv", "sinh", "cosh", "tan", "lgamma", "digamma"), (65.0, 9.0)),
}
UNKNOWN = (4.0, 1.0)
MANTISSA = 0.541  # mean of 1 / m^2 for 1 <= m < 2 with log m uniform: 3 / (8 log 2)
NORMWISE = frozenset(("svd", "eigh", "eig"))
INLINED = frozenset(
    (
        *("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)
LOOPS = frozenset(("while", "cond", "custom_linear_solve", "pure_callback", "io_callback"))
_EXPONENT, _FRACTION = 0x7FF0_0000_0000_0000, 0x000F_FFFF_FFFF_FFFF  # bits of a float64

Shapes = list[jax.ShapeDtypeStruct]
Sizes = list[tuple[Array, Array]]  # of the error at each shift: at most, and its variance


def rounding_errors(
    function: Callable[..., Sequence[Array]], arguments: Sequence[Array], cotangents: Sequence[Array]
) -> tuple[tuple[Array, ...], Array, Array]:
    """How rounding on the way moves sum <c_i, out_i>, to first order, in units of u and u^2.

    **Arguments:** `function`: float64 arrays -> a sequence of outputs; it can be differentiated in reverse mode.
    **Returns:** the sum's gradients with respect to the arguments; the largest move, if all errors conspire; the variance of
    the move, if errors are independent.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    first = _Pass()
    jax.eval_shape(lambda *a: _run(closed, a, first), *arguments)

    def shifted(shifts: list[Array], given: Sequence[Array]) -> tuple[list[Array], Sizes]:
        second = _Pass(shifts)
        return _run(closed, given, second), second.sizes

    still = [jnp.zeros(s.shape, s.dtype) for s in first.shapes]
    _, back, sizes = jax.vjp(shifted, still, tuple(arguments), has_aux=True)
    adjoints, gradients = back(list(cotangents))
    zero = jnp.zeros((), cotangents[0].dtype)
    worst = sum((jnp.sum(jnp.abs(a) * most) for a, (most, _) in zip(adjoints, sizes, strict=True)), zero)
    variance = sum((jnp.sum(a * a * v) for a, (_, v) in zip(adjoints, sizes, strict=True)), zero)
    return gradients, worst, variance


class _Pass:
    """One pass over a program: the first notes the shapes of the shifts, which are 0 in it; the second is given them."""

    def __init__(self, shifts: Sequence[Array] | None = None):
        self.shapes: Shapes = []
        self.sizes: Sizes = []
        self._shifts = None if shifts is None else iter(shifts)

    def take(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """The next shift."""
        self.shapes.append(jax.ShapeDtypeStruct(shape, dtype))
        return jnp.zeros(shape, dtype) if self._shifts is None else next(self._shifts)

    def shift(self, value: Array, most: Array, variance: Array) -> Array:
        """The value with an error of that size; a size that is not finite belongs to a value that is not."""
        known = jnp.isfinite(value)
        kept = lambda size: jax.lax.stop_gradient(jnp.where(known, size, 0.0))
        self.sizes.append((kept(most), kept(variance)))
        return value + self.take(value.shape, value.dtype)


def _run(closed: ClosedJaxpr, arguments: Sequence[Array], passing: _Pass) -> list[Array]:
    """The program with its shifts."""
    jaxpr = closed.jaxpr
    known: dict[Any, Array] = {
        v: _constant(c, passing) for v, c in zip(jaxpr.constvars, closed.consts, strict=True)
    }
    known |= zip(jaxpr.invars, arguments, strict=True)

    def read(atom: Any) -> Array:
        if not isinstance(atom, Literal):
            return known[atom]
        return _constant(np.asarray(atom.val), passing)

    for equation in jaxpr.eqns:
        found = _outputs(equation, [read(atom) for atom in equation.invars], passing)
        known |= zip(equation.outvars, found, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _constant(value: Any, passing: _Pass) -> Array:
    """A number that is written in the program is rounded too, unless float32 holds it; parameters are traced, and exact."""
    if isinstance(value, Tracer) or not _is_real(value):
        return jnp.asarray(value)
    lost = np.asarray(value) != np.asarray(value, np.float32)
    if not lost.any():
        return jnp.asarray(value)
    power = jnp.where(lost, _power(jnp.asarray(value)), 0.0)
    return passing.shift(jnp.asarray(value), power, power**2 / 3)


def _outputs(equation: JaxprEqn, inputs: list[Array], passing: _Pass) -> list[Array]:
    """What one operation gives, with its shifts."""
    name, inner = equation.primitive.name, _inner(equation)
    if name == "scan":
        return _scanned(equation, inputs, passing)
    if name in INLINED and inner is not None and not _loops(inner):
        return _run(inner, inputs, passing)
    if not any(_is_real(v) for v in equation.outvars) or name in EXACT:
        return _bound(equation, inputs)
    if name == "cumsum":  # the rounding of a partial sum is in all later ones: a shift of the term
        power = _power(_bound(equation, inputs)[0])
        return _bound(equation, [passing.shift(inputs[0], power, power**2 / 3)])
    if name in RULES or name in ROUNDED or name in ULPS:
        (value,) = _bound(equation, inputs)
        most, variance = RULES.get(name, _elementwise)(equation, inputs, value)
        return [passing.shift(value, most, variance)]
    if name in NORMWISE:
        return [passing.shift(v, *_normwise(v, inputs[0])) for v in _bound(equation, inputs)]
    given = [passing.shift(v, *_ulps(v, *UNKNOWN)) if _is_real(v) else v for v in inputs]
    found = _bound(equation, given)
    return [passing.shift(v, *_ulps(v, *UNKNOWN)) if _is_real(v) else v for v in found]


def _scanned(equation: JaxprEqn, inputs: list[Array], passing: _Pass) -> list[Array]:
    """A scan with a shift of every step's every operation."""
    p, body = equation.params, equation.params["jaxpr"]
    ends = p["num_consts"], p["num_consts"] + p["num_carry"]
    constants, carry, xs = inputs[: ends[0]], inputs[ends[0] : ends[1]], inputs[ends[1] :]
    first = _Pass()
    jax.eval_shape(lambda c, k, x: _run(body, [*c, *k, *(a[0] for a in x)], first), constants, carry, xs)
    shifts = [passing.take((p["length"], *s.shape), s.dtype) for s in first.shapes]

    def step(carry: list[Array], x: Any) -> Any:
        second = _Pass(x[1])
        found = _run(body, [*constants, *carry, *x[0]], second)
        return found[: p["num_carry"]], (found[p["num_carry"] :], second.sizes)

    carry, (ys, sizes) = jax.lax.scan(step, carry, (xs, shifts), length=p["length"], reverse=p["reverse"])
    passing.sizes.extend(sizes)
    return [*carry, *ys]


def _elementwise(equation: JaxprEqn, inputs: list[Array], value: Array) -> tuple[Array, Array]:
    """Of an operation on one number, or two."""
    name = equation.primitive.name
    if name in ULPS:
        return _ulps(value, *ULPS[name])
    power = _power(value)
    if name in ("add", "sub", "add_any"):
        power = jnp.where((inputs[0] == 0) | (inputs[1] == 0), 0.0, power)
    if name in ("mul", "div"):
        trivial = _is_power(inputs[1]) if name == "div" else _is_power(inputs[0]) | _is_power(inputs[1])
        power = jnp.where(trivial, 0.0, power)
    return power, power**2 / 3


def _sum(equation: JaxprEqn, inputs: list[Array], value: Array) -> tuple[Array, Array]:
    """Of a sum along axes: the first partial sum, a term, is not rounded."""
    x = jax.lax.stop_gradient(inputs[0])
    total = lambda v: _bound(equation, [v])[0]
    count = total((x != 0).astype(x.dtype))
    terms = jnp.maximum(count, 1.0)
    squares = (terms + 1) / 3 * value**2 + ((terms + 1) / 6 - 1 / terms) * total(x * x)
    return (terms - 1) * total(jnp.abs(x)), jnp.where(count > 1, MANTISSA / 3 * squares, 0.0)


def _product(equation: JaxprEqn, inputs: list[Array], value: Array) -> tuple[Array, Array]:
    """Of matrix products and convolutions: products are rounded too, where the device does not fuse them with the sum."""
    a, b = map(jax.lax.stop_gradient, inputs)
    product = lambda a, b: _bound(equation, [a, b])[0]
    terms = product((a != 0).astype(a.dtype), (b != 0).astype(b.dtype))
    squares = (terms + 1) / 3 * value**2 + ((terms + 1) / 6 + 1) * product(a * a, b * b)
    return (terms + 1) * product(jnp.abs(a), jnp.abs(b)), MANTISSA / 3 * squares


RULES: dict[str, Callable[[JaxprEqn, list[Array], Array], tuple[Array, Array]]] = {
    "reduce_sum": _sum,
    "dot_general": _product,
    "conv_general_dilated": _product,
}


def _ulps(value: Array, worst: float, typical: float) -> tuple[Array, Array]:
    """Errors in units in the last place, which are 2 u 2^e."""
    power = _power(value)
    return 2 * worst * power, (2 * typical * power) ** 2


def _normwise(value: Array, matrix: Array) -> tuple[Array, Array]:
    """Of singular and eigenvalues of a matrix of order m: at most m u, and sqrt(m) / 2 u, of the largest of them."""
    order, largest = float(max(matrix.shape[-2:])), jnp.full(value.shape, jnp.max(jnp.abs(value)))
    return order * largest, order / 4 * largest**2


def _power(value: Array) -> Array:
    """2^e with 2^e <= |value| < 2^(e + 1); 0 for 0."""
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(value).astype(jnp.float64), jnp.int64)
    return jax.lax.bitcast_convert_type(bits & _EXPONENT, jnp.float64)


def _is_power(value: Array) -> Array:
    """Whether a number is 0 or, but for its sign, a power of 2."""
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(value).astype(jnp.float64), jnp.int64)
    return (bits & _FRACTION) == 0


def _is_real(v: Any) -> bool:
    return jnp.issubdtype(getattr(v, "aval", v).dtype, jnp.floating)


def _bound(equation: JaxprEqn, inputs: Sequence[Array]) -> list[Array]:
    """The operation as JAX has it, with its own derivatives."""
    found = equation.primitive.get_bind_params(equation.params)
    functions, params = found if isinstance(found, tuple) else ((), found)  # a pair before JAX 0.10
    values = equation.primitive.bind(*functions, *inputs, **params)
    return list(values) if equation.primitive.multiple_results else [values]


def _inner(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an operation calls."""
    held = [equation.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in equation.params]
    return None if not held else held[0] if isinstance(held[0], ClosedJaxpr) else ClosedJaxpr(held[0], ())


def _loops(closed: ClosedJaxpr) -> bool:
    """Whether there is something in a program that has no derivative of its own."""
    return any(
        e.primitive.name in LOOPS or ((inner := _inner(e)) is not None and _loops(inner))
        for e in closed.jaxpr.eqns
    )
