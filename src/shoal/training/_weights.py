r"""How well a flow q samples a known density p, from the log-weights log p - log q of its own draws.

Importance weights w = p / q give the evidence lower bound (mean of log w), log Z (log of the mean of w), and the share of
draws that count as independent, (mean w)^2 / mean w^2 (Kish 1965), which is what a weighted mean over the draws is worth.
All errors are by the delta method over the draws. They are blind where q has no draws; the shape k of the weights' tail
(Vehtari, Simpson, Gelman, Yao, Gabry 2024) says how far they can be trusted: up to 0.7 they can.
"""

import importlib.util
from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray

TWO_SIDED = 1.96  # standard errors of a 95 % interval
TRUSTED_K = 0.7
FEWEST = 25  # draws, a fifth of which are the tail


@dataclass(frozen=True)
class WeightFigures:
    """`elbo` and `log_z` in nats with standard errors; `ess`: a share of the draws, with its 95 % interval.

    `pareto_k`: the tail's shape, None without the package arviz-stats, NaN of fewer than 25 draws. A figure that
    is not finite stays as it is.
    """

    elbo: float
    elbo_error: float
    log_z: float
    log_z_error: float
    ess: float
    ess_interval: tuple[float, float]
    pareto_k: float | None


def weight_figures(log_weights: FloatArray) -> WeightFigures:
    """The figures of log-weights (draws,); NaN where one of them is NaN or +inf, while -inf is a weight of 0."""
    logs, nan = np.asarray(log_weights, np.float64), float("nan")
    if len(logs) < 2 or np.isnan(logs).any() or not -np.inf < logs.max() < np.inf:
        return WeightFigures(nan, nan, nan, nan, nan, (nan, nan), None)
    count, top = len(logs), logs.max()
    w = np.exp(logs - top)
    first, second = w.mean(), np.mean(w**2)
    ess = first**2 / second
    spread = np.std(2 * w / first - w**2 / second, ddof=1) / np.sqrt(count)  # of log ess
    ends = (float(ess * np.exp(sign * TWO_SIDED * spread)) for sign in (-1, 1))
    with np.errstate(invalid="ignore"):
        elbo, error = logs.mean(), np.std(logs, ddof=1) / np.sqrt(count)
    return WeightFigures(
        elbo=float(elbo),
        elbo_error=float(error),
        log_z=float(top + np.log(first)),
        log_z_error=float(np.std(w, ddof=1) / (first * np.sqrt(count))),
        ess=float(ess),
        ess_interval=(next(ends), min(next(ends), 1.0)),
        pareto_k=_pareto_k(logs),
    )


def _pareto_k(logs: FloatArray) -> float | None:
    if importlib.util.find_spec("arviz_stats") is None:
        return None
    from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports, reportPrivateImportUsage]

    if len(logs) < FEWEST or np.isnan(logs).any() or np.isposinf(logs).any():
        return float("nan")
    if np.ptp(logs) < 1e-6 * max(1.0, float(np.abs(logs).max())):
        return float("-inf")  # constant weights: no tail
    with np.errstate(all="ignore"):
        return float(
            array_stats.psislw(-logs)[1]
        )  # it takes log-likelihoods, whose weights are their reciprocals
