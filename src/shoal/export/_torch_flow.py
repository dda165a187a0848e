"""The second half of `flow.py`: elementwise and linear layers, bases, the flow and `load`. `_torch_layers` is the first."""

import math
from typing import Any

import torch
from torch.nn import functional as F

from shoal.export._torch_layers import HALF_LOG_2PI, Part, in_bin, place_in_bin, softplus, value_in_bin

REACH, MOST, LEAST = 20.0, 3.0, 1e-3  # of the tails: where the exponential ends; of slopes; the least index


def per_row(value, rows):
    """One number for every row."""
    return value.expand(len(rows))


class Permutation(Part):
    """x_i = z_{order_i}."""

    def forward(self, z, c=None):
        return z[:, self.order], z.new_zeros(len(z))

    def inverse(self, x, c=None):
        return x[:, self.inverse_order], x.new_zeros(len(x))


class LULinear(Part):
    """x = L U z + b."""

    def forward(self, z, c=None):
        y = z @ torch.triu(self.upper, 1).T + torch.exp(self.log_diagonal) * z
        return y @ torch.tril(self.lower, -1).T + y + self.bias, per_row(self.log_diagonal.sum(), z)

    def inverse(self, x, c=None):
        upper = torch.triu(self.upper, 1) + torch.diag(torch.exp(self.log_diagonal))
        y = torch.linalg.solve_triangular(self.lower, (x - self.bias).T, upper=False, unitriangular=True)
        z = torch.linalg.solve_triangular(upper, y, upper=True).T
        return z, per_row(-self.log_diagonal.sum(), x)


class DenseLinear(Part):
    """x = W z + b."""

    def forward(self, z, c=None):
        return z @ self.weight.T + self.bias, per_row(torch.linalg.slogdet(self.weight)[1], z)

    def inverse(self, x, c=None):
        z = torch.linalg.solve(self.weight, (x - self.bias).T).T
        return z, per_row(-torch.linalg.slogdet(self.weight)[1], x)


class SignFlip(Part):
    """Some coordinates change their sign."""

    def forward(self, z, c=None):
        signs = torch.ones_like(z[0])
        signs[self.flipped] = -1.0
        return z * signs, z.new_zeros(len(z))

    def inverse(self, x, c=None):
        return self.forward(x)


class ActNorm(Part):
    """x = exp(log_scale) z + shift."""

    def forward(self, z, c=None):
        return z * torch.exp(self.log_scale) + self.shift, per_row(self.log_scale.sum(), z)

    def inverse(self, x, c=None):
        return (x - self.shift) * torch.exp(-self.log_scale), per_row(-self.log_scale.sum(), x)


class Standardize(Part):
    """x = scale z + mean, the units of the columns."""

    fixed = ("mean", "scale")

    def forward(self, z, c=None):
        return z * self.scale + self.mean, per_row(torch.log(self.scale).sum(), z)

    def inverse(self, x, c=None):
        return (x - self.mean) / self.scale, per_row(-torch.log(self.scale).sum(), x)


class Support(Part):
    """z in R^n to intervals: a logistic curve between two bounds, an exponential beyond one."""

    def forward(self, z, c=None):
        below, above, low, high, length = self.ends(z)
        up = low + torch.exp(torch.where(below & ~above, z, 0.0))
        down = high - torch.exp(torch.where(above & ~below, -z, 0.0))
        between = low + length * (torch.sigmoid(z) - self.alpha)
        one = torch.where(below, up, torch.where(above, down, z))
        return torch.where(below & above, between, one), self.log_slopes(z).sum(1)

    def inverse(self, x, c=None):
        below, above, low, high, length = self.ends(x)
        wider = torch.where(below & above, self.alpha * length, 0.0)
        p = torch.where(below, wider + (x - low), 1.0)
        q = torch.where(above, wider + (high - x), 1.0)
        z = torch.where(below | above, torch.log(p) - torch.log(q), x)
        return z, -self.log_slopes(z).sum(1)

    def log_slopes(self, z):
        """log dx/dz of each coordinate."""
        below, above, _, _, length = self.ends(z)
        one = torch.where(below, z, torch.where(above, -z, 0.0))
        logistic = torch.log(length) + F.logsigmoid(z) + F.logsigmoid(-z)
        return torch.where(below & above, logistic, one)

    def ends(self, like):
        """Where there are bounds, the bounds, and the length between two of them."""
        low, high = (like.new_tensor(part).expand(like.shape[1]) for part in (self.low, self.high))
        below, above = torch.isfinite(low), torch.isfinite(high)
        low, high = torch.where(below, low, 0.0), torch.where(above, high, 0.0)
        length = torch.where(below & above, high - low, 1.0) / (1.0 - 2.0 * self.alpha)
        return below, above, low, high, length


