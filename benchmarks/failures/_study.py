"""One failure of a peer: reproduced without Shoal, audited before it happens, mended, and the cost stated.

A checkpoint has failed where its training loss, or a log-likelihood of a held-out row, is not finite, or where round trips
in float32 are not finite or lose a whole deviation. The weights that are audited are those of a checkpoint before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from failures._peer import Peer, failure
from failures._train import Run, train

LATENTS, LOST = 1000, 1.0


@dataclass(frozen=True)
class Case:
    """What is trained and how. `make(seed, remedied)` gives a flow; `rows()` training and held-out rows.

    `ways`: round trips that count, of "data" and "latent"; `noise`: deviation of the noise that the remedied run gets;
    `anneal`: the noise of the plain run from ... to ..., which the remedied run stops at `noise`;
    `tail`: audit the training rows of the lowest likelihood beside held-out rows; `audits`: at most so many checkpoints.
    """

    name: str
    library: str
    what: str
    threads: tuple[str, ...]
    says: str
    make: Callable[[int, bool], Peer]
    rows: Callable[[], tuple[np.ndarray, np.ndarray]]
    steps: int
    every: int
    rate: float
    remedy: str
    applied: str
    ways: tuple[str, ...] = ("data", "latent")
    noise: float = 0.0
    batch: int = 256
    tail: bool = False
    anneal: tuple[float, float] | None = None
    audits: int = 5
    points: int = 128


def fit(case: Case, seed: int, remedied: bool) -> Run:
    """The training of one seed."""
    train_rows, _ = case.rows()
    return train(
        case.make(seed, remedied),
        train_rows,
        steps=case.steps,
        every=case.every,
        rate=case.rate,
        batch=case.batch,
        seed=seed,
        noise=case.noise if remedied else 0.0,
        anneal=(case.anneal[0], case.noise) if case.anneal and remedied else case.anneal,
    )


def latents(case: Case) -> torch.Tensor:
    """The same latents for every look at a flow."""
    size = int(np.prod(case.make(0, False).shape))
    return torch.randn(LATENTS, size, generator=torch.Generator().manual_seed(7))


def look(case: Case, peer: Peer, rows: torch.Tensor, z: torch.Tensor) -> dict[str, Any]:
    """The peer's own figures at one checkpoint."""
    with torch.no_grad():
        try:
            found = peer.log_prob(rows)
        except RuntimeError as error:
            return {"error": str(error).splitlines()[0], "failed": True}
    out: dict[str, Any] = {
        "log_likelihood": float(found.mean()),
        "nonfinite_rows": int((~torch.isfinite(found)).sum()),
    }
    for way in ("data", "latent"):
        out[way] = failure(peer, rows if way == "data" else z, way)
    out["failed"] = out["nonfinite_rows"] > 0 or any(
        out[w]["nonfinite"] > 0 or not out[w]["round_trip"] <= LOST for w in case.ways
    )
    return out


def alone(
    case: Case, seed: int, remedied: bool = False, at: int | None = None, show: bool = True
) -> dict[str, Any]:
    """Training and the looks at its checkpoints, by the peer and torch only; prints what a user would see.

    `at`: look at this checkpoint and the last one only.
    """
    run = fit(case, seed, remedied)
    rows, z = torch.as_tensor(case.rows()[1], dtype=torch.float32), latents(case)
    looks = {}
    for step in run.checkpoints:
        if at is not None and step not in (at, max(run.checkpoints)):
            continue
        looks[step] = look(case, run.at(step), rows, z)
        if looks[step]["failed"] and not remedied:
            break
    failed = next((s for s, found in looks.items() if found["failed"]), None)
    if show:
        print(f"{case.name}, seed {seed}{', remedied' if remedied else ''}: {case.library}")
        for step, found in list(looks.items())[-3:]:
            print(f"  step {step}: {spoken(found)}")
        if run.stopped is not None:
            print(f"  training stopped at step {run.stopped}: {run.message}")
    return {"run": run, "looks": looks, "failed": failed, "stopped": run.stopped, "message": run.message}


def spoken(found: dict[str, Any]) -> str:
    """One line for people."""
    if "error" in found:
        return f"error: {found['error']}"
    parts = [f"held-out log-likelihood {found['log_likelihood']:.4g}"]
    if found["nonfinite_rows"]:
        parts.append(f"{found['nonfinite_rows']} rows not finite")
    for way, name in (("data", "x -> z -> x"), ("latent", "z -> x -> z")):
        trip = found[way]
        lost = f", {trip['nonfinite']} of {trip['rows']} not finite" if trip["nonfinite"] else ""
        parts.append(f"{name} loses {trip['round_trip']:.3g}{lost}")
    return "; ".join(parts)


def bad_points(case: Case, found: dict[str, Any]) -> str:
    """The way whose failure is checked: the one that is worse."""
    if "error" in found or len(case.ways) == 1:
        return case.ways[0]
    worth = lambda w: (found[w]["nonfinite"], found[w]["round_trip"])
    return max(case.ways, key=worth)


def one_layer_in_float64(case: Case, peer: Peer, way: str) -> dict[str, Any]:
    """The failure with float32 everywhere, with each layer alone in float64, and with all of them; no Shoal in it."""
    rows = torch.as_tensor(case.rows()[1], dtype=torch.float32)
    points = rows if way == "data" else latents(case)
    count = len(peer.layers(peer.module))
    return {
        "way": way,
        "float32": failure(peer, points, way),
        "alone": [failure(peer, points, way, {i}) for i in range(count)],
        "all": failure(peer, points, way, range(count)),
    }
