"""Numbers of nflows' invertible 1x1 convolution at seeded weights, for tests/bijections/test_parity_glow.py.

python benchmarks/parity_glow.py        (in an environment with torch and nflows; writes results/parity-glow.json)
"""

import json
from importlib.metadata import version
from pathlib import Path

import torch
from nflows.transforms import OneByOneConvolution

ROOT = Path(__file__).resolve().parents[1]
SEED, CHANNELS, SIZE, ROWS = 0, 4, 3, 5


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.float64)
    layer = OneByOneConvolution(CHANNELS, identity_init=False)
    with torch.no_grad():
        layer.bias.normal_()
        images = torch.randn(ROWS, CHANNELS, SIZE, SIZE)
        out, log_det = layer(images)
        weight = layer.weight()[:, torch.argsort(layer.permutation._permutation)]
    record = {
        "what": "nflows OneByOneConvolution, forward: images (rows, height, width, channels), outputs, log-dets, weight",
        "command": "python benchmarks/parity_glow.py",
        "seed": SEED,
        "versions": {name: version(name).split("+")[0] for name in ("nflows", "torch")},
        "weight": weight.tolist(),
        "bias": layer.bias.tolist(),
        "lower": layer._create_lower_upper()[0].tolist(),
        "upper": layer._create_lower_upper()[1].tolist(),
        "order": layer.permutation._permutation.tolist(),
        "images": images.permute(0, 2, 3, 1).tolist(),
        "outputs": out.permute(0, 2, 3, 1).tolist(),
        "log_det": log_det.tolist(),
    }
    (ROOT / "results" / "parity-glow.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