def shortened(e, index):
    """log1p(index e) / index and its log-slope, along the tangent from far out on."""
    end, a = math.expm1(REACH), index * e
    beyond = a > end
    safe = torch.where(beyond, 0.0, a)
    straight = REACH + (torch.where(beyond, a, end) - end) * math.exp(-REACH)
    t = torch.where(beyond, straight, torch.log1p(safe)) / index
    return t, torch.where(beyond, -REACH, -torch.log1p(safe))


def lengthened(t, index):
    """The inverse of `shortened`."""
    a = index * t
    beyond = a > REACH
    safe = torch.where(beyond, 0.0, a)
    straight = math.expm1(REACH) + (torch.where(beyond, a, REACH) - REACH) * math.exp(REACH)
    return torch.where(beyond, straight, torch.expm1(safe)) / index, torch.where(beyond, REACH, safe)


class LogTails(Part):
    """Logarithmic tails beyond `start` on either side."""

    def forward(self, z, c=None):
        return self.bent(z, lengthened)

    def inverse(self, x, c=None):
        return self.bent(x, shortened)

    def bent(self, v, bend):
        """Both directions."""
        index, size = LEAST + softplus(self.raw), torch.abs(v)
        far, log_slope = bend(torch.clamp(size - self.start, min=0.0), torch.where(v < 0, index[0], index[1]))
        return torch.sign(v) * (torch.clamp(size, max=self.start) + far), log_slope.sum(1)


class Marginals(Part):
    """Each column by a monotone spline of its own, with logarithmic tails."""

    fixed = ("knots", "log_jumps", "log_heights", "log_slopes")

    def inverse(self, x, c=None):
        u, v, d, upper, index = self.curves()
        inside = torch.clamp(x, u[:, 0], u[:, -1])
        u0, w, v0, h, d0, d1 = in_bin(torch.stack([u, v], 1)[None], upper[None], d[None], inside, 0)
        z, log_slope = value_in_bin((inside - u0) / w, v0, h, h / w, d0, d1)
        low, low_slope = shortened(torch.clamp(u[:, 0] - x, min=0.0) * d[:, 0], index[:, 0])
        high, high_slope = shortened(torch.clamp(x - u[:, -1], min=0.0) * d[:, -1], index[:, 1])
        below, above = x < u[:, 0], x > u[:, -1]
        z = torch.where(below, v[:, 0] - low, torch.where(above, v[:, -1] + high, z))
        log_slope = torch.where(below, torch.log(d[:, 0]) + low_slope, log_slope)
        return z, torch.where(above, torch.log(d[:, -1]) + high_slope, log_slope).sum(1)

    def forward(self, z, c=None):
        u, v, d, upper, index = self.curves()
        inside = torch.clamp(z, v[:, 0], v[:, -1])
        u0, w, v0, h, d0, d1 = in_bin(torch.stack([u, v], 1)[None], upper[None], d[None], inside, 1)
        t = place_in_bin((inside - v0) / h, h / w, d0, d1)
        _, log_slope = value_in_bin(t, v0, h, h / w, d0, d1)
        low, low_slope = lengthened(torch.clamp(v[:, 0] - z, min=0.0), index[:, 0])
        high, high_slope = lengthened(torch.clamp(z - v[:, -1], min=0.0), index[:, 1])
        below, above = z < v[:, 0], z > v[:, -1]
        x = torch.where(below, u[:, 0] - low / d[:, 0], u0 + t * w)
        x = torch.where(above, u[:, -1] + high / d[:, -1], x)
        log_slope = torch.where(below, low_slope - torch.log(d[:, 0]), -log_slope)
        return x, torch.where(above, high_slope - torch.log(d[:, -1]), log_slope).sum(1)

    def curves(self):
        """Knots in x, knots in z, slopes dz/dx at their lower and upper sides, tail indices."""
        heights = torch.exp(self.log_heights + MOST * torch.tanh(self.free_heights / MOST))
        slopes = torch.exp(self.log_slopes + MOST * torch.tanh(self.free_slopes / MOST))
        first = self.first[:, None]
        z = torch.cat([first, first + torch.cumsum(heights, 1)], 1)
        return self.knots, z, slopes, slopes * torch.exp(self.log_jumps), LEAST + softplus(self.raw_tails)


