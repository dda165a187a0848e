"""Writes results/log_prob_errors.json: what rounding does to log p, measured beside three bounds of it.

    python -m log_prob_errors [--fresh] [NAME ...]

Six families of Shoal on two tables and one flow of each of five other libraries on the first, all trained shortly in
float32. At test rows, float64 numbers as tables give them: |log p in float32 - log p in float64|, and beside it

- `bound`: `conditioning.log_prob_errors`, from the operations' own errors as independent random numbers: no float32 is run;
- `worst_case`: the same errors at their largest, all of one sign;
- `by_layers`: the local errors of whole layers measured, in float32 beside float64 at the same input, each with its
  slope, as absolute values summed: needs both precisions, and says nothing of float64 itself;
- `by_sizes`: each layer taken as backward stable: u times its input and image, each with its slope, and its log-det.

Slack is bound / measured at a row. What is measured is log p of the map with a standard normal latent; `own_log_prob` has
the same bound beside the error of the library's own function.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax.random as jr
import numpy as np
import polars as pl
from resume import RESULTS, ROOT, Record

from shoal import adapters
from shoal.conditioning import AbstractMap, LogProbErrors, log_prob_errors, unit_roundoff
from shoal.flows import FAMILIES
from shoal.records import system_info
from shoal.training import Settings, fit

PACKAGES = ("shoal", "numpy", "jax", "jaxlib", "torch", "zuko", "nflows", "normflows", "FrEIA", "flowjax")
FAMILY_NAMES = ("realnvp", "spline", "nsf", "maf", "single_coordinate", "residual")
TABLES = ("diamonds", "breast-cancer")
FOREIGN = ("zuko", "nflows", "normflows", "FrEIA", "flowjax")
DEPTH, HIDDEN, BATCH, STEPS, RATE, TEST, SEED = 4, (64, 64), 128, 400, 2e-3, 1000, 20


def rows_of(table: str) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows, standardised by the training rows; float64."""
    if table == "diamonds":
        x = (
            pl.read_csv(ROOT / "data" / "diamonds.csv")
            .select(pl.selectors.numeric())
            .to_numpy()
            .astype(float)
        )
    else:
        from sklearn.datasets import load_breast_cancer

        x = np.asarray(load_breast_cancer(return_X_y=True)[0], float)
    x = x[np.random.default_rng(SEED).permutation(len(x))]
    test = min(TEST, len(x) // 3)
    mean, deviation = x[test:].mean(axis=0), x[test:].std(axis=0)
    x = (x - mean) / deviation
    return x[test:][:20_000], x[:test]


LogProb = Callable[[np.ndarray], np.ndarray]  # float32 rows -> float32


def own(family: str, train: np.ndarray) -> tuple[AbstractMap, LogProb]:
    """A flow of Shoal, and its own log p."""
    flow = FAMILIES[family].build(jr.key(SEED), train.shape[1], DEPTH, hidden=HIDDEN)
    epochs = max(1, round(STEPS * BATCH / len(train)))
    settings = Settings(batch_size=BATCH, max_epochs=epochs, learning_rate=RATE, patience=None)
    cut = len(train) // 10
    rows = train.astype(np.float32)
    flow = fit(flow, rows[cut:], key=jr.key(SEED), validation=rows[:cut], settings=settings).flow
    return flow.to_map(), lambda x: np.asarray(flow.log_prob(x))


def foreign(library: str, train: np.ndarray) -> tuple[AbstractMap, LogProb]:
    """A flow of another library, and its own log p."""
    if library == "flowjax":
        found = trained_flowjax(train.astype(np.float32))
        return adapters.to_map(found), lambda x: np.asarray(found.log_prob(x))
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    flow, log_prob = TORCH[library](train.shape[1])
    optimizer, rows = torch.optim.Adam(flow.parameters(), RATE), torch.from_numpy(train.astype(np.float32))
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = -log_prob(rows[torch.randint(len(rows), (BATCH,))]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)
        optimizer.step()

    def of_rows(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return log_prob(torch.from_numpy(x)).numpy()

    return getattr(adapters, library.lower())(flow), of_rows


def zuko_nsf(n: int) -> tuple[Any, Callable]:
    """Neural spline flow, autoregressive."""
    import zuko

    flow = zuko.flows.NSF(n, 0, transforms=DEPTH, hidden_features=HIDDEN)
    return flow, lambda x: flow().log_prob(x)


def nflows_rq(n: int) -> tuple[Any, Callable]:
    """Spline couplings with LU-decomposed linear layers between them."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import ResidualNet
    from nflows.transforms import CompositeTransform, LULinear, PiecewiseRationalQuadraticCouplingTransform

    net = lambda inputs, outputs: ResidualNet(inputs, outputs, HIDDEN[0])
    parts = []
    for i in range(DEPTH):
        mask = [(i + j) % 2 for j in range(n)]
        coupling = PiecewiseRationalQuadraticCouplingTransform(mask, net, tails="linear", tail_bound=4.0)
        parts += [LULinear(n), coupling]
    flow = Flow(CompositeTransform(parts), StandardNormal([n]))
    return flow, flow.log_prob


def normflows_realnvp(n: int) -> tuple[Any, Callable]:
    """Affine couplings with scales from a sigmoid; with exponential ones rows far out are not finite."""
    import normflows as nf

    couplings = []
    for i in range(DEPTH):
        kept = (n + 1) // 2 if i % 2 == 0 else n // 2
        sizes = [kept, *HIDDEN, 2 * (n - kept)]
        mode = "channel" if i % 2 == 0 else "channel_inv"
        net = nf.nets.MLP(sizes, init_zeros=True)
        couplings.append(nf.flows.AffineCouplingBlock(net, scale_map="sigmoid", split_mode=mode))
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(n, trainable=False), couplings)
    return flow, flow.log_prob


def freia_glow(n: int) -> tuple[Any, Callable]:
    """Glow's coupling blocks with fixed permutations between them."""
    import FrEIA.framework as framework
    import FrEIA.modules as modules
    from torch import nn

    def net(inputs: int, outputs: int) -> Any:
        width = HIDDEN[0]
        return nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
        )

    flow = framework.SequenceINN(n)
    for i in range(DEPTH // 2):
        flow.append(modules.PermuteRandom, seed=i)
        flow.append(modules.GLOWCouplingBlock, subnet_constructor=net)

    def log_prob(x: Any) -> Any:
        z, log_det = flow(x)
        return log_det - 0.5 * (z * z).sum(1) - n * 0.5 * np.log(2 * np.pi)

    return flow, log_prob


TORCH: dict[str, Callable[[int], tuple[Any, Callable]]] = {
    "zuko": zuko_nsf,
    "nflows": nflows_rq,
    "normflows": normflows_realnvp,
    "FrEIA": freia_glow,
}


def trained_flowjax(rows: np.ndarray) -> Any:
    """Spline couplings; the base stays standard normal."""
    import equinox as eqx
    import jax.numpy as jnp
    import optax
    import paramax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    n = rows.shape[1]
    flow = coupling_flow(
        jr.key(SEED),
        base_dist=StandardNormal((n,)),
        flow_layers=DEPTH,
        nn_width=HIDDEN[0],
        nn_depth=2,
        transformer=RationalQuadraticSpline(knots=8, interval=4),
    )
    fixed = lambda leaf: isinstance(leaf, paramax.NonTrainable)
    params, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=fixed)
    optimizer = optax.adam(RATE)

    @eqx.filter_jit
    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        loss = lambda p: -jnp.mean(paramax.unwrap(eqx.combine(p, static)).log_prob(batch))
        change, state = optimizer.update(eqx.filter_grad(loss)(params), state)
        return eqx.apply_updates(params, change), state

    state, rng = optimizer.init(params), np.random.default_rng(SEED)
    for _ in range(STEPS):
        params, state = step(params, state, rows[rng.integers(len(rows), size=BATCH)])
    return paramax.unwrap(eqx.combine(params, static))


def other_bounds(whole: AbstractMap, x: np.ndarray, found: LogProbErrors) -> dict[str, np.ndarray]:
    """The bounds by whole layers."""
    states = [x]
    for layer in reversed(whole.layers()):
        states.append(layer.at("inverse")(states[-1]))
    u, z = unit_roundoff("float32"), states[-1]
    slopes = -z
    rounded = np.abs(found.of_input)
    by_layers, by_sizes = rounded + u * np.abs(found.log_prob), rounded + u * np.sum(z * z, axis=1)
    for layer, h, image in zip(whole.layers(), states[-2::-1], states[::-1], strict=False):
        start = h.astype(np.float32)
        (single, log_single), (double, log_double) = (
            layer.at("inverse", p).apply(start) for p in ("float32", "float64")
        )
        assert log_single is not None
        assert log_double is not None
        by_layers += np.abs(np.sum(slopes * (single - double), axis=1) + (log_single - log_double))
        by_sizes += u * (np.sum(np.abs(slopes * image), axis=1) + np.abs(log_double))
        slopes = layer.at("inverse").rounding(h, slopes)[0]
        by_sizes += u * np.sum(np.abs(slopes * h), axis=1)
    return {"by_layers": by_layers, "by_sizes": by_sizes}


def figures(bound: np.ndarray, measured: np.ndarray) -> dict[str, float]:
    """Of a bound."""
    slack = bound / np.maximum(measured, 1e-300)
    return {
        "median": float(np.median(bound)),
        "slack": float(np.median(slack)),
        "least_slack": float(slack.min()),
        "outside": int((measured > bound).sum()),
    }


def measured(kind: str, table: str) -> dict[str, Any]:
    """One flow."""
    began = time.perf_counter()
    train, test = rows_of(table)
    whole, log_prob = own(kind, train) if kind in FAMILY_NAMES else foreign(kind, train)
    found = log_prob_errors(whole, test)
    assert found is not None
    errors = found.measured
    assert np.isfinite(errors).all()
    bounds = {"bound": found.bound, "worst_case": found.worst_case, **other_bounds(whole, test, found)}
    by_itself = np.abs(log_prob(test.astype(np.float32)).astype(float) - found.log_prob)
    random = np.abs(found.single.astype(float) - found.log_prob - found.of_input) / unit_roundoff("float32")
    return {
        "flow": kind,
        "table": table,
        "columns": train.shape[1],
        "rows": len(test),
        "layers": len(whole.layers()),
        "log_prob": float(found.log_prob.mean()),
        "measured": {"median": float(np.median(errors)), "max": float(errors.max())},
        "of_input": float(np.median(np.abs(found.of_input))),
        "deviations": float(np.sqrt(np.mean((random / found.deviation) ** 2))),
        "float64": float(found.bound_in("float64").max()),
        **{name: figures(bound, errors) for name, bound in bounds.items()},
        "own_log_prob": figures(found.bound, by_itself),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    wanted = [(f, t) for t in TABLES for f in FAMILY_NAMES] + [(f, TABLES[0]) for f in FOREIGN]
    head = {
        "what": "what rounding does to log p in float32, measured and bounded, in nats a row",
        "command": "python -m log_prob_errors",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": {
            "flows": wanted,
            "training": {"depth": DEPTH, "hidden": HIDDEN, "batch": BATCH, "steps": STEPS, "rate": RATE},
            "test_rows": TEST,
        },
    }
    record = Record(RESULTS / "log_prob_errors.json", head, {"rows": []}, fresh="--fresh" in sys.argv)
    for kind, table in wanted:
        if (not names or kind in names) and not record.has(flow=kind, table=table):
            record.add(measured(kind, table))
            row = record.rows[-1]
            shown = (f"{b} {row[b]['slack']:.1f} ({row[b]['outside']})" for b in BOUNDS)
            print(
                f"{kind:<18} {table:<14} {row['measured']['median']:.2g}",
                *shown,
                f"{row['deviations']:.2f}",
                flush=True,
            )


BOUNDS = ("bound", "worst_case", "by_layers", "by_sizes")

if __name__ == "__main__":
    main()
