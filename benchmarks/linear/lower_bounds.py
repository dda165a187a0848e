"""How few layers and how well conditioned: what is proved, beside what is found.

    python -m linear.lower_bounds [--part four|frontiers|identity|lemma]

Four: `fewest_layers` of 400 Gaussian matrices of size 4 (default_rng(5), the last row's sign for det > 0), with witness or
certificate, and of larger ones; the certificate against the equation of traces, 600 of them; matrices around diag(I, W) that
it must exclude.
Frontiers: the best worst condition number of 5 to 11 layers for -I, quarter turns, rotations and Gaussian matrices, beside
the bounds by singular values and by turned vectors. Identity: existence certificates at ±I + 1e-13 noise, from layers whose
Jacobian is onto and from Theorem B's with A = I. Lemma: 40,000 random layers against `_condition_bounds.py`'s. A part
that is run takes the place of what `results/linear-lower-bounds.json` had of it.
"""

import argparse
import math
import time
from typing import Any

import numpy as np
from resume import RESULTS, Record
from scipy.stats import special_ortho_group

from shoal.records import system_info
from shoal.theory.linear import Effort, factor, fewest_layers, frontier
from shoal.theory.linear._closed_forms import additive
from shoal.theory.linear._condition_bounds import lower_bound
from shoal.theory.linear._factorization import assembled
from shoal.theory.linear._inputs import prepare
from shoal.theory.linear._obstruction import excludes_four

ORDERS = ("lower", "upper")
NOISE, STEPS = 1e-13, 200
LARGER = {6: 100, 8: 50, 16: 20}  # size: matrices


def main() -> None:
    parts = {"four": four, "frontiers": frontiers, "identity": identity, "lemma": lemma}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=tuple(parts), action="append")
    options = parser.parse_args()
    head = {
        "what": "lower bounds of the number of linear coupling layers and of their worst condition number",
        "command": "cd benchmarks && OMP_NUM_THREADS=1 python -m linear.lower_bounds",
        "seed": "default_rng(5), and default_rng([n, draw]) where a row has n",
        "versions": system_info(("shoal", "numpy", "scipy", "python-flint")),
        "config": {"noise": NOISE, "steps": STEPS},
    }
    record = Record(RESULTS / "linear-lower-bounds.json", head, dict.fromkeys(parts))
    for name in options.part or parts:
        begun = time.process_time()
        made = parts[name]()
        record.save(**{name: {**made, "processor_seconds": time.process_time() - begun}})
        print(name, {key: value for key, value in made.items() if not isinstance(value, list)}, flush=True)


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    """A Gaussian matrix with a positive determinant."""
    t = rng.normal(size=(n, n))
    t[-1] *= np.sign(np.linalg.det(t))
    return t


def excluded(t: np.ndarray) -> list[bool]:
    """Whether L U L U, and U L U L, are excluded."""
    return [excludes_four(prepare(t, None, first)) is not None for first in ORDERS]


def traces_meet(t: np.ndarray, first: str) -> bool:
    """n = 4: whether p . (1/c) = q . b has a positive solution with b1 b2 = det T / (c1 c2), by a grid of c2 / c1."""
    parts, inverse = slice(2, 4), np.diag(np.linalg.inv(t))
    p, q = np.diag(t)[:2], inverse[parts]
    if first == "upper":
        p, q = np.diag(t)[parts], inverse[:2]
    a = np.linspace(-25, 25, 1001)
    trace, last = p[0] * np.exp(a) + p[1] * np.exp(-a), q[1] * np.linalg.det(t)
    root = np.sqrt(np.maximum(trace**2 - 4 * q[0] * last, 0)) * np.array([[1], [-1]])
    return bool(np.any((trace**2 >= 4 * q[0] * last) & ((trace + root) / (2 * q[0]) > 0)))