class Whitening(Part):
    """z = U L (x - mean - slopes c)."""

    def inverse(self, x, c=None):
        away = x - self.centre(c)
        y = away @ torch.tril(self.lower, -1).T + torch.exp(self.log_diagonal) * away
        return y @ torch.triu(self.upper, 1).T + y, per_row(self.log_diagonal.sum(), x)

    def forward(self, z, c=None):
        y = torch.linalg.solve_triangular(self.upper, z.T, upper=True, unitriangular=True)
        lower = torch.tril(self.lower, -1) + torch.diag(torch.exp(self.log_diagonal))
        x = torch.linalg.solve_triangular(lower, y, upper=False).T
        return x + self.centre(c), per_row(-self.log_diagonal.sum(), z)

    def centre(self, c):
        """The mean, given the context where there is one."""
        return self.mean if self.slopes is None else self.mean + c @ self.slopes.T


class StandardNormal(Part):
    """N(0, 1) in every coordinate."""

    def log_prob(self, z, c=None):
        return -0.5 * (z * z).sum(1) - z.shape[1] * HALF_LOG_2PI

    def sample(self, normal, c=None):
        return normal


class DiagonalNormal(Part):
    """A normal with means and deviations of its own."""

    def log_prob(self, z, c=None):
        u = (z - self.mean) * torch.exp(-self.log_scale)
        return -0.5 * (u * u).sum(1) - self.log_scale.sum() - z.shape[1] * HALF_LOG_2PI

    def sample(self, normal, c=None):
        return self.mean + torch.exp(self.log_scale) * normal


class Mixture(Part):
    """A mixture of diagonal normals."""

    def log_prob(self, z, c=None):
        u = (z[:, None] - self.means) * torch.exp(-self.log_scales)
        each = -0.5 * (u * u).sum(2) - self.log_scales.sum(1) + torch.log_softmax(self.logits, 0)
        return torch.logsumexp(each, 1) - z.shape[1] * HALF_LOG_2PI

    def sample(self, normal, c=None):
        which = torch.distributions.Categorical(logits=self.logits).sample((len(normal),))
        return self.means[which] + torch.exp(self.log_scales[which]) * normal


class GaussianMixture(Part):
    """A mixture of normals with factors P_k of their precisions; the weights may follow a context."""

    def log_prob(self, z, c=None):
        u = torch.einsum("knm,rkn->rkm", self.factors(), z[:, None] - self.means)
        each = self.log_weights(z, c) + self.log_diagonals.sum(1) - 0.5 * (u * u).sum(2)
        return torch.logsumexp(each, 1) - z.shape[1] * HALF_LOG_2PI

    def sample(self, normal, c=None):
        which = torch.distributions.Categorical(logits=self.log_weights(normal, c)).sample()
        factors = self.factors().transpose(1, 2)[which]
        spread = torch.linalg.solve_triangular(factors, normal[:, :, None], upper=False)
        return self.means[which] + spread[:, :, 0]

    def log_weights(self, rows, c):
        """(rows, components)."""
        logits = self.logits.expand(len(rows), -1)
        return torch.log_softmax(logits if self.gates is None else logits + c @ self.gates.T, 1)

    def factors(self):
        """The triangular factors, (components, n, n)."""
        return torch.triu(self.uppers, 1) + torch.diag_embed(torch.exp(self.log_diagonals))


class Flow(Part):
    """x = bijection(z), z of the base."""

    def log_prob(self, x, c=None):
        """log p of each row, in nats."""
        z, log_det = self.bijection.inverse(x, c)
        return self.base.log_prob(z, c) + log_det

    def forward(self, z, c=None):
        """Data of latents."""
        return self.bijection(z, c)[0]

    def inverse(self, x, c=None):
        """Latents of data."""
        return self.bijection.inverse(x, c)[0]

    def sample(self, rows, c=None):
        """`rows` draws, or with a context one draw for each of its rows."""
        like = next(self.parameters())
        normal = torch.randn(
            rows if c is None else len(c), self.shape[0], dtype=like.dtype, device=like.device
        )
        with torch.no_grad():
            return self.forward(self.base.sample(normal, c), c)


def load(path, map_location=None) -> Any:
    """The flow in the file `path`."""
    found = torch.load(path, map_location=map_location, weights_only=True)
    return built(found["tree"], found["state"])


def built(node, state):
    """The module of a tree of classes, its tensors from `state` by their places."""
    if isinstance(node, list):
        return [built(part, state) for part in node]
    if not isinstance(node, dict):
        return node
    if "array" in node:
        return state[node["array"]].clone()
    if "float" in node:
        return float(node["float"])
    return PARTS[node["class"]]({name: built(value, state) for name, value in node["fields"].items()})


def kinds(kind):
    """A class and all that are derived from it, by name."""
    return {kind.__name__: kind} | {
        name: one for part in kind.__subclasses__() for name, one in kinds(part).items()
    }


PARTS = kinds(Part)
