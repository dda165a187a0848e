"""Odd sizes in five and six layers, and every even size in nine: the figures of `docs/linear.md`.

    python -m linear.few_layers [--part odd|nine|covariances] [--limit 3600] [--fresh]

Odd: Gaussian matrices, `factor` with five, six and eight layers, both kinds first: the worst layer's condition number and
residual. BORDERED has what eight layers had on the same matrices when they came from a border of four shears around an even
matrix, which `factor` did before. Nine: random singular vectors, singular values evenly spaced in their logarithm, Theorem
C1's nine layers and the SVD route's eleven in closed form, their largest condition number over its bound. Covariances: the
same for four layers. Rows go to `results/few-layers.json` at once, so a stopped run goes on where it was.
"""

import argparse
import os
import time
from statistics import median
from typing import Any

from resume import RESULTS, Record

ODD = {3: 15, 5: 15, 7: 15, 15: 5, 33: 2}
NINE = {2: 250, 4: 250, 8: 250, 16: 230, 64: 15, 128: 5}  # 1,000 matrices
COVARIANCES = {2: 60, 4: 60, 8: 90, 16: 90}
EVEN_CONDITIONS = (2.0, 10.0, 30.0, 100.0, 1e3, 1e4)
PARTS = ("odd", "nine", "covariances")
BORDERED = {  # medians, largest; default effort, a lower layer first
    3: (2.55, 2.98),
    5: (2.91, 3.10),
    7: (2.70, 5.12),
    15: (2.60, 2.73),
    33: (2.90, 3.12),
}
Job = tuple[str, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument(
        "--limit", type=float, default=3600.0, help="seconds, after which no new job is begun"
    )
    parser.add_argument("--fresh", action="store_true", help="forget the rows that are there")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded
    from shoal.records import system_info

    head = {
        "what": "condition: the worst layer's, 2-norm; residual: |T - product| / |T| in the Frobenius norm",
        "command": "cd benchmarks && python -m linear.few_layers",
        "seed": "numpy default_rng([n, seed])",
        "versions": system_info(),
        "config": {"bordered_eight": {str(n): pair for n, pair in BORDERED.items()}, "threads": 1},
    }
    record = Record(
        RESULTS / "few-layers.json", head, {"rows": [], "summary": []}, same=(), fresh=options.fresh
    )
    started = time.monotonic()
    done = {tuple(row["job"]) for row in record.rows}
    for job in jobs(options.part or PARTS):
        if job in done:
            continue
        if time.monotonic() - started > options.limit:
            print("Out of time: run the command again to go on.", flush=True)
            break
        record.add({"job": job, **RUNS[job[0]](job[1], job[2])})
    record.save(summary=[line for part in PARTS for line in SUMMARIES[part](record.rows)])
    for line in record["summary"]:
        print(line)


def jobs(parts: Any) -> list[Job]:
    """(part, n, seed), small sizes first."""
    counts = {"odd": ODD, "nine": NINE, "covariances": COVARIANCES}
    return [(part, n, seed) for part in parts for n, count in counts[part].items() for seed in range(count)]


def odd(n: int, seed: int) -> dict[str, Any]:
    """One Gaussian matrix in five, six and eight layers; a failure is an entry like any other."""
    import numpy as np

    from shoal._errors import NumericalFailure
    from shoal.theory.linear import factor

    matrix = np.random.default_rng([n, seed]).normal(size=(n, n))
    row: dict[str, Any] = {}
    for count, firsts in ((5, ("lower", "upper")), (6, ("lower", "upper")), (8, ("lower",))):
        for first in firsts:
            begun = time.process_time()
            name = f"{count}-{first}"
            try:
                made = factor(matrix, count, first=first, tolerance=1e-11)
            except NumericalFailure as error:
                row[name] = {"error": str(error)}
                continue
            row[name] = {"condition": made.conditions.largest, "residual": made.residual.float64}
            row[name]["cpu_seconds"] = time.process_time() - begun
            if n <= 7 and count < 8:
                row[name]["existence"] = made.certificate().existence
    return row


def nine(n: int, seed: int) -> dict[str, Any]:
    """Nine and eleven layers in closed form; each block norm of the nine over its bound."""
    import numpy as np
    from scipy.stats import special_ortho_group

    from shoal.theory.linear._closed_forms import nine_layers, svd_layers
    from shoal.theory.linear._layer import product

    kappa = EVEN_CONDITIONS[seed % len(EVEN_CONDITIONS)]
    u, v = special_ortho_group.rvs(n, size=2, random_state=np.random.default_rng([n, seed]))
    matrix = u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(kappa)) @ v
    layers = nine_layers(matrix)
    root = kappa**0.5
    bounds = (
        *((kappa - 1 / kappa) / 2 + kappa, kappa + root, root, kappa + root + 2),
        *(1.0, 3.0, 2.0, 1.0, 3.0),
    )
    norms = [np.linalg.norm(layer.block, 2) / bound for layer, bound in zip(layers, bounds, strict=True)]
    return {
        "kappa": kappa,
        "condition": max(layer.condition() for layer in layers),
        "norms_over_bounds": max(norms),
        "residual": float(np.linalg.norm(product(layers) - matrix) / np.linalg.norm(matrix)),
        "eleven": max(layer.condition() for layer in svd_layers(*np.linalg.svd(matrix))),
    }


