"""What rounding does to what torch computes: the running error analysis of `conditioning._rounding`, call by call.

While a map runs, every call of a torch function that rounds gets a shift of its result, 0 but with a gradient; one reverse
pass gives the adjoints of all, and a second one, with each row times its number, says which row each belongs to. Sizes of
errors are those of JAX's operations. What a map makes of its parameters alone (the product of two factors, say) has no row:
its standard deviation is carried along, and enters where it meets a row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shoal.conditioning import MANTISSA

Function = Callable[[Tensor], tuple[Tensor, Tensor]]
ROUNDED = frozenset(
    (
        *("add", "sub", "mul", "div", "truediv", "pow", "sqrt", "square", "reciprocal", "cumsum"),
        *("radd", "rsub", "rmul", "rdiv", "rtruediv", "rpow", "iadd", "isub", "imul", "idiv", "itruediv"),
        *("addcmul", "lerp"),
    )
)
EXACT = frozenset(
    (
        *("neg", "abs", "sign", "relu", "clamp", "clip", "max", "min", "maximum", "minimum"),
        *("amax", "amin", "floor", "ceil", "where", "masked_fill", "gather", "index_select", "sort"),
        *("take_along_dim", "cat", "concat", "stack", "clone", "copy", "contiguous", "repeat", "pad"),
        *("repeat_interleave", "flip", "roll", "to", "double", "float", "type", "getitem", "setitem"),
        *("reshape", "flatten", "dropout", "tril", "triu", "diag", "detach", "requires_grad", "get"),
        *("zeros_like", "ones_like", "full_like", "empty_like", "tensor", "as_tensor", "new_tensor"),
        *("new_zeros", "new_ones", "new_full", "new_empty"),
    )
)
PRODUCTS = frozenset(
    (
        *("linear", "matmul", "mm", "bmm", "mv", "addmm", "baddbmm", "einsum", "dot", "tensordot"),
        *("conv1d", "conv2d", "conv_transpose2d"),
    )
)
# units in the last place: the largest error, and the root mean square
ULPS = {
    **dict.fromkeys(("exp", "log", "log1p", "tanh", "atan", "erf", "sin", "cos", "elu"), (1.0, 0.32)),
    **dict.fromkeys(("softplus", "logsigmoid", "logaddexp", "rsqrt", "leaky_relu"), (2.0, 0.45)),
    **dict.fromkeys(("sigmoid", "silu", "logsumexp", "norm"), (3.0, 0.55)),
}
UNKNOWN = (4.0, 1.0)
STEP = 2.0**-24  # of the differences by which errors of parameters' functions are carried along


def rounding(
    function: Function, points: Tensor, cotangents: Tensor, context: Tensor | None
) -> tuple[Tensor, ...]:
    """As `MapView.rounding`. **Raises:** NotImplementedError where calls can not be seen, or rows are mixed."""
    p = points.detach().requires_grad_()
    given = [p] if context is None else [p, context]
    with _Shifting() as calls:
        images, log_dets = function(p.clone())
    values = (images * cotangents).sum(1) + log_dets
    sums = torch.zeros(2, len(p), dtype=p.dtype)
    if not values.requires_grad:
        return torch.zeros_like(p), *sums, *map(torch.zeros_like, given[1:])
    shifts = [shift for shift, *_ in calls.made]
    found = torch.autograd.grad(values.sum(), [*given, *shifts], retain_graph=True, allow_unused=True)
    numbers = torch.arange(1, len(p) + 1, dtype=p.dtype)
    again = torch.autograd.grad((values * numbers).sum(), shifts, allow_unused=True) if shifts else ()
    slopes = [torch.zeros_like(v) if g is None else g for v, g in zip(given, found, strict=False)]
    for adjoint, numbered, (_, most, spread) in zip(found[len(given) :], again, calls.made, strict=True):
        if adjoint is not None and numbered is not None:  # whose row is the one that both differ by
            known = torch.isfinite(adjoint) & (adjoint != 0)
            rows = (numbered[known] / adjoint[known]).round().long() - 1
            if ((rows < 0) | (rows >= len(p))).any():
                raise NotImplementedError("Images of this map depend on the rows beside them.")
            sums[0].index_add_(0, rows, (adjoint.abs() * most)[known])
            sums[1].index_add_(0, rows, (adjoint**2 * spread)[known])
    lost = ~torch.isfinite(slopes[0]).all(1)
    return slopes[0], *torch.where(lost, torch.nan, sums), *slopes[1:]


class _Shifting(TorchFunctionMode):
    """Adds shifts to the results of calls. `made`: of each the shift, its error at most, and the error's variance."""

    def __init__(self) -> None:
        TorchFunctionMode.__init__(self)
        self.made: list[tuple[Tensor, Tensor, Tensor]] = []
        # of parameters' functions, which are kept alive
        self._deviations: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        call: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the call gives, shifted."""
        name, given = call.__name__.strip("_"), kwargs or {}
        if name == "grad":
            raise NotImplementedError("This map differentiates on its way: what that rounds is not seen.")
        if name in COMPOSED and args:
            with self:
                return COMPOSED[name](args[0], given["dim"] if "dim" in given else args[1])
        value = call(*args, **given)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        exact = name in EXACT or value._is_view()
        with torch.no_grad():
            carried = self._carried(call, args, given, value) if call.__name__[-1] != "_" or exact else None
            most, spread = (torch.zeros_like(value),) * 2 if exact else _sizes(name, call, args, given, value)
            if carried is not None:
                most, spread = most + 3**0.5 * carried.abs(), spread + carried**2
        if not value.requires_grad:
            if spread.any():
                self._deviations[id(value)] = (value, spread.sqrt())
            return value
        if exact and carried is None:
            return value
        return self._shifted(value, most, spread, in_place=any(value is a for a in args))

    def _shifted(self, value: Tensor, most: Tensor, spread: Tensor, *, in_place: bool = False) -> Tensor:
        if not value.requires_grad:
            return value
        shift = torch.zeros_like(value, requires_grad=True)
        self.made.append((shift, most.detach(), spread.detach()))
        return value.add_(shift) if in_place else value + shift

    def _carried(
        self, call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], value: Tensor
    ) -> Tensor | None:
        """What the errors of parameters' functions do to the result, with signs at random; None where none enters."""
        known = [self._deviations.get(id(a)) for a in args]
        if not any(known):
            return None
        sign = lambda a: torch.randint_like(a, 2) * 2 - 1
        moved = [a if k is None else a + STEP * sign(a) * k[1] for a, k in zip(args, known, strict=True)]
        return (call(*moved, **kwargs) - value) / STEP


