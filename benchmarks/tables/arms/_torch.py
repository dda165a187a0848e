"""What arms in torch share: a flow in training, and functions of tensors as functions of rows, in float32."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..clock import Clock
from ..prepare import Rows
from ._base import Estimate, held_out
from ._rounds import AbstractTrainee, best_of_rounds, cosine

RATE, CLIP, DECAY, BLOCK = 2e-3, 5.0, 1e-6, 4096


def tensor(rows: Rows) -> Tensor:
    """Rows as float32."""
    return torch.tensor(rows, dtype=torch.float32)


class Trainee(AbstractTrainee):
    """A module whose call gives a distribution, under AdamW with clipped gradients."""

    def __init__(self, model: nn.Module, fit: Tensor, validation: Tensor) -> None:
        self.model, self.fit, self.validation = model, fit, validation
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)

    def step(self, batch: Any, share: float) -> bool:
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * cosine(share)
        loss = -self.model().log_prob(self.fit[torch.from_numpy(batch)]).mean()
        self.optimizer.zero_grad()
        loss.backward()
        finite = math.isfinite(float(nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)))
        if finite:
            self.optimizer.step()
        return finite

    def score(self) -> float:
        with torch.no_grad():
            return float(self.model().log_prob(self.validation).mean())

    def weights(self) -> Any:
        return copy.deepcopy(self.model)


def trained(
    make: Callable[[], nn.Module], rows: Rows, budget: float, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """The flow of the best validation, and how it was found."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    clock, (fit, validation) = Clock(budget), map(tensor, held_out(rows, seed))
    model, facts = best_of_rounds(lambda _: Trainee(make(), fit, validation), len(fit), clock, seed)
    return model, {**facts, "parameters": sum(p.numel() for p in model.parameters())}


def rows_of(call: Callable[[Tensor], Tensor]) -> Callable[[Rows], Rows]:
    """A function of tensors as one of rows, in blocks."""

    def run(x: Rows) -> Rows:
        with torch.no_grad():
            parts = [call(tensor(x[i : i + BLOCK])).double().numpy() for i in range(0, len(x), BLOCK)]
        return np.concatenate(parts)

    return run


def condition(call: Callable[[Tensor], Tensor], x: Rows) -> Rows:
    """The condition number of the Jacobian of a map of rows at each row."""
    points = tensor(x).requires_grad_()
    z = call(points)
    lines = [
        torch.autograd.grad(z[:, j].sum(), points, retain_graph=True)[0].double() for j in range(z.shape[1])
    ]
    values = np.linalg.svd(torch.stack(lines, 1).numpy(), compute_uv=False)
    return values[:, 0] / values[:, -1]


def estimate(flow: Any, facts: Mapping[str, Any]) -> Estimate:
    """What a flow of zuko (a distribution with a transform x -> z) can say."""
    there, back = rows_of(flow.transform), rows_of(flow.transform.inv)

    def sample(n: int) -> Rows:
        with torch.no_grad():
            return flow.sample((n,)).double().numpy()

    return Estimate(
        rows_of(flow.log_prob),
        facts,
        sample,
        lambda x: np.abs(back(there(x)) - x.astype(np.float32)).max(1),
        lambda x: condition(flow.transform, x),
    )
