"""Figures that more than one kind of record holds, as `shoal.conditioning` measures them."""

from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["exact", "lower_bound", "upper_bound", "estimate", "unresolved"]
SIGNS = {"exact": "= ", "lower_bound": ">= ", "upper_bound": "<= ", "estimate": "~ ", "unresolved": "? "}


def kind_words(kind: Kind) -> str:
    """The kind as text says it, such as "lower bound"."""
    return kind.replace("_", " ")


class ConditionSummary(msgspec.Struct, frozen=True):
    """Median, 99 % quantile, maximum over points; the `unresolved` ones have kappa > 1/eps or NaN, and count as inf."""

    median: float
    q99: float
    max: float
    unresolved: int


class RoundTripSummary(msgspec.Struct, frozen=True):
    """Median, 99.9 % quantile and maximum over points of an error: of a round trip, its largest coordinate's.

    An error that is not finite counts as the largest: the figures that it reaches are NaN.
    """

    median: float
    q999: float
    max: float


class LayerProfile(msgspec.Struct, frozen=True):
    """One layer over the points of the profile. Largest and smallest are over points; kappa is sigma_max / sigma_min.

    `lipschitz`, `inverse_lipschitz`: the largest local constants met, lower bounds of the true ones; `..._bound`: upper
    bounds on the box of the latents (None: no bound known). `amplification_forward`: largest |Dx/Dh_k|, of the layer's
    output to the data; `amplification_reverse`: largest |Dz/Dh_{k-1}|, of its input to the latent. `round_trip`: what
    h_k -> h_{k-1} -> h_k of this layer alone loses in float32. `gradient`: norm of the loss's gradient with respect to the
    layer's parameters. `curvature`: largest |D^2 f[v, v]|, |v| = 1, met: a lower bound. None: not known, or no time for it.
    """

    index: int
    name: str
    lipschitz: float
    inverse_lipschitz: float
    condition_median: float
    condition_q99: float
    condition_max: float
    condition_worst: float  # at the points where the whole map is worst conditioned
    log_det: float  # mean over points
    log_det_share: float  # of the sum over layers of the means' absolute values
    amplification_forward: float
    amplification_reverse: float
    round_trip: float | None
    gradient: float | None
    curvature: float | None
    lipschitz_bound: float | None = None
    inverse_lipschitz_bound: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """`value`; `kind`; `low`, `high`: an interval of 99 % for an estimate that has one."""

    value: float
    kind: Kind
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        mark = "" if self.kind == "exact" else SIGNS[self.kind]
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{mark}{self.value:.4g}{interval}"


class NextLayer(msgspec.Struct, frozen=True):
    """The nats a row that one more affine coupling next to the latent can take away, everything else left as it is.

    `gain`: of the better choice of the half that moves, with an interval of 99 %. Its lower end is a bound: of the best such
    coupling, up to the normal approximation of a mean over rows. Value and upper end are estimates. `kept`: the
    coordinates that the better one keeps; `halves`: both choices; `rows`: at which the gain was measured; `fitted`: rows
    that a coupling was fitted to, others than those.
    """

    gain: Figure
    kept: list[int]
    halves: list[Figure]
    rows: int
    fitted: int

    def __str__(self) -> str:
        """One sentence, as the terminal and the page have it."""
        low, high = self.gain.low or 0.0, self.gain.high or 0.0
        about = f"about {self.gain.value:.3g} nats a row, at most some {high:.3g} (estimates from {self.rows:,d} rows)"
        if low == 0.0:
            return f"One more affine coupling is not proved to gain anything: {about}."
        return f"One more affine coupling can gain {low:.3g} nats a row or more (lower bound, 99 %): {about}."


class Coverage(msgspec.Struct, frozen=True):
    """How often rows lie in a law's regions of highest density that should hold the shares `levels` of them.

    `shares`: one figure a level, exact intervals that hold together with 99 %; `width`: how wide a normal law of as many
    coordinates is, against the right one, that misses as the level `at` is missed; `rows`, `samples`: of each row's law.
    """

    levels: list[float]
    shares: list[Figure]
    width: Figure
    at: float
    rows: int
    samples: int

    @property
    def verdict(self) -> Literal["too narrow", "too wide", "of another shape", "not refuted"]:
        """By the intervals: some level above its share, some below, both, or none."""
        narrow = any((s.high or 0.0) < level for s, level in zip(self.shares, self.levels, strict=True))
        wide = any((s.low or 0.0) > level for s, level in zip(self.shares, self.levels, strict=True))
        if narrow and wide:
            return "of another shape"
        return "too narrow" if narrow else "too wide" if wide else "not refuted"

    def __str__(self) -> str:
        """One sentence, as the terminal and the page have it."""
        parts = [
            f"{level:.0%} regions hold {s.value:.1%} [{s.low:.1%}, {s.high:.1%}]"
            for s, level in zip(self.shares, self.levels, strict=True)
        ]
        width = self.width
        like = f"{width.value:.3g} [{width.low:.3g}, {width.high:.3g}] times as wide as it should be"
        return (
            f"Expected coverage of {self.rows:,d} rows (99 %): {', '.join(parts)}: {self.verdict}. "
            f"A normal law that misses so at {self.at:.0%} is {like}."
        )
