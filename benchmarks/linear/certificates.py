"""Certificates of computed factorizations: the bounds, what is proved, and the seconds it takes.

    python -m linear.certificates [--quick]

Rotations by six layers (closed form), matrices of condition 100 by six (continuation, short), Gaussian matrices by eleven
(SVD route): n = 8, 24 (balls), 64 (bounded rounding) with existence; 512, the rotation only, the enclosure. Then the same
rotations with one entry of a block changed by 1e-6. `seconds` are wall, `processor` the process's own seconds, which a
busy machine does not lengthen. Writes `results/certificates.json`, except with `--quick` (n = 8 only).
"""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import special_ortho_group

from shoal.records import system_info, to_plain, write_record
from shoal.theory.linear import Effort, Factorization, factor

OUT = Path(__file__).resolve().parents[2] / "results" / "certificates.json"
SEED, SIZES, LARGEST, STEPS, CHANGE = 0, (8, 24, 64), 512, 4, 1e-6


def made(kind: str, n: int) -> Factorization:
    """The factorization of one matrix."""
    rng = np.random.default_rng([SEED, n])
    if kind == "gaussian":
        return factor(rng.normal(size=(n, n)), 11)
    u, v = special_ortho_group.rvs(n, size=2, random_state=rng)
    if kind == "rotation":
        return factor(u)
    return factor(u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(100.0)) @ v, effort=Effort(STEPS))


def changed(factorization: Factorization) -> Factorization:
    """The same with one entry of the third layer's block changed."""
    layers = list(factorization.layers)
    block = layers[2].block.copy()
    block[0, 0] += CHANGE
    layers[2] = dataclasses.replace(layers[2], block=block)
    return dataclasses.replace(factorization, layers=tuple(layers))


def row(kind: str, n: int, factorization: Factorization, change: float = 0.0) -> dict[str, Any]:
    """One certificate."""
    begun = time.process_time()
    certificate = factorization.certificate()
    processor = time.process_time() - begun
    print(f"{kind} {n} (changed by {change:g}), {processor:.1f} s of processor: {certificate}", flush=True)
    about = {"matrix": kind, "changed": change, "route": factorization.route, "processor": processor}
    return {**about, **dataclasses.asdict(certificate), "holds": certificate.holds()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    sizes = SIZES[:1] if quick else SIZES
    cases = [(kind, n) for kind in ("rotation", "condition-100", "gaussian") for n in sizes]
    rows = [row(kind, n, made(kind, n)) for kind, n in (cases if quick else [*cases, ("rotation", LARGEST)])]
    rows += [row("rotation", n, changed(made("rotation", n)), CHANGE) for n in sizes]
    record = {
        "what": "certificates of factorizations: rigorous residual bounds, existence of an exact factorization, seconds",
        "command": "cd benchmarks && python -m linear.certificates",
        "seed": SEED,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": system_info(("shoal", "numpy", "scipy", "python-flint")),
        "config": {"sizes": SIZES, "largest": LARGEST, "effort_steps": STEPS, "changed_by": CHANGE},
        "rows": rows,
    }
    if not quick:
        write_record(to_plain(record), OUT)


if __name__ == "__main__":
    main()
