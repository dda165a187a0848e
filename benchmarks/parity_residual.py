"""normflows' residual block with seeded weights and inputs: its outputs, for a test that builds the same layer in Shoal.

    build/peers/bin/python benchmarks/parity_residual.py [--out results/parity-residual.json]

The block is `iResBlock` around linear, swish, linear with the weights as they act (below 1 in spectral norm), float64,
n = 2, where normflows takes the determinant by brute force. Stored: weights, inputs, x + g(x), log-dets, and the inverse
that normflows finds by its own fixed-point iteration (its tolerance is 1e-5, squared and relative).
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from normflows.flows.residual import iResBlock
from normflows.nets.lipschitz import Swish

ROWS, WIDTH, NORM = 20, 8, 0.9


def main() -> None:
    """Write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/parity-residual.json"))
    out = parser.parse_args().out
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    first, last = torch.nn.Linear(2, WIDTH), torch.nn.Linear(WIDTH, 2)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.mul_(NORM / torch.linalg.matrix_norm(layer.weight, 2))
    swish = Swish()
    block = iResBlock(torch.nn.Sequential(first, swish, last), brute_force=True)
    block.eval()
    x = 2.0 * torch.randn(ROWS, 2)
    z, minus_log_det = block(x, torch.zeros(ROWS, 1))
    back = block.inverse(z.detach())
    record = {
        "what": "normflows iResBlock(linear, swish, linear), n = 2, float64",
        "seed": 0,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in ("normflows", "torch")},
        "first_weight": first.weight.tolist(),
        "first_bias": first.bias.tolist(),
        "last_weight": last.weight.tolist(),
        "last_bias": last.bias.tolist(),
        "beta": torch.nn.functional.softplus(swish.beta).item(),
        "x": x.tolist(),
        "z": z.tolist(),
        "log_det": (-minus_log_det[:, 0]).tolist(),
        "inverse_of_z": back.tolist(),
    }
    out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