def covariances(n: int, seed: int) -> dict[str, Any]:
    """Four layers of a covariance; block norms and condition numbers over their bounds."""
    import numpy as np
    from scipy.stats import special_ortho_group

    from shoal.theory.linear._closed_forms import covariance_layers
    from shoal.theory.linear._layer import product

    rng = np.random.default_rng([n, seed])
    logs = np.sort(rng.uniform(-0.5, 0.5, n)) * rng.uniform(0, 6 * np.log(10))
    logs -= logs.mean()
    u = special_ortho_group.rvs(n, random_state=rng)
    sigma = (u * np.exp(logs)) @ u.T
    sigma = (sigma + sigma.T) / 2
    kappa = float(np.exp(np.ptp(logs)))
    k, layers = kappa**0.5, covariance_layers(sigma)
    bounds = ((k - 1 / k) / 2 + k, k + k**0.5, k**0.5, k + k**0.5)
    norms = [np.linalg.norm(layer.block, 2) / bound for layer, bound in zip(layers, bounds, strict=True)]
    worst, made = max(layer.condition() for layer in layers), product(layers)
    return {
        "kappa": kappa,
        "condition_over_kappa": worst / kappa,
        "condition_over_bound": worst / (k + (k * k + 1) ** 0.5) ** 2,
        "norms_over_bounds": max(norms),
        "residual_over_kappa": float(np.linalg.norm(made @ made.T - sigma) / np.linalg.norm(sigma)) / kappa,
    }


def summary_of_odd(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By size and number of layers."""
    table = []
    for n in ODD:
        group = [row for row in rows if row["job"][0] == "odd" and row["job"][1] == n]
        for count in (5, 6, 8):
            found = [v for row in group for name, v in row.items() if name.startswith(f"{count}-")]
            good = [v for v in found if "condition" in v]
            if not good:
                continue
            conditions = [v["condition"] for v in good]
            proved = [v["existence"] == "proved" for v in good if "existence" in v]
            line = {"part": "odd", "size": n, "layers": count, "matrices": len(group), "factored": len(good)}
            line |= {"of": len(found), "median": median(conditions), "largest": max(conditions)}
            line |= {"residual": max(v["residual"] for v in good), "proved": sum(proved)}
            table.append(line | {"cpu_seconds": median(v["cpu_seconds"] for v in good)})
    return table


def summary_of_nine(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By condition number of T."""
    table = []
    for kappa in EVEN_CONDITIONS:
        group = [row for row in rows if row["job"][0] == "nine" and row["kappa"] == kappa]
        if group:
            line = {"part": "nine", "kappa": kappa, "matrices": len(group)}
            line |= {
                name: max(row[name] for row in group)
                for name in ("condition", "norms_over_bounds", "residual")
            }
            line["eleven"] = max(row["eleven"] for row in group)
            line["nine_is_better"] = sum(row["condition"] < row["eleven"] for row in group)
            table.append(line)
    return table


def summary_of_covariances(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest of every figure."""
    group = [row for row in rows if row["job"][0] == "covariances"]
    if not group:
        return []
    names = [name for name in group[0] if name not in ("job", "kappa")]
    return [
        {"part": "covariances", "matrices": len(group)} | {n: max(row[n] for row in group) for n in names}
    ]


RUNS = {"odd": odd, "nine": nine, "covariances": covariances}
SUMMARIES = {"odd": summary_of_odd, "nine": summary_of_nine, "covariances": summary_of_covariances}

if __name__ == "__main__":
    main()
