"""Planar and radial layers of other libraries at random weights: what tests/bijections/test_planar.py compares with.

    build/peers/bin/python benchmarks/parity_planar.py [--out results/parity-planar.json]

normflows: `Planar` (tanh) and `Radial`; flowjax: `Planar` (tanh). Float64, dimension 3, five layers of twenty inputs.
Every library has its own way to a valid u or β, so the file holds the ones that it uses (`u`, `beta`), not its raw weights.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flowjax.bijections import Planar as FlowjaxPlanar
from normflows.flows import Planar, Radial

DIM, LAYERS, ROWS = 3, 5, 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("results/parity-planar.json"))
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(0)
    makers = {"normflows.Planar": normflows_planar, "normflows.Radial": normflows_radial}
    makers["flowjax.Planar"] = flowjax_planar
    record = {
        "script": "benchmarks/parity_planar.py",
        "seed": 0,
        "versions": {name: version(name) for name in ("normflows", "flowjax", "torch", "jax", "numpy")},
        "layers": [{"layer": name, **make(rng)} for name, make in makers.items() for _ in range(LAYERS)],
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{len(record['layers'])} layers in {options.out}")


def normflows_planar(rng: np.random.Generator) -> dict[str, Any]:
    w, u, b, z = weights(rng)
    layer = Planar((DIM,), u=torch.tensor(u)[None], w=torch.tensor(w)[None], b=torch.tensor([b]))
    with torch.no_grad():
        x, log_det = layer(torch.tensor(z))
    used = u + (np.log1p(np.exp(w @ u)) - 1.0 - w @ u) * w / (w @ w)
    return lists(w=w, u=used, b=b, z=z, x=x.numpy(), log_det=log_det.numpy())


def flowjax_planar(rng: np.random.Generator) -> dict[str, Any]:
    w, u, b, z = weights(rng)
    layer = FlowjaxPlanar(jax.random.key(0), dim=DIM)
    object.__setattr__(layer, "params", jnp.concatenate([w, u, jnp.array([b])]))
    inner = layer.get_planar()
    x, log_det = jax.vmap(layer.transform_and_log_det)(jnp.asarray(z))
    return lists(w=w, u=inner.get_act_scale(), b=b, z=z, x=x, log_det=log_det)


def normflows_radial(rng: np.random.Generator) -> dict[str, Any]:
    z0, z = rng.normal(size=DIM), 2.0 * rng.normal(size=(ROWS, DIM))
    layer = Radial((DIM,), z_0=torch.tensor(z0)[None])
    alpha, beta = rng.normal(), 2.0 * rng.normal()
    with torch.no_grad():
        layer.alpha.fill_(alpha)
        layer.beta.fill_(beta)
        x, log_det = layer(torch.tensor(z))
    alpha, beta = abs(alpha), np.log1p(np.exp(beta)) - abs(alpha)
    return lists(z0=z0, alpha=alpha, beta=beta, z=z, x=x.numpy(), log_det=log_det.numpy())


def weights(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    w, u = rng.normal(size=(2, DIM))
    return w, u, float(rng.normal()), 2.0 * rng.normal(size=(ROWS, DIM))


def lists(**arrays: Any) -> dict[str, Any]:
    return {name: np.asarray(a, np.float64).tolist() for name, a in arrays.items()}


if __name__ == "__main__":
    main()
