"""Training of a torch peer by maximum likelihood, with its weights kept every so many steps, without Shoal."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from failures._peer import Peer


@dataclass
class Run:
    """Weights by step, the losses, and the first step whose loss, or a weight after it, was not finite (None: none)."""

    peer: Peer
    checkpoints: dict[int, dict[str, Any]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    stopped: int | None = None
    message: str = ""

    def at(self, step: int) -> Peer:
        """The flow as it was after `step` steps."""
        module = copy.deepcopy(self.peer.module)
        module.load_state_dict(self.checkpoints[step])
        return self.peer.with_module(module.eval())

    def before(self, step: int) -> int:
        """The last checkpoint at or before a step."""
        return max(s for s in self.checkpoints if s <= step)


def train(
    peer: Peer,
    x: np.ndarray,
    *,
    steps: int,
    every: int,
    rate: float = 1e-3,
    batch: int = 256,
    seed: int = 0,
    noise: float = 0.0,
    anneal: tuple[float, float] | None = None,
) -> Run:
    """Adam on batches drawn with replacement; `noise`: deviation of normal noise that is drawn anew for each batch;
    `anneal`: the noise goes geometrically from the first to the second, and the learning rate with it.
    """
    run = Run(peer)
    rows = torch.as_tensor(x, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    module = peer.module.train()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    for step in range(steps + 1):
        if step % every == 0:
            run.checkpoints[step] = copy.deepcopy(module.state_dict())
        if step == steps:
            break
        taken = rows[torch.randint(len(rows), (batch,), generator=generator)]
        faded = 1.0 if anneal is None else (anneal[1] / anneal[0]) ** (step / steps)
        noise = noise if anneal is None else anneal[0] * faded
        if noise:
            taken = taken + noise * torch.randn(taken.shape, generator=generator)
        optimizer.zero_grad()
        try:
            loss = -peer.log_prob(taken).mean()
            loss.backward()
        except RuntimeError as error:
            run.stopped, run.message = step, str(error).splitlines()[0]
            break
        optimizer.param_groups[0]["lr"] = rate * faded
        optimizer.step()
        run.losses.append(float(loss.detach()))
        finite = all(bool(torch.isfinite(p).all()) for p in module.parameters())
        if not (np.isfinite(run.losses[-1]) and finite):
            run.stopped, run.message = step, f"loss {run.losses[-1]}"
            break
    module.eval()
    return run
