"""One trained flow of each library that `shoal.adapters` knows: its own log p in float64 against the map's, and its audit.

    python -m foreign_libraries [--only NAME]

Each library runs in a process of its own, as Keras takes one back end a process. Writes results/adapters.json, from which
docs/api/adapters.md is made. A library that is not installed keeps its old entry.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoal import adapters, audit
from shoal.conditioning import AbstractMap, expected_coverage
from shoal.records import system_info, to_plain

RESULTS = Path(__file__).resolve().parents[1] / "results" / "adapters.json"
ROWS, HELD = 400, 400
Rows = np.ndarray


class Trained(NamedTuple):
    """A flow; held-out rows and their context; the library's own log p of them in float64, and on which parts it is."""

    flow: object
    x: Rows
    context: Rows | None
    log_prob: Rows
    what: str


def simulated(rows: int, seed: int) -> tuple[Rows, Rows]:
    """Parameters of a normal law and three numbers simulated from each, both as float32 holds them."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(rows, 2))
    seen = np.stack([theta[:, 0], theta[:, 1] ** 2 + theta[:, 0], theta.sum(axis=1)], 1)
    x = seen + 0.5 * rng.normal(size=(rows, 3))
    return theta.astype(np.float32).astype(np.float64), x.astype(np.float32).astype(np.float64)


def sbi() -> Trained:
    """NPE of sbi: an nflows spline flow with z-scoring and an embedding net, 30 epochs."""
    import copy

    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn

    theta, x = (torch.as_tensor(a, dtype=torch.float32) for a in simulated(ROWS, 0))
    held, seen = simulated(HELD, 1)
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    embedding = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh())
    build = posterior_nn("nsf", embedding_net=embedding, hidden_features=16, num_transforms=3)
    inference = NPE(prior, density_estimator=build, show_progress_bars=False)
    estimator = inference.append_simulations(theta, x).train(max_num_epochs=30, training_batch_size=50)
    double = copy.deepcopy(estimator).double().eval()
    with torch.no_grad():
        own = double.log_prob(torch.as_tensor(held)[None], torch.as_tensor(seen))[0].numpy()
    return Trained(
        inference.build_posterior(estimator), held, seen, own, "posterior, neural spline flow of 3 layers"
    )


def bayesflow() -> Trained:
    """A coupling flow of bayesflow with a summary network, on the back end of this process."""
    import contextlib

    import bayesflow as bf
    import jax
    import keras

    def workflow() -> Any:
        names = {"theta": "inference_variables", "x": "summary_variables"}
        adapter = bf.Adapter()
        for name, to in names.items():
            adapter = adapter.rename(name, to)
        return bf.BasicWorkflow(
            inference_network=bf.networks.CouplingFlow(depth=3, subnet_kwargs={"widths": (16, 16)}),
            summary_network=bf.networks.DeepSet(summary_dim=4, depth=1),
            adapter=adapter,
            standardize="all",
        )

    named = lambda theta, x: {"theta": theta, "x": x[:, :, None]}
    held, seen = simulated(HELD, 1)
    flow = workflow()
    single = {k: v.astype(np.float32) for k, v in named(*simulated(ROWS, 0)).items()}
    flow.fit_offline(single, epochs=10, batch_size=50, verbose=0)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    with jax.enable_x64(True) if keras.config.backend() == "jax" else contextlib.nullcontext():
        double = workflow().approximator
        double.build(flow.approximator._build_shapes_dict["data_shapes"])
        for to, of in zip(double.variables, flow.approximator.variables, strict=True):
            to.assign(keras.ops.convert_to_numpy(of.value))
        own = np.asarray(double.log_prob(named(held, seen)))
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return Trained(
        flow, held, seen, own, "approximator, 3 affine coupling layers, a deep set as summary network"
    )


def torchflows() -> Trained:
    """A conditional spline coupling flow of torchflows, 30 epochs."""
    import copy

    import torch
    from torchflows.bijections.finite.autoregressive.architectures import CouplingRQNSF
    from torchflows.flows import Flow

    theta, x = (torch.as_tensor(a, dtype=torch.float32) for a in simulated(ROWS, 0))
    held, seen = simulated(HELD, 1)
    flow = Flow(CouplingRQNSF((2,), context_shape=(3,), n_layers=3))
    flow.fit(theta, n_epochs=30, lr=0.01, batch_size=100, context_train=x)
    with torch.no_grad():
        own = (
            copy.deepcopy(flow)
            .double()
            .log_prob(torch.as_tensor(held), context=torch.as_tensor(seen))
            .numpy()
        )
    return Trained(flow, held, seen, own, "conditional rational-quadratic coupling flow of 3 layers")


def pyro() -> Trained:
    """A conditional stack of pyro: a spline, a coupling and an inverted autoregressive transform, 200 steps."""
    import pyro.distributions as dist
    import pyro.distributions.transforms as t
    import torch
    from pyro.distributions.conditional import ConditionalTransformedDistribution

    theta, x = (torch.as_tensor(a, dtype=torch.float32) for a in simulated(ROWS, 0))
    held, seen = simulated(HELD, 1)
    last = t.conditional_affine_autoregressive(2, 3, [16])
    stack = [t.conditional_spline(2, 3, [16]), t.conditional_affine_coupling(2, 3, [16]), last.inv]
    modules = torch.nn.ModuleList([*stack[:2], last])
    made = ConditionalTransformedDistribution
    flow = made(dist.Normal(torch.zeros(2), torch.ones(2)), stack)
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.01)
    for _ in range(200):
        loss = -flow.condition(x).log_prob(theta).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = adapters.to_map(flow)
    torch.set_default_dtype(torch.float64)
    modules.double()
    double = made(dist.Normal(torch.zeros(2), torch.ones(2)), stack)
    with torch.no_grad():
        own = double.condition(torch.as_tensor(seen)).log_prob(torch.as_tensor(held)).numpy()
    torch.set_default_dtype(torch.float32)
    return Trained(
        found, held, seen, own, "conditional spline, affine coupling, inverted autoregressive transform"
    )


def numpyro() -> Trained:
    """A guide of inverse autoregressive flows of numpyro, 500 steps on a bent law; rows are its own samples."""
    import jax
    import jax.numpy as jnp
    import numpyro as library
    import numpyro.distributions as dist
    from numpyro.infer import SVI, Trace_ELBO
    from numpyro.infer.autoguide import AutoIAFNormal

    def model() -> None:
        x = library.sample("x", dist.Normal(0.0, 1.0))
        library.sample("y", dist.Normal(x**2, 0.5))
        library.sample("z", dist.Normal(jnp.sin(x), 0.3))

    guide = AutoIAFNormal(model, num_flows=3, hidden_dims=[16, 16])
    svi = SVI(model, guide, library.optim.Adam(0.01), Trace_ELBO(num_particles=8))
    parameters = svi.run(jax.random.key(0), 500, progress_bar=False).params
    flow = guide.get_posterior(parameters)
    held = np.asarray(flow.sample(jax.random.key(1), (HELD,)), np.float64)
    with jax.enable_x64(True):
        cast = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), parameters)
        own = np.asarray(guide.get_posterior(cast).log_prob(jnp.asarray(held)))
    return Trained(flow, held, None, own, "guide, 3 inverse autoregressive flows")


def tfp() -> Trained:
    """Two couplings of TensorFlow Probability on JAX with a permutation between, 300 steps."""
    import jax
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as library

    tfb, tfd = library.bijectors, library.distributions

    def law(weights: Any) -> Any:
        def net(w: Any) -> Callable:
            def shift_and_log_scale(given: Any, size: int, **_: Any) -> tuple[Any, Any]:
                shift, log_scale = jnp.split(jnp.tanh(given @ w[0]) @ w[1], 2, axis=-1)
                return shift, jnp.tanh(log_scale)

            return shift_and_log_scale

        couplings = [tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=net(w)) for w in weights["nets"]]
        parts = [tfb.Shift(weights["shift"]), couplings[1], tfb.Permute([1, 0]), couplings[0]]
        return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Chain(parts))

    rows, held = (simulated(n, seed)[1][:, :2] for n, seed in ((ROWS, 0), (HELD, 1)))
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(0.3 * rng.normal(size=shape), jnp.float32)
    weights = {"nets": [(draw(1, 16), draw(16, 2)) for _ in range(2)], "shift": draw(2)}
    data = jnp.asarray(rows, jnp.float32)
    step = jax.jit(jax.grad(lambda w: -law(w).log_prob(data).mean()))
    for _ in range(300):
        weights = jax.tree.map(lambda w, g: w - 0.05 * g, weights, step(weights))
    with jax.enable_x64(True):
        cast = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), weights)
        # the base is made in float32 by TFP: the normal law is written out
        bijector = law(cast).bijector
        z = bijector.inverse(jnp.asarray(held))
        own = (
            -0.5 * (z**2).sum(1) - np.log(2 * np.pi) + bijector.inverse_log_det_jacobian(jnp.asarray(held), 1)
        )
        own = np.asarray(own)
    return Trained(law(weights), held, None, own, "RealNVP of 2 layers, of functions over arrays")


def pzflow() -> Trained:
    """The default flow of pzflow with a normal base, 10 epochs."""
    import jax
    import jax.numpy as jnp
    import pandas as pd
    from pzflow import Flow
    from pzflow.bijectors import Chain, RollingSplineCoupling, ShiftBounds
    from pzflow.distributions import Normal

    frame = lambda theta, x: pd.DataFrame(np.hstack([theta, x]), columns=["a", "b", "x", "y", "z"])
    rows, held = frame(*simulated(ROWS, 0)), frame(*simulated(HELD, 1))
    columns, given = ["a", "b"], ["x", "y", "z"]
    low, high = rows[columns].to_numpy().min(axis=0), rows[columns].to_numpy().max(axis=0)
    spline = RollingSplineCoupling(2, n_conditions=3, hidden_dim=16, K=8)
    flow = Flow(columns, Chain(ShiftBounds(low, high, 3.0), spline), Normal(2), conditional_columns=given)
    flow.train(rows, epochs=10, batch_size=50, seed=0)
    with jax.enable_x64(True):
        cast = lambda tree: jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tree)
        x, context = held[columns].to_numpy(), held[given].to_numpy()
        scaled = (context - cast(flow._condition_means)) / cast(flow._condition_stds)
        own = np.asarray(flow._log_prob(cast(flow._params), jnp.asarray(x), jnp.asarray(scaled)))
    return Trained(flow, x, context, own, "conditional rolling spline coupling, 2 layers")


CASES: dict[str, tuple[Callable[[], Trained], str, dict[str, str]]] = {
    "sbi": (sbi, "sbi", {}),
    "bayesflow on JAX": (bayesflow, "bayesflow", {"KERAS_BACKEND": "jax"}),
    "bayesflow on torch": (bayesflow, "bayesflow", {"KERAS_BACKEND": "torch"}),
    "torchflows": (torchflows, "torchflows", {}),
    "pyro": (pyro, "pyro-ppl", {}),
    "numpyro": (numpyro, "numpyro", {}),
    "TFP on JAX": (tfp, "tfp-nightly", {}),
    "pzflow": (pzflow, "pzflow", {}),
}
OTHERS = ["zuko", "nflows", "normflows", "FrEIA", "flowjax", "distrax"]
BESIDE = ["torch", "jax", "keras", "numpy"]


def measured(name: str) -> dict[str, Any]:
    """The entry of one library."""
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(1)
    make, package, _ = CASES[name]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # sbi writes its logs into the current one
        made = make()
    found = made.flow if isinstance(made.flow, AbstractMap) else adapters.to_map(made.flow)
    z, log_dets = found.at("inverse", context=made.context).apply(made.x)
    ours = -0.5 * (z**2).sum(axis=1) - 0.5 * found.size * np.log(2 * np.pi) + np.asarray(log_dets)
    page = audit(found, made.x[:200], context=None if made.context is None else made.context[:200])
    covered = (
        expected_coverage(found, made.x, context=made.context) if found.latent == "StandardNormal" else None
    )
    return {
        "what": made.what,
        "version": version(package),
        "package": package,
        "parity": float(np.abs(ours - made.log_prob).max()),
        "rows": len(made.x),
        "log_likelihood": float(ours.mean()),
        "layers": [layer.name for layer in found.layers()],
        "condition_q99": float(np.quantile(page.condition_numbers, 0.99)),
        "diagnosis": to_plain(page.diagnosis),
        "coverage": None if covered is None else {"sentence": str(covered), **to_plain(covered)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--here", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print("\n" + json.dumps(measured(options.here)))
        return
    record: dict[str, Any] = (
        json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"libraries": {}}
    )
    for name, (_, _, environment) in CASES.items():
        if options.only not in (None, name):
            continue
        command = [sys.executable, "-W", "ignore", "-m", "foreign_libraries", "--here", name]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
            cwd=Path(__file__).parent,
        )
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            continue
        record["libraries"][name] = json.loads(done.stdout.strip().splitlines()[-1])
        entry = record["libraries"][name]
        print(f"{name} {entry['version']}: parity {entry['parity']:.1e}; {entry['diagnosis']['sentence']}")
    record["seed"] = 0
    record["command"] = "python -m foreign_libraries"
    record["versions"] = system_info(BESIDE)
    record["tested"] = {name: version(name) for name in OTHERS}
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
