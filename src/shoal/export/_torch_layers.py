"""A flow that Shoal fitted, in plain PyTorch. This file, `flow.py`, and `flow.pt` beside it need PyTorch and nothing else.

    from flow import load
    flow = load("flow.pt")                      # a torch.nn.Module; its parameters can be trained on
    flow.log_prob(x), flow.inverse(x), flow.sample(1000)

Rows are (rows, n), in the units of the columns that the flow was fitted on; a conditional flow takes a context (rows, c)
beside. `forward` is latent z -> data x and `inverse` data -> latent; both give log|det| of their own Jacobian, (rows,), too.
Classes, fields and formulas are those of Shoal, under the same names; what Shoal does not train is a buffer here.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_BIN, MIN_DERIVATIVE = 1e-3, 1e-3
RAW_ONE = math.log(math.expm1(1.0 - MIN_DERIVATIVE))
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Part(nn.Module):
    """A module whose attributes are the fields of the class of Shoal that has its name."""

    fixed: tuple[str, ...] = ()

    def __init__(self, fields: dict):
        nn.Module.__init__(self)
        for name, value in fields.items():
            if isinstance(value, Tensor) and (name in self.fixed or not value.is_floating_point()):
                self.register_buffer(name, value)
            elif isinstance(value, Tensor):
                setattr(self, name, nn.Parameter(value))
            elif isinstance(value, list) and value and isinstance(value[0], nn.Module):
                setattr(self, name, nn.ModuleList(value))
            elif isinstance(value, list) and value and isinstance(value[0], Tensor):
                setattr(self, name, nn.ParameterList(value))
            else:
                setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return nn.Module.__getattr__(self, name)


class Chain(Part):
    """The bijections one after the other, the first one next to the latent."""

    def forward(self, z, c=None):
        total = z.new_zeros(z.shape[0])
        for part in self.bijections:
            z, log_det = part(z, c)
            total = total + log_det
        return z, total

    def inverse(self, x, c=None):
        total = x.new_zeros(x.shape[0])
        for part in reversed(self.bijections):
            x, log_det = part.inverse(x, c)
            total = total + log_det
        return x, total


class Inverse(Part):
    """The inverse of a bijection."""

    def forward(self, z, c=None):
        return self.bijection.inverse(z, c)

    def inverse(self, x, c=None):
        return self.bijection(x, c)


class StandardizedContext(Part):
    """A bijection that sees the context in units of its deviation."""

    fixed = ("mean", "scale")

    def forward(self, z, c=None):
        return self.bijection(z, (c - self.mean) / self.scale)

    def inverse(self, x, c=None):
        return self.bijection.inverse(x, (c - self.mean) / self.scale)


class Partition(Part):
    """Which coordinates are kept, a list of numbers; the others are moved."""

    def split(self, x):
        return x[:, self.kept], x[:, [i for i in range(self.dim) if i not in self.kept]]

    def join(self, kept, moved):
        order = [*self.kept, *(i for i in range(self.dim) if i not in self.kept)]
        return torch.cat([kept, moved], 1)[:, [order.index(i) for i in range(self.dim)]]


class ArrayPartition(Part):
    """The same with the numbers as tensors."""

    def split(self, x):
        return x[:, self.kept], x[:, self.moved]

    def join(self, kept, moved):
        return torch.cat([kept, moved], 1)[:, self.order]


class OnPart(Part):
    """A bijection of the moved coordinates."""

    def forward(self, z, c=None):
        kept, moved = self.partition.split(z)
        moved, log_det = self.bijection(moved, c)
        return self.partition.join(kept, moved), log_det

    def inverse(self, x, c=None):
        kept, moved = self.partition.split(x)
        moved, log_det = self.bijection.inverse(moved, c)
        return self.partition.join(kept, moved), log_det


class Coupling(Part):
    """What is kept says how the rest is moved."""

    def forward(self, z, c=None):
        kept, moved = self.partition.split(z)
        moved, log_slopes = self.transformer(self.conditioner(kept, c), moved)
        return self.partition.join(kept, moved), log_slopes.sum(1)

    def inverse(self, x, c=None):
        kept, moved = self.partition.split(x)
        moved, log_slopes = self.transformer.inverse(self.conditioner(kept, c), moved)
        return self.partition.join(kept, moved), log_slopes.sum(1)


class Autoregressive(Part):
    """Coordinate i is moved as those before it say; `forward` takes one pass of the conditioner for each coordinate."""

    def forward(self, z, c=None):
        z, n = self.ordered(z), z.shape[1]
        x, slopes = torch.zeros_like(z), []
        for i in range(n):
            raw = self.conditioner(x, c).reshape(len(z), -1, n)[:, :, i]
            moved, log_slope = self.transformer(raw, z[:, i : i + 1])
            x = torch.cat([x[:, :i], moved, x[:, i + 1 :]], 1)
            slopes.append(log_slope)
        return self.ordered(x), torch.cat(slopes, 1).sum(1)

    def inverse(self, x, c=None):
        x = self.ordered(x)
        z, log_slopes = self.transformer.inverse(self.conditioner(x, c), x)
        return self.ordered(z), log_slopes.sum(1)

    def ordered(self, v):
        """The coordinates from the last to the first where `reverse` is set."""
        return v.flip(1) if bool(self.reverse) else v


ACTIVATIONS = {
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "gelu": lambda h: F.gelu(h, approximate="tanh"),
}


class DenseConditioner(Part):
    """skip h + bias + net(h), h the inputs and the context."""

    def forward(self, x, c: Any = None):
        h = torch.cat([x, c], 1) if self.context else x
        skip, weights, last = self.matrices(h.shape[1])
        y = h @ skip.T + self.bias
        for w, b in zip(weights, self.biases, strict=True):
            h = ACTIVATIONS[self.activation](h @ w.T + b)
        return y + h @ last.T if weights else y

    def matrices(self, inputs):
        """The matrices as they act."""
        return self.skip, list(self.weights), self.last


class MaskedConditioner(DenseConditioner):
    """The same; outputs of coordinate i see coordinates before i and the context (MADE)."""

    def matrices(self, inputs):
        n = inputs - self.context
        arange = lambda *bounds: torch.arange(*bounds, device=self.skip.device)
        outputs = arange(1, n + 1).repeat(self.skip.shape[0] // n)
        seen = torch.cat([arange(1, n + 1), arange(self.context) * 0])
        weights, degree, first = [], seen, 0 if self.context else 1
        for w in self.weights:
            new = first + (arange(len(w)) * max(n - first, 1)) // max(len(w), 1)
            weights.append(w * (new[:, None] >= degree[None, :]))
            degree = new
        last = self.last * (outputs[:, None] > degree[None, :]) if weights else self.last
        return self.skip * (outputs[:, None] > seen[None, :]), weights, last


class ExponentialScale(Part):
    """log s = raw."""

    def forward(self, raw):
        return raw


class SoftBoundedScale(Part):
    """log s = bound tanh(raw / bound)."""

    def forward(self, raw):
        return self.bound * torch.tanh(raw / self.bound)


class SigmoidScale(Part):
    """s = (1 + sigmoid(raw + 2)) / 2."""

    def forward(self, raw):
        return torch.log(0.5 + 0.5 * torch.sigmoid(raw + 2.0))


class Additive(Part):
    """x = z + t."""

    def forward(self, raw, z):
        return z + raw, torch.zeros_like(z)

    def inverse(self, raw, x):
        return x - raw, torch.zeros_like(x)


class Affine(Part):
    """x = s z + t."""

    def forward(self, raw, z):
        log_scale = self.scale(raw[:, : z.shape[1]])
        return z * torch.exp(log_scale) + raw[:, z.shape[1] :], log_scale

    def inverse(self, raw, x):
        log_scale = self.scale(raw[:, : x.shape[1]])
        return (x - raw[:, x.shape[1] :]) * torch.exp(-log_scale), -log_scale


class RationalQuadratic(Part):
    """z = q((x - t) / s), q a monotone rational-quadratic spline on [-bound, bound], the identity outside."""

    def forward(self, raw, z):
        log_scale, shift, edges, slopes = self.knots(raw, z.shape[1])
        inside = (z > -self.bound) & (z < self.bound)
        u0, w, v0, h, d0, d1 = in_bin(edges, slopes, slopes, torch.where(inside, z, 0.0), 1)
        t = place_in_bin((torch.where(inside, z, 0.0) - v0) / h, h / w, d0, d1)
        _, log_slope = value_in_bin(t, v0, h, h / w, d0, d1)
        u = torch.where(inside, u0 + t * w, z)
        return u * torch.exp(log_scale) + shift, log_scale - torch.where(inside, log_slope, 0.0)

    def inverse(self, raw, x):
        log_scale, shift, edges, slopes = self.knots(raw, x.shape[1])
        u = (x - shift) * torch.exp(-log_scale)
        inside = (u > -self.bound) & (u < self.bound)
        safe = torch.where(inside, u, 0.0)
        u0, w, v0, h, d0, d1 = in_bin(edges, slopes, slopes, safe, 0)
        z, log_slope = value_in_bin((safe - u0) / w, v0, h, h / w, d0, d1)
        return torch.where(inside, z, u), torch.where(inside, log_slope, 0.0) - log_scale

    def knots(self, raw, m):
        """log s, t, the knots (rows, m, 2, bins + 1), places then values, and the slopes at them."""
        rows, k = len(raw), self.bins
        free = raw[:, 2 * m :].reshape(rows, 3 * k - 1, m).transpose(1, 2)
        both = torch.softmax(free[..., : 2 * k].reshape(rows, m, 2, k), 3)
        inner = torch.cumsum(MIN_BIN + (1.0 - MIN_BIN * k) * both[..., :-1], 3)
        end = torch.full_like(inner[..., :1], self.bound)
        edges = torch.cat([-end, -self.bound + 2.0 * self.bound * inner, end], 3)
        slopes = MIN_DERIVATIVE + softplus(free[..., 2 * k :] + RAW_ONE)
        one = torch.ones_like(slopes[..., :1])
        return self.scale(raw[:, :m]), raw[:, m : 2 * m], edges, torch.cat([one, slopes, one], 2)


def softplus(x):
    """log(1 + e^x), to rounding everywhere."""
    return torch.logaddexp(x, torch.zeros_like(x))


def in_bin(edges, lower, upper, at, axis):
    """(u0, w, v0, h, d0, d1) of the bin that holds `at`; `edges` (rows or 1, m, 2, K + 1), slopes d0 at `lower`."""
    inner = edges[:, :, axis, 1:-1]
    index = (at[..., None] >= inner).sum(-1, keepdim=True)
    pick = lambda part, i: torch.take_along_dim(part.expand(len(at), *part.shape[1:]), i, 2)[..., 0]
    (u0, u1), (v0, v1) = ([pick(edges[:, :, a], index + step) for step in (0, 1)] for a in (0, 1))
    return u0, u1 - u0, v0, v1 - v0, pick(lower, index), pick(upper, index + 1)


def value_in_bin(t, v0, h, s, d0, d1):
    """Value and log-slope at t in [0, 1] of a bin."""
    mixed = t * (1.0 - t)
    below = s + (d0 + d1 - 2.0 * s) * mixed
    slope = d1 * t * t + 2.0 * s * mixed + d0 * (1.0 - t) ** 2
    return v0 + h * (s * t * t + d0 * mixed) / below, torch.log(slope * (s / below) ** 2)


def place_in_bin(y, s, d0, d1):
    """t in [0, 1] at which a bin has value y, in heights of the bin."""
    curve = d0 + d1 - 2.0 * s
    a, b, c = s - d0 + y * curve, d0 - y * curve, -s * y
    root = torch.sqrt(torch.clamp(b * b - 4.0 * a * c, min=0.0))
    return torch.clamp(-2.0 * c / (b + root), 0.0, 1.0)
