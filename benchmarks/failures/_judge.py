"""The part with Shoal: audits of the checkpoints before the failure, the remedy that is proposed, and the record."""

from typing import Any

import numpy as np
import torch

from failures._peer import Peer
from failures._study import Case, alone, bad_points, one_layer_in_float64, spoken
from shoal import adapters
from shoal.conditioning import Audit, audit
from shoal.records import to_plain
from shoal.remedies import propose

SEEDS = 3


def points(case: Case, peer: Peer) -> np.ndarray:
    """Held-out rows; half of them the training rows of the lowest likelihood, where the case asks for these."""
    train, held_out = case.rows()
    if not case.tail:
        return held_out[: case.points]
    with torch.no_grad():
        order = np.argsort(peer.log_prob(torch.as_tensor(train, dtype=torch.float32)).numpy())
    return np.concatenate([train[order[: case.points // 2]], held_out[: case.points // 2]])


def audited(case: Case, peer: Peer) -> Audit:
    """The audit of one checkpoint."""
    return audit(adapters.to_map(peer.module, shape=peer.shape), points(case, peer))


def figures(found: Audit) -> dict[str, Any]:
    """What the page shows of an audit."""
    return {
        **to_plain(found.diagnosis),
        "condition_99": float(np.quantile(np.nan_to_num(found.condition_numbers, nan=np.inf), 0.99)),
        "condition_layers": [r.condition_worst for r in found.layers],
        "names": [r.name for r in found.layers],
        "round_trips": {n: found.round_trips[n]["float32"].max for n in ("data", "samples")},
        "reach": [to_plain(r) for r in found.reach],
        "least_latent_deviation": float(np.sqrt(max(np.linalg.eigvalsh(np.cov(found.z.T))[0], 0.0)))
        if np.isfinite(found.z).all()
        else None,
        "proposed": [p.to_record() for p in propose(found)],
    }


def study(case: Case, seeds: int = SEEDS) -> dict[str, Any]:
    """The whole record of a failure: the first seed in full, likelihoods and steps for the others."""
    runs = []
    record: dict[str, Any] = {
        "library": case.library,
        "what": case.what,
        "threads": list(case.threads),
        "says": case.says,
        "steps": case.steps,
        "every": case.every,
        "rate": case.rate,
        "batch": case.batch,
        "remedy": case.remedy,
        "applied": case.applied,
        "noise": case.noise,
    }
    for seed in range(seeds):
        plain = alone(case, seed)
        failed = plain["failed"]
        end = failed if failed is not None else plain["stopped"]
        before = [s for s in plain["looks"] if end is None or s < end]
        tried = before[:: max(1, -(-len(before) // case.audits))]
        tried = sorted({*tried, before[-1]})
        audits = {s: figures(audited(case, plain["run"].at(s))) for s in tried}
        named = [s for s in tried if not audits[s]["healthy"]]
        step = before[-1]
        mended = alone(case, seed, True, at=step)
        last = mended["looks"][max(mended["looks"])]
        runs.append(
            {
                "seed": seed,
                "failed": failed,
                "stopped": plain["stopped"],
                "message": plain["message"],
                "before": step,
                "audited": [[s, audits[s]["cause"], audits[s]["worst_layer"]] for s in tried],
                "first_named": named[0] if named else None,
                "log_likelihood_before": plain["looks"][step]["log_likelihood"],
                "remedied": {
                    "stopped": mended["stopped"],
                    "failed": mended["failed"],
                    "log_likelihood_before": mended["looks"][step]["log_likelihood"]
                    if step in mended["looks"]
                    else float("nan"),
                    "log_likelihood_end": last.get("log_likelihood", float("nan")),
                    "end": spoken(last),
                },
            }
        )
        print(
            f"  audit by step {[(s, audits[s]['cause'], audits[s]['worst_layer']) for s in tried]}",
            flush=True,
        )
        if seed == 0:
            at = named[-1] if named else step
            record["audit"] = {"step": at, **audits[at]}
            record["steps_shown"] = {str(s): spoken(v) for s, v in list(plain["looks"].items())[-3:]}
            if failed is not None:
                way = bad_points(case, plain["looks"][failed])
                record["check"] = {
                    "step": failed,
                    **one_layer_in_float64(case, plain["run"].at(failed), way),
                }
    record["runs"] = runs
    return record