def four() -> dict[str, Any]:
    """Section 2.4."""
    rng = np.random.default_rng(5)
    rows = [_fewest(gaussian(rng, 4), 4, draw) for draw in range(400)]
    larger = [
        _fewest(gaussian(np.random.default_rng([n, draw]), n), n, draw)
        for n, m in LARGER.items()
        for draw in range(m)
    ]
    agree = 0
    for _ in range(600):
        t = gaussian(rng, 4)
        agree += excluded(t) == [not traces_meet(t, first) for first in ORDERS]
    three = np.eye(6)
    three[3:, 3:] = np.ones((3, 3)) - 1.5 * np.eye(3)
    around = {
        "J - 1.5 I, d = 3": three,
        **{f"-I, d = {d}": np.diag([1.0] * d + [-1.0] * d) for d in (2, 4, 6)},
    }
    kept = {
        name: sum(excluded(t + 0.02 * rng.uniform(-1, 1, t.shape)) == [True, True] for _ in range(200))
        for name, t in around.items()
    }
    count = lambda m: sum(row["layers"] == m and row["status"] == "proved" for row in rows)
    conditions = sorted(row["condition"] for row in rows if row["layers"] == 4)
    return {
        "matrices": len(rows),
        "four_proved": count(4),
        "five_proved": count(5),
        "certificates": sum(row["certificate"] for row in rows),
        "condition_of_four_median": conditions[len(conditions) // 2],
        "condition_of_four_largest": conditions[-1],
        "residual_largest": max(row["residual"] for row in rows),
        "decided_as_by_traces_of_600": agree,
        "excluded_of_200": kept,
        "larger": [
            {"n": n, "matrices": m, "four": sum(row["n"] == n and row["layers"] == 4 for row in larger)}
            for n, m in LARGER.items()
        ],
        "rows": rows + larger,
    }


def _fewest(t: np.ndarray, n: int, draw: int) -> dict[str, Any]:
    """What `fewest_layers` says of one matrix."""
    answer = fewest_layers(t)
    witness = answer.witness
    assert witness is not None
    return {
        "n": n,
        "draw": draw,
        "status": answer.status,
        "layers": answer.at_most,
        "certificate": answer.obstruction is not None and answer.obstruction.layers == 4,
        "condition": witness.conditions.largest,
        "residual": witness.residual.float64,
    }


def targets() -> dict[str, list[np.ndarray]]:
    """The matrices whose frontiers are looked for, of size 8."""
    turns = np.kron(np.eye(2), [[0.0, -1.0], [1.0, 0.0]])
    quarter = np.block([[np.eye(4), np.zeros((4, 4))], [np.zeros((4, 4)), turns]])
    return {
        "-I": [-np.eye(8)],
        "quarter turns": [quarter],
        "rotations": [special_ortho_group.rvs(8, random_state=seed) for seed in range(3)],
        "Gaussian": [gaussian(np.random.default_rng([8, draw]), 8) for draw in range(3)],
    }


def frontiers() -> dict[str, Any]:
    """Section 2.7."""
    rows = []
    for name, matrices in targets().items():
        for draw, t in enumerate(matrices):
            values = np.linalg.svd(t, compute_uv=False)
            for row in frontier(t, effort=Effort(STEPS)).rows:
                figures = {"matrix": name, "draw": draw, "layers": row.layers, "condition": row.condition}
                by_values = lower_bound(values, row.layers)
                rows.append({**figures, "bound": row.lower_bound, "bound_by_singular_values": by_values})
                print(rows[-1], flush=True)
    found = [row for row in rows if row["condition"] is not None]
    above = sum(row["bound"] <= row["condition"] for row in found)
    return {"found": len(found), "not_below_the_bound": above, "rows": rows}


def identity() -> dict[str, Any]:
    """Section 2.8."""
    rows = []
    for sign in (1.0, -1.0):
        for n in (2, 4, 6, 8, 12, 16, 24, 32):
            t = sign * np.eye(n) + NOISE * np.random.default_rng([n, 0]).normal(size=(n, n))
            one, zero = np.eye(n // 2), np.zeros((n // 2, n // 2))
            plain = (zero, zero, zero, one, zero, -one) if sign > 0 else (one, zero, one, -one, 2 * one, -one)
            by_hand = assembled(t, additive(*plain), np.ones(n), range(n // 2), "A = I", "lower")
            made = {"X": factor(t), "A = I": by_hand}
            row: dict[str, Any] = {"sign": sign, "n": n, "condition": made["X"].conditions.largest}
            for name, factorization in made.items():
                certificate = factorization.certificate()
                row |= {f"{name}: existence": certificate.existence, f"{name}: radius": certificate.radius}
                row[f"{name}: least singular value"] = certificate.least_singular
            rows.append(row)
            print(row, flush=True)
    proved = {name: [r["n"] for r in rows if r[f"{name}: existence"] == "proved"] for name in ("X", "A = I")}
    return {"proved": {name: len(found) for name, found in proved.items()}, "of": len(rows), "rows": rows}


def lemma() -> dict[str, Any]:
    """A A^T + I + B^2 <= 2 C B and |(M - I)(M + I)^{-1}| <= sinh(l / 2), relative to κ^2 and to the bound."""
    rng, off, cayley = np.random.default_rng(0), -math.inf, 0.0
    for _ in range(40_000):
        p, q, size = int(rng.integers(1, 6)), int(rng.integers(1, 6)), float(np.exp(rng.uniform(-3, 1)))
        m, b = np.eye(p + q), np.exp(size * rng.normal(size=q) * rng.choice([0, 0.5, 1]))
        m[p:, :p], m[p:, p:] = size * rng.normal(size=(q, p)), np.diag(b)
        kappa = float(np.linalg.cond(m))
        inner = m[p:, :p] @ m[p:, :p].T + np.eye(q) + np.diag(b**2) - (kappa + 1 / kappa) * np.diag(b)
        off = max(off, float(np.linalg.eigvalsh(inner)[-1]) / kappa**2)
        ratio = np.linalg.norm((m - np.eye(p + q)) @ np.linalg.inv(m + np.eye(p + q)), 2)
        cayley = max(cayley, float(ratio / math.sinh(math.log(kappa) / 2)))
    return {"layers": 40_000, "largest_violation": off, "largest_cayley_ratio": cayley}


if __name__ == "__main__":
    main()
