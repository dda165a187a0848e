"""`flow.py` and `flow.pt` are the flow in PyTorch: the same numbers, to train on, without Shoal."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import torch

from shoal import flows
from shoal._errors import InputError, NumericalFailure
from shoal.export import to_torch
from tests.export.sample_flows import FLOWS, context_rows, of_family


def written(folder: Path) -> ModuleType:
    """The module `flow.py` that was written."""
    spec = importlib.util.spec_from_file_location("flow_of_test", folder / "flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", FLOWS)
def test_modules_are_the_flow(name: str, tmp_path: Path):
    flow = FLOWS[name]()
    beside = {} if flow.context_shape is None else {"context": context_rows(30)}
    rng = np.random.default_rng(1)
    normal = rng.normal(size=(30, 3)) * np.repeat([0.1, 1.0, 5.0], 10)[:, None]
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype.kind == "f" else a, flow)
        x = np.asarray(wide.forward(normal, *beside.values()))
        wanted = np.asarray(wide.log_prob(x, *beside.values()))
        rounded = np.asarray(
            wide.log_prob(x * (1.0 + 2.0**-50), *beside.values())
        )  # what a rounding of x does
    to_torch(flow, tmp_path, dtype="float64", rows=x, **beside)
    module = written(tmp_path).load(tmp_path / "flow.pt")
    given = [torch.from_numpy(np.array(part)) for part in (x, *beside.values())]
    z, first = (torch.from_numpy(np.array(part)) for part in (normal, x))
    error = np.abs(module.log_prob(*given).detach().numpy() - wanted)
    assert np.all(error < 1e-9 * (1.0 + np.abs(wanted)) + 100.0 * np.abs(rounded - wanted))
    np.testing.assert_allclose(module(z, *given[1:]).detach(), x, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(module.inverse(first, *given[1:]).detach(), normal, rtol=1e-6, atol=1e-8)
    drawn = module.sample(5, *(part[:5] for part in given[1:]))
    assert drawn.shape == (5, 3)
    assert torch.isfinite(drawn).all()


def test_draws_are_the_flows(tmp_path: Path):
    """Components of a mixture by their weights, and the spread of each."""
    flow = FLOWS["fronts"]()
    to_torch(flow, tmp_path)
    torch.manual_seed(0)
    drawn = written(tmp_path).load(tmp_path / "flow.pt").sample(6000).numpy()
    right = np.asarray(flow.sample(jr.key(0), 6000))
    for q in (0.1, 0.5, 0.9):
        share = np.mean(drawn <= np.quantile(right, q, axis=0), axis=0)
        assert np.all(np.abs(share - q) < 5 * (2 * q * (1 - q) / 6000) ** 0.5)


def test_training_on_moves_what_shoal_trains_and_keeps_the_masks(tmp_path: Path):
    flow = of_family("maf")
    to_torch(flow, tmp_path)
    module = written(tmp_path).load(tmp_path / "flow.pt")
    x = torch.from_numpy(np.array(flow.sample(jr.key(1), 200))) * 2.0 + 1.0
    before = loss = -module.log_prob(x).mean()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        loss = -module.log_prob(x).mean()
        loss.backward()
        optimizer.step()
    assert -module.log_prob(x).mean() < before - 0.1
    first = next(part for part in module.modules() if type(part).__name__ == "Autoregressive")
    slopes = torch.autograd.functional.jacobian(lambda v: first.inverse(v[None])[0][0], x[0])
    assert torch.equal(slopes, torch.tril(slopes))
    fronts = FLOWS["fronts"]()
    to_torch(fronts, tmp_path)
    held = {
        name.rpartition(".")[2] for name, _ in written(tmp_path).load(tmp_path / "flow.pt").named_buffers()
    }
    assert {"mean", "scale", "knots", "log_jumps", "log_heights", "log_slopes"} <= held


def test_the_files_need_pytorch_alone(tmp_path: Path):
    to_torch(of_family("realnvp"), tmp_path)
    code = (
        "import sys; from flow import load; import torch; flow = load('flow.pt'); print(flow.sample(3).shape);"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'shoal', 'jax', 'equinox'}))"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path += {sys.path!r}; {code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "torch.Size([3, 3])\n[]\n", done.stderr


def test_what_has_no_module_or_other_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="holds Radial, which has no module in PyTorch"):
        to_torch(flows.radial(jr.key(0), 2, 1), tmp_path / "none")
    from shoal.export import _torch_layers

    monkeypatch.setattr(_torch_layers.Affine, "inverse", lambda self, raw, x: (x, torch.zeros_like(x)))
    with pytest.raises(NumericalFailure, match="nothing was written"):
        to_torch(of_family("realnvp"), tmp_path / "none")
    assert not (tmp_path / "none").exists()
