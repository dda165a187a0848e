"""Numbers of zuko's free-form continuous transformation, for the parity test: weights, inputs, outputs and versions.

Run with the environment that has torch and zuko: `python benchmarks/parity_continuous.py`.
"""

import json
import math
from pathlib import Path

import torch  # pyright: ignore[reportMissingImports]  (of the peers' environment)
import zuko  # pyright: ignore[reportMissingImports]

ROWS, DIM, HIDDEN, SEED = 6, 3, 5, 4
TARGET = Path(__file__).resolve().parents[1] / "results" / "parity-continuous.json"


def main() -> None:
    """Writes the numbers of a network of one hidden layer, float64, tolerance 1e-10."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(SEED)
    first, last = torch.nn.Linear(DIM + 1, HIDDEN), torch.nn.Linear(HIDDEN, DIM)
    net = torch.nn.Sequential(first, torch.nn.Tanh(), last).requires_grad_(False)
    for p in net.parameters():
        p.mul_(2.0)

    def velocity(t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return net(torch.cat([z, t.expand(*z.shape[:-1], 1)], dim=-1))

    transform = zuko.transforms.FreeFormJacobianTransform(velocity, atol=1e-10, rtol=1e-10)
    x = torch.randn(ROWS, DIM)
    z, log_det = transform.inv.call_and_ladj(x)
    log_prob = log_det - 0.5 * (z**2).sum(-1) - 0.5 * DIM * math.log(2 * math.pi)
    names = {
        "first": first.weight, "first_bias": first.bias, "last": last.weight, "last_bias": last.bias,
        "x": x, "z": z, "log_prob": log_prob,
    }  # fmt: skip
    content = {"zuko": zuko.__version__, "torch": torch.__version__, "seed": SEED, "tolerance": 1e-10}
    content |= {name: value.detach().tolist() for name, value in names.items()}
    TARGET.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
