"""What `construct` does with 4, 8 or 16 layers: triangular transport, its distance and its condition numbers, measured."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.conditioning import compute
from shoal.distributions import Flow, wasserstein
from shoal.records.figures import Figure
from shoal.universal._inputs import DType
from shoal.universal._transport import transport

POINTS, REPEATS = 1000, 8  # of each exact optimal transport, and how many
LATENTS = 4000  # at which condition numbers are computed
RESOLUTIONS = ((8, 6), (16, 12), (32, 24), (48, 48))  # bins of a spline, knots of the kept coordinate


@dataclass(frozen=True)
class Measured:
    """`w2`: sqrt of the mean over repeats of W2^2 between 1,000 points each of flow and sample, by exact transport.

    An estimate of an upper bound of W2 to the sample: E W2^2 of two finite samples is at least that of their laws. `floor`:
    the same between two parts of the sample; no construction can be seen to lie below it. `conditions`: for each layer
    ("layer 1", ... forward order) and the "composition" (to standardised data), the 99 % quantile over latents (an estimate)
    and the largest seen (a lower bound). `bins`, `slices`: the resolution.
    """

    epsilon: float
    w2: Figure
    floor: Figure
    conditions: dict[str, tuple[Figure, Figure]]
    bins: int
    slices: int
    dtype: str

    @property
    def worst_layer(self) -> Figure:
        """The largest 99 % kappa of a single layer."""
        return max(
            (c[0] for name, c in self.conditions.items() if name != "composition"), key=lambda f: f.value
        )

    def to_record(self) -> dict[str, Any]:
        """Plain dicts and numbers."""
        return {
            "epsilon": self.epsilon, "w2": self.w2.to_record(), "floor": self.floor.to_record(),
            "conditions": {
                name: {"at99": a.to_record(), "largest": b.to_record()} for name, (a, b) in self.conditions.items()
            },
            "bins": self.bins, "slices": self.slices, "dtype": self.dtype,
        }  # fmt: skip

    def __str__(self) -> str:
        composed = self.conditions["composition"]
        return (
            f"W2 to the sample: {self.w2} (two parts of the sample: {self.floor}; epsilon {self.epsilon:g})\n"
            f"  κ of the worst layer, 99 %: {self.worst_layer}; of the composition, 99 %: {composed[0]}, "
            f"largest {composed[1]}"
        )


@dataclass(frozen=True)
class Deeper:
    """`flow`: an ordinary flow of spline couplings; `certificate`: what was measured of it."""

    flow: Flow
    certificate: Measured


def deeper(
    x: FloatArray, weights: FloatArray, epsilon: float, layers: int, seed: int, dtype: DType
) -> Deeper:
    """The first resolution whose W2 (upper end of its interval) is at most epsilon.

    **Raises:** `InputError` that names the smallest distance that was measured.
    """
    if x.shape[1] != 2:
        raise InputError(
            f"`layers={layers}` needs samples of 2 columns, got {x.shape[1]}; `layers=2` takes 2 to 64."
        )
    rng = np.random.default_rng(seed)
    draw = lambda: x[rng.choice(len(x), min(POINTS, len(x)), replace=len(x) < 2 * POINTS, p=weights)]  # noqa: E731
    floor = _mean_w2([(draw(), draw()) for _ in range(REPEATS)])
    seen: list[float] = []
    for bins, slices in RESOLUTIONS:
        flow = transport(x, weights, layers, bins=bins, slices=slices, dtype=dtype)
        size = min(POINTS, len(x))
        z = rng.standard_normal((REPEATS * size, 2))
        images = compute(lambda f, v: f.forward(v), flow, z, precision=dtype).astype(np.float64)
        w2 = _mean_w2([(part, draw()) for part in np.split(images, REPEATS)])
        if w2.high is not None and w2.high <= epsilon:
            return Deeper(flow, Measured(epsilon, w2, floor, _conditions(flow, seed), bins, slices, dtype))
        seen.append(float(w2.high or np.inf))
    raise InputError(
        f"`epsilon` {epsilon:.4g} is not reached by {layers} layers: the smallest distance measured is {min(seen):.4g}, "
        f"and that of two parts of the sample {floor.value:.4g}; two layers have no such limit."
    )


def _mean_w2(pairs: list[tuple[FloatArray, FloatArray]]) -> Figure:
    squares = np.array([wasserstein(a, b) ** 2 for a, b in pairs])
    reach = norm.ppf(0.995) * squares.std(ddof=1) / len(squares) ** 0.5
    low, middle, high = np.sqrt(np.maximum(squares.mean() + np.array([-reach, 0.0, reach]), 0.0))
    return Figure(float(middle), "estimate", float(low), float(high))


def _conditions(flow: Flow, seed: int) -> dict[str, tuple[Figure, Figure]]:
    """Dense Jacobians in float64 at random latents; the last layer is the data's units."""
    z = np.random.default_rng(seed + 1).standard_normal((LATENTS, 2))
    found, composed = {}, np.broadcast_to(np.eye(2), (LATENTS, 2, 2))
    for i, layer in enumerate(flow.to_map().layers()[:-1]):
        jacobian, z = layer.jacobian(z), layer.forward(z)
        composed = jacobian @ composed
        found[f"layer {i + 1}"] = _figures(np.linalg.cond(jacobian))
    return found | {"composition": _figures(np.linalg.cond(composed))}


def _figures(kappa: FloatArray) -> tuple[Figure, Figure]:
    return Figure(float(np.quantile(kappa, 0.99)), "estimate"), Figure(float(kappa.max()), "lower_bound")
