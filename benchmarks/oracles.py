"""Whole tables whose law is known: what `shoal fit`'s law of a row loses to the truth, and what it draws.

    python benchmarks/oracles.py [--only rain,angle] [--limit 300] [--out results/oracles.json] [--fresh]

4,000 rows to fit, 4,000 others to score, one seed. Each case is written as CSV, read back, fitted by the ladder, and scored
as `shoal score` does. `lost`: mean log p under the truth less that under the law, in nats a row.
It goes on where it stopped.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
from resume import RESULTS, Record
from scipy import stats

from shoal.distributions import Conditionals, log_prob_of_cells
from shoal.records import system_info
from shoal.selection import ladder
from shoal.tables import open_source, read_table

ROWS, SEED, COMPLETIONS = 4000, 1, 12
COVARIANCE = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 1.0]])
Case = Callable[[np.random.Generator, int], tuple[dict[str, Any], np.ndarray]]


def rain(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """60 % zeros, else a gamma amount; beside it a normal number that the rain moves."""
    wet = rng.random(n) < 0.4
    amount, y = np.where(wet, rng.gamma(2, 3, n), 0.0), rng.normal(size=n) + 0.3 * wet
    log_amount = np.log(0.4) + stats.gamma.logpdf(np.where(wet, amount, 1.0), 2, scale=3)
    return {"rain": amount, "y": y}, np.where(wet, log_amount, np.log(0.6)) + stats.norm.logpdf(y - 0.3 * wet)


def integers(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """0 to 9, one of them mistyped as 3.001, and a normal number."""
    k, y = rng.integers(0, 10, n).astype(float), rng.normal(size=n)
    return {"k": np.where(np.arange(n) == 17, 3.001, k), "y": y}, stats.norm.logpdf(y) - np.log(10)


def clipped(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """A normal number clipped to [-1, 1.5], and one that follows it."""
    x = np.clip(rng.normal(size=n), -1, 1.5)
    y = 0.5 * x + rng.normal(size=n)
    inside = np.where(x >= 1.5, stats.norm.logsf(1.5), stats.norm.logpdf(x))
    return {"x": x, "y": y}, np.where(x <= -1, stats.norm.logcdf(-1), inside) + stats.norm.logpdf(y - 0.5 * x)


def words(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """Two words, each with its own law of two numbers."""
    a = rng.random(n) < 0.3
    y = np.where(a, rng.normal(-1, 0.5, n), rng.normal(2, 1, n))
    z = np.where(a, y, -y) + 0.7 * rng.normal(size=n)
    of_y = np.where(a, np.log(0.3) + stats.norm.logpdf(y, -1, 0.5), np.log(0.7) + stats.norm.logpdf(y, 2, 1))
    return {"word": np.where(a, "red", "blue"), "y": y, "z": z}, of_y + stats.norm.logpdf(
        z, np.where(a, y, -y), 0.7
    )


def gaps(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """A normal law of three numbers, a fifth of the cells missing, whatever they held."""
    x, gone = rng.multivariate_normal(np.zeros(3), COVARIANCE, n), rng.random((n, 3)) < 0.2
    truth = np.log(0.2) * gone.sum(axis=1) + np.log(0.8) * (~gone).sum(axis=1)
    for pattern in np.unique(gone, axis=0):
        index, seen = (gone == pattern).all(axis=1), np.flatnonzero(~pattern)
        if len(seen):
            law = stats.multivariate_normal(np.zeros(len(seen)), COVARIANCE[np.ix_(seen, seen)])
            truth[index] += law.logpdf(x[np.ix_(index, seen)])
    return {
        name: [None if g else v for g, v in zip(gone[:, j], x[:, j], strict=True)]
        for j, name in enumerate("abc")
    }, truth


def angle(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """Uniform angles in degrees."""
    return {"angle": rng.uniform(0, 360, n)}, np.full(n, -np.log(360))


def wind(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """Angles around north, and a number that follows their cosine."""
    t = rng.vonmises(0.0, 1.5, n) % (2 * np.pi)
    y = np.cos(t) + 0.3 * rng.normal(size=n)
    return {"angle": t, "y": y}, stats.vonmises.logpdf(t, 1.5) + stats.norm.logpdf(y, np.cos(t), 0.3)


def sizes(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """A share between 0 and 1, and a positive amount whose scale it decides."""
    x = rng.beta(0.7, 2, n)
    y = rng.gamma(2, 3 * x + 0.1)
    return {"share": x, "amount": y}, stats.beta.logpdf(x, 0.7, 2) + stats.gamma.logpdf(
        y, 2, scale=3 * x + 0.1
    )


def heavy(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """Two lognormal numbers with σ = 3."""
    x = np.exp(3 * rng.normal(size=(n, 2)))
    return {"a": x[:, 0], "b": x[:, 1]}, stats.lognorm.logpdf(x, 3).sum(axis=1)


def counts(rng: np.random.Generator, n: int) -> tuple[dict[str, Any], np.ndarray]:
    """A Poisson number, and a normal one around it."""
    k = rng.poisson(2.5, n)
    y = rng.normal(size=n) + k
    return {"k": k, "y": y}, stats.poisson.logpmf(k, 2.5) + stats.norm.logpdf(y - k)


CASES: Mapping[str, Case] = {
    f.__name__: f for f in (rain, integers, clipped, words, gaps, angle, wind, sizes, heavy, counts)
}
KINDS = {"angle": {"angle": "periodic:360"}, "wind": {"angle": f"periodic:{2 * np.pi}"}}


def seam(law: Any, period: float, rest: list[float]) -> dict[str, float]:
    """The density on both sides of 0, and its largest and least relative difference from 1 / period where it is uniform."""
    sides = np.array([[1e-4 * period, *rest], [(1 - 1e-4) * period, *rest]])
    low, high = np.exp(np.asarray(law.log_prob(sides), np.float64))
    found = {"seam": abs(low / high - 1)}
    if not rest:
        grid = (np.arange(3600) + 0.5)[:, None] * period / 3600
        density = np.exp(np.asarray(law.log_prob(grid), np.float64)) * period
        found |= {"integral": density.mean(), "largest": density.max(), "least": density.min()}
    return found


def ranks(law: Any, schema: Any, values: np.ndarray) -> dict[str, Any]:
    """Completed cells of the normal law with gaps: Kolmogorov's distance of their ranks from uniform ones.

    `ks`: of one completion after the other, and `p` as if cells were independent, which those of a row are not; `pooled`: of
    all of them together, which is what the law itself is off by, as chance averages out.
    """
    found = [_places(law, schema, values, seed) for seed in range(COMPLETIONS)]
    tests = [stats.kstest(place, "uniform") for place in found]
    pooled = stats.kstest(np.concatenate(found), "uniform").statistic
    each = {"ks": [t.statistic for t in tests], "p": [t.pvalue for t in tests]}
    return {"cells": len(found[0]), **each, "median_p": np.median(each["p"]), "pooled": pooled}


def _places(law: Any, schema: Any, values: np.ndarray, seed: int) -> np.ndarray:
    """Where each completed cell lies in its true law given what its row has, from 0 to 1."""
    gone = values[:, :3] == 1
    made, place = Conditionals(law, schema, seed).completed(values)[:, 3:], []
    for pattern in np.unique(gone, axis=0):
        index, seen = (gone == pattern).all(axis=1), np.flatnonzero(~pattern)
        for j in np.flatnonzero(pattern):
            weights = np.linalg.solve(COVARIANCE[np.ix_(seen, seen)], COVARIANCE[seen, j])
            mean, rest = values[np.ix_(index, 3 + seen)] @ weights, 1 - COVARIANCE[j, seen] @ weights
            place.append(stats.norm.cdf((made[index, j] - mean) / rest**0.5))
    return np.concatenate(place)


def measured(name: str, folder: Path, limit: float | None) -> dict[str, Any]:
    """One case from rows to figures."""
    rng = np.random.default_rng(SEED)
    made, (others, truth) = CASES[name](rng, ROWS)[0], CASES[name](rng, ROWS)
    if name == "integers":
        others["k"] = np.rint(others["k"])
    pl.DataFrame(made).write_csv(folder / "rows.csv")
    pl.DataFrame(others).write_csv(folder / "others.csv")
    began = time.perf_counter()
    table = read_table(folder / "rows.csv", kinds=KINDS.get(name, {}))
    result = ladder(table, time_limit=limit, seed=0)
    assert result.flow is not None
    assert table.schema is not None
    rows = table.schema.rows(open_source(folder / "others.csv"))
    logs = log_prob_of_cells(result.flow, rows.values, None, rows.lattices)
    rung = result.record.delivered
    found = {
        "case": name,
        "truth": truth.mean(),
        "lost": (truth - logs).mean(),
        "error": (truth - logs).std() / ROWS**0.5,
        "kinds": {c.name: c.sentence() for c in table.schema.columns},
        "delivered": None if rung is None else rung.name,
        "seconds": time.perf_counter() - began,
    }
    if name in KINDS:
        found |= seam(result.flow, 360.0 if name == "angle" else 2 * np.pi, [] if name == "angle" else [1.0])
    if name == "gaps":
        found["completed"] = ranks(result.flow, table.schema, rows.values)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="cases, with commas between them")
    parser.add_argument("--limit", type=float, help="seconds of a ladder; without, it ends by itself")
    parser.add_argument("--out", type=Path, default=RESULTS / "oracles.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    head = {
        "what": "Whole tables whose law is known: what the fitted law loses.",
        "command": "python benchmarks/oracles.py",
        "versions": system_info(),
        "config": {"rows": ROWS, "seed": SEED, "limit": options.limit},
        "device": jax.devices()[0].platform,
    }
    record = Record(options.out, head, {"rows": []}, fresh=options.fresh)
    for name in options.only.split(",") if options.only else CASES:
        if record.has(case=name):
            continue
        with tempfile.TemporaryDirectory() as place:
            row = measured(name, Path(place), options.limit)
        record.add(row)
        print(
            f"{name:10s} lost {row['lost']:+.4f} ± {row['error']:.4f} of {row['truth']:.4f}; {row['delivered']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
