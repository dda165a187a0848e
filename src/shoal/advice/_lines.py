"""Sentences on shape and settings: dimension, modes, kappa, family, dtype.

The one proven sentence is a bound for the rows examined and for every flow of a stated Lipschitz constant; nothing is
taken from bounds that hold for a fraction of a family of instances (`shoal.hardness.minimum_depth`), which say nothing
about one table.
"""

import math
from typing import Literal

import numpy as np

from shoal.advice._line import Line
from shoal.advice._measure import Measured
from shoal.advice._modes import VARIATION

FAR = 4.0  # a gap of so many widths of the narrowest group makes the groups far
MULTIMODAL = 4  # modes from which splines are tried beside affine couplings
ROUND_TRIP = 1e-3  # the ladder's own bound on a float32 round trip, in deviations


def shape_lines(found: Measured) -> list[Line]:
    """Effective dimension, local conditioning, modes and their separation."""
    local, modes, width = found.local, found.modes, len(found.names)
    word = "as many as there are columns" if local.dimension == width else f"fewer than the {width} columns"
    lines = [
        Line(
            f"Near a typical row the rows vary in {local.dimension} direction{'s' * (local.dimension != 1)}, {word} "
            f"({local.neighbours} neighbours; local deviations differ by a factor of {local.condition:.3g} in the median, "
            f"{local.condition_q90:.3g} at 90 %).",
            "measured",
            "dimension",
            {
                "dimension_estimate": local.dimension,
                "columns": width,
                "local_condition_estimate": local.condition,
                "local_condition_q90_estimate": local.condition_q90,
                "neighbours": local.neighbours,
            },
        )
    ]
    if math.isfinite(local.negentropy):
        lines.append(
            Line(
                f"A Gaussian with the same covariance (κ {local.global_condition:.3g}) misses the rows by about "
                f"{local.negentropy:.2f} nats a row.",
                "measured",
                "shape",
                {"global_condition_exact": local.global_condition, "negentropy_estimate": local.negentropy},
            )
        )
    shares = ", ".join(f"{100 * s:.0f} %" for s in modes.shares[:6]) + (", ..." if modes.count > 6 else "")
    figures = {
        "modes_estimate": modes.count,
        "shares_estimate": list(modes.shares),
        "groups": modes.groups,
        "distance_exact": modes.distance,
        "width_estimate": modes.width,
    }
    if is_far(found):
        text = (
            f"The rows form {modes.groups} far clusters, {modes.distance:.3g} deviations apart and {modes.width:.2g} wide "
            "where they are narrowest: fit a flow to each, or give the cluster as context (--context), so that none has to "
            "bridge the gap."
        )
    elif modes.count > 1:
        text = f"The rows have {modes.count} modes ({shares} of the rows), none far from all others: no remedy is needed."
    else:
        text = "The rows have one mode."
    return [*lines, Line(text, "measured", "modes", figures), *_proven(found)]


def is_far(found: Measured) -> bool:
    """Groups whose gap is large against their width and against the deviation of all rows."""
    modes = found.modes
    return modes.groups > 1 and modes.distance > max(FAR * modes.width, 0.5)


def _proven(found: Measured) -> list[Line]:
    modes = found.modes
    if modes.groups < 2 or not modes.lipschitz > 1.0:
        return []
    text = (
        f"A flow N(0, I) -> standardised columns whose Lipschitz constant is below {_down(modes.lipschitz):.3g} is off by "
        f"more than {VARIATION} in total variation from every law that gives each of {modes.groups} regions at least "
        f"{_up(modes.mass):.3g} of its mass: the points within {_down(modes.distance / 4):.3g} of a group's rows, the "
        f"groups being {_down(modes.distance):.3g} or more apart (Gaussian isoperimetry)."
    )
    figures = {
        "lipschitz_lower_bound": modes.lipschitz,
        "groups": modes.groups,
        "mass": modes.mass,
        "distance_exact": modes.distance,
        "variation": VARIATION,
    }
    return [Line(text, "proven", "lipschitz", figures)]


def _down(value: float) -> float:
    """Three digits, rounded down, so that a bound in a sentence still holds."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.floor(value / unit * (1 - 1e-12)) * unit


def _up(value: float) -> float:
    """Three digits, rounded up."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / unit * (1 - 1e-12)) * unit


def families(found: Measured) -> tuple[tuple[str, ...], Line]:
    """Which families to try, and why."""
    if len(found.names) == 1:
        text = "Family: spline, since affine maps of one column give Gaussians only."
        return ("spline",), Line(text, "heuristic", "family")
    if found.modes.count >= MULTIMODAL:
        text = (
            f"Families: realnvp and spline, since splines reach {found.modes.count} modes with fewer layers than affine "
            "couplings."
        )
        return ("realnvp", "spline"), Line(text, "heuristic", "family")
    return ("realnvp",), Line(
        "Family: realnvp, the cheapest one that reaches any shape.", "heuristic", "family"
    )


def condition_line(found: Measured, max_condition: float) -> Line:
    """The kappa that a flow needs, against the largest one that is allowed."""
    kappa = found.condition
    figures = {"condition_estimate": kappa, "max_condition": max_condition}
    need = f"A flow onto these rows needs κ of about {kappa:.2g} (latent -> standardised columns)"
    if kappa <= max_condition:
        return Line(
            f"{need}, within the {max_condition:.3g} that are allowed.", "heuristic", "condition", figures
        )
    text = (
        f"{need}, above the {max_condition:.3g} that are allowed: follow the remedies above, or allow more "
        "(--max-condition)."
    )
    return Line(text, "heuristic", "condition", figures)


def precision(found: Measured, dtype: str) -> tuple[Literal["float32", "float64"], Line]:
    """float32 if a round trip at the needed kappa loses less than the ladder's bound."""
    lost = float(np.finfo(np.float32).eps) * found.condition
    figures = {"float32_loss_estimate": lost}
    if dtype == "float64":
        need = (
            "float32 would do"
            if lost <= ROUND_TRIP
            else f"float32 would lose about {lost:.1e} deviations a round trip"
        )
        return "float64", Line(f"Dtype: float64, as asked for ({need}).", "heuristic", "dtype", figures)
    if lost <= ROUND_TRIP:
        text = (
            f"Dtype: float32, which loses about {lost:.1e} deviations a round trip at the κ that is needed."
        )
        return "float32", Line(text, "heuristic", "dtype", figures)
    text = f"Dtype: float64, since float32 would lose about {lost:.1e} deviations a round trip at the κ that is needed."
    return "float64", Line(text, "heuristic", "dtype", figures)