def _exponentials(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """e^(x - max x) and its sum."""
    e = torch.exp(x - torch.amax(x, axis, keepdim=True).detach())
    return e, torch.sum(e, axis, keepdim=True)


def _softmax(x: Tensor, axis: int) -> Tensor:
    """Of e^x and its sum, so that an error of the sum is in all."""
    e, total = _exponentials(x, axis)
    return e / total


def _log_softmax(x: Tensor, axis: int) -> Tensor:
    return x - torch.amax(x, axis, keepdim=True).detach() - torch.log(_exponentials(x, axis)[1])


COMPOSED: dict[str, Callable[[Tensor, int], Tensor]] = {"softmax": _softmax, "log_softmax": _log_softmax}


def _sizes(
    name: str, call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], value: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the error of a call: at most, and its variance, in units of u and u^2."""
    if name in PRODUCTS or name in ("sum", "mean"):
        over = lambda f: call(*(f(a) if isinstance(a, Tensor) else a for a in args), **kwargs)
        terms, size = over(lambda a: (a != 0).to(a)), over(torch.abs)
        squares = over(torch.square)
        if name in PRODUCTS:
            spread = (terms + 1) / 3 * value**2 + ((terms + 1) / 6 + 1) * squares
            return (terms + 1) * size, MANTISSA / 3 * spread
        count = args[0].numel() / max(value.numel(), 1)
        each = count if name == "mean" else 1.0  # a mean is a sum by the number of terms
        m = (terms * each).clamp_min(1.0)
        spread = (m + 1) / 3 * value**2 + ((m + 1) / 6 - 1 / m) * squares / each
        return (m - 1) * size, MANTISSA / 3 * spread * (m > 1)
    power = _power(value)
    if name in ROUNDED:
        inputs = [a for a in args[:2] if isinstance(a, Tensor | float | int)]
        power = torch.where(_is_exact(name, inputs, value), 0.0, power)
        flat = name.endswith(("add", "sub"))
        slope = lambda c: 1.0 if flat else value.abs() / abs(c or 1.0)
        constants = [a for a in inputs if isinstance(a, float)]
        lost = sum((_lost(c, slope(c)) for c in constants), torch.zeros_like(power))
        return power + lost, power**2 / 3 + lost**2
    worst, typical = ULPS.get(name, UNKNOWN)
    return 2 * worst * power, (2 * typical * power) ** 2


def _is_exact(name: str, inputs: Sequence[Any], value: Tensor) -> Tensor:
    """Where a sum has a term that is 0, a product a factor that is 0 or a power of 2, or a quotient such a divisor."""
    none = torch.zeros_like(value, dtype=torch.bool)
    if len(inputs) < 2 or any(a is value for a in inputs):  # in place: what was added is not known any more
        return none
    a, b = (torch.as_tensor(v, dtype=value.dtype) for v in inputs)
    if name.endswith(("add", "sub")):
        return none | (a == 0) | (b == 0)
    if name.endswith("mul"):
        return none | _is_power(a) | _is_power(b)
    return none | _is_power(a if name[0] == "r" else b) if name.endswith("div") else none


def _lost(constant: float, slope: Tensor | float) -> Tensor | float:
    """What a number that is written in the program loses in float32, in units of u, times the slope of the result in it."""
    return slope * (abs(float(np.float32(constant)) - constant) / STEP) if np.isfinite(constant) else 0.0


def _power(value: Tensor) -> Tensor:
    """2^e with 2^e <= |value| < 2^(e + 1); 0 for 0 and what is not finite."""
    v = value.detach()
    known = torch.isfinite(v) & (v != 0)
    exponent = torch.frexp(torch.where(known, v, 1.0)).exponent
    return torch.where(known, torch.ldexp(torch.ones_like(v), exponent - 1), 0.0)


def _is_power(value: Tensor) -> Tensor:
    return (torch.frexp(value.detach()).mantissa.abs() == 0.5) | (value == 0)
