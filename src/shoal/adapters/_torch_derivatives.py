"""Derivatives of torch functions on batches whose rows do not see each other, by reverse mode alone.

`torch.func.vmap` fails in libraries that write into fresh tensors, and forward mode where a function has no rule for it;
reverse mode works in all. With g(u) = J^T u, linear in u: J v = d<g, v>/du. Custom autograd functions (root finders, ODE
solvers) may drop second derivatives in silence; where there is one, first derivatives alone are used.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

Function: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]  # points (rows, n) -> images, log-dets


def vjp(function: Function, points: Tensor, cotangents: Tensor) -> Tensor:
    """J^T u at each row."""
    p, images = _at(function, points)
    return _pull(images, p, cotangents)


def jacobian(function: Function, points: Tensor) -> Tensor:
    """J at each row, one reverse pass for each of its rows."""
    p, images = _at(function, points)
    return _dense(images, p)


def jvp(function: Function, points: Tensor, tangents: Tensor) -> Tensor:
    """J v at each row: the derivative of u -> <J^T u, v>, or the Jacobian times v where there is a custom function."""
    p, images = _at(function, points)
    if _custom(images):
        return torch.einsum("rij,rj->ri", _dense(images, p), tangents)
    return _push(images, p, tangents, again=False)


def curvature(function: Function, points: Tensor, tangents: Tensor) -> Tensor:
    """D^2 f[v, v] at each row: the derivative of u -> <H(u) v, v>, H(u) the Hessian of <u, f>.

    Where there is a custom function: the central difference of the jvp, step eps^(1/5).
    """
    p, images = _at(function, points)
    if _custom(images):
        length = tangents.norm(dim=1, keepdim=True).clamp_min(torch.finfo(p.dtype).tiny)
        step = _step(p) / length
        ends = [jvp(function, p.detach() + s * tangents, tangents) for s in (step, -step)]
        return (ends[0] - ends[1]) / (2 * step)
    u = torch.zeros_like(images, requires_grad=True)
    first = _pull(images, p, u, again=True)
    return _pull(_pull(first, p, tangents, again=True), u, tangents)


def stretch(function: Function, points: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
    """log |J v| at each row and its gradient with respect to the point.

    Where there is a custom function: the gradient by central differences along each coordinate, step eps^(1/5).
    """
    p, images = _at(function, points)
    if _custom(images):
        logs = _log_norm(torch.einsum("rij,rj->ri", _dense(images, p), tangents))
        step, units = _step(p), torch.eye(p.shape[1], dtype=p.dtype)
        log = lambda q: _log_norm(jvp(function, q, tangents))
        slopes = [(log(p.detach() + step * e) - log(p.detach() - step * e)) / (2 * step[:, 0]) for e in units]
        return logs, torch.stack(slopes, 1)
    logs = _log_norm(_push(images, p, tangents, again=True))
    return logs.detach(), _pull(logs.sum(), p, None)


def loss_step(
    function: Function, points: Tensor, cotangents: Tensor, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """With L = <c, f(p)> - log-det at each row: |d mean(L) / d parameters| and dL/dp at each row.

    Parameters that L does not depend on have no share in it.
    """
    p = points.detach().requires_grad_()
    images, log_dets = function(p.clone())
    total = ((images * cotangents).sum(1) - log_dets).sum()
    if not total.requires_grad:
        return torch.zeros((), dtype=p.dtype), torch.zeros_like(p)
    of_points, *found = torch.autograd.grad(total, [p, *parameters], allow_unused=True)
    squares = [(g / len(p)).square().sum() for g in found if g is not None]
    norm = torch.stack(squares).sum().sqrt() if squares else torch.zeros((), dtype=p.dtype)
    return norm, torch.zeros_like(p) if of_points is None else of_points


def _at(function: Function, points: Tensor) -> tuple[Tensor, Tensor]:
    """The points with a gradient, and the images of a clone, for a library may write into its input."""
    p = points.detach().requires_grad_()
    return p, function(p.clone())[0]


def _push(images: Tensor, points: Tensor, tangents: Tensor, *, again: bool) -> Tensor:
    u = torch.zeros_like(images, requires_grad=True)
    return _pull(_pull(images, points, u, again=True), u, tangents, again=again)


def _dense(images: Tensor, points: Tensor) -> Tensor:
    rows = [_pull(images[:, i].sum(), points, None, keep=True) for i in range(images.shape[1])]
    return torch.stack(rows, 1)


def _pull(
    output: Tensor, source: Tensor, cotangent: Tensor | None, *, again: bool = False, keep: bool = False
) -> Tensor:
    """The gradient of <output, cotangent>; zeros where the output does not depend on the source, as in affine maps.

    The scalar is built here, for torch loads sympy to check the shape of a cotangent that is handed to it.
    """
    if not output.requires_grad:
        return torch.zeros_like(source)
    value = output if cotangent is None else (output * cotangent).sum()
    (gradient,) = torch.autograd.grad(
        value, source, create_graph=again, retain_graph=again or keep, materialize_grads=True
    )
    return gradient


def _custom(images: Tensor) -> bool:
    """Whether a function with a backward pass written in Python lies on the way to the images."""
    waiting, seen = [images.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, BackwardCFunction):
            return True
        seen.add(node)
        waiting += [parent for parent, _ in node.next_functions]
    return False


def _log_norm(vectors: Tensor) -> Tensor:
    top = vectors.detach().abs().amax(1, keepdim=True)  # the square of a large norm would overflow
    return top[:, 0].log() + 0.5 * (vectors / top).square().sum(1).log()


def _step(points: Tensor) -> Tensor:
    scale = points.detach().abs().amax(1, keepdim=True).clamp_min(1.0)
    return torch.finfo(points.dtype).eps ** (1 / 5) * scale  # wide: root finders return few digits
