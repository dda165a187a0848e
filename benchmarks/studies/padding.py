"""The study `padding`: RealNVP on the data alone, with zeros, and with Gaussian coordinates beside the data.

The question is that of Koehler, Mehta and Risteski (ICML 2021, section 6): does zero padding hurt, and is Gaussian
padding better conditioned? (theory: shoal.distributions.Padded.)
"""

from .grid import Cell, ErrorBar, Setting, Study
from .padding_run import run_padding
from .targets import TARGETS

PADDINGS = ("none", "zero", "gaussian")
AS_PUBLISHED = ("zero-dequantized", "gaussian-clamped")  # what the public code of the paper does to images
PLANAR: dict[str, Setting] = {
    "rows": 4_000,
    "held_out": 2_000,
    "depth": 8,
    "hidden": 64,
    "partition": "alternating",
    "scale": "exponential",
    "batch": 128,
    "epochs": 60,
    "rate": 2e-3,
    "looks": "",
    "points": 64,
    "draws": 64,
    "samples": 1_000,
}
DIGITS: dict[str, Setting] = {
    **PLANAR,
    "rows": 1_437,
    "held_out": 360,
    "hidden": 128,
    "partition": "random",
    "scale": "soft-bounded",
    "batch": 64,
    "epochs": 30,
}
MNIST: dict[str, Setting] = {
    **DIGITS,
    "rows": 4_000,
    "held_out": 1_000,
    "hidden": 256,
    "epochs": 10,
    "looks": "1 2 5 10",
}
SMOKE: dict[str, Setting] = {
    **PLANAR,
    "rows": 256,
    "held_out": 128,
    "depth": 2,
    "hidden": 8,
    "batch": 64,
    "epochs": 2,
    "points": 8,
    "draws": 4,
    "samples": 64,
}


def grid(
    target: str,
    seeds: int,
    settings: dict[str, Setting],
    paddings: tuple[str, ...] = PADDINGS,
    mark: str = "",
) -> list[Cell]:
    """The cells of one target: every padding, every seed."""
    return [
        Cell(
            f"{target}/{padding}/{seed}{mark}",
            {"target": target, "padding": padding, "seed": seed, **settings},
        )
        for padding in paddings
        for seed in range(seeds)
    ]


def seconds(cell: Cell) -> float:
    """Expected seconds of a cell, roughly."""
    target, wide = cell.config["target"], cell.config["padding"] != "none"
    base = {"digits": 30.0, "mnist-14": 150.0}.get(str(target), 6.0)
    return base * (1.5 if wide else 1.0)


ESTIMATES = (
    "marginal_scale",
    *(f"{name}_effective" for name in ("estimate", "marginal_estimate", "bound_weighted")),
)
LIKELIHOODS = {
    "log_likelihood": "exact",
    "bound": "lower_bound",
    "estimate": "estimate",
    "bound_weighted": "lower_bound",
    "joint": "joint",
    "marginal_estimate": "estimate",
}
KINDS = {
    **LIKELIHOODS,
    **dict.fromkeys((f"{name}_error" for name in LIKELIHOODS), "estimate"),
    **dict.fromkeys(ESTIMATES, "estimate"),
    "train_by_epoch": "objective",  # the log-likelihood, the bound or the joint, whichever was trained
}

NATS, RELATIVE = ErrorBar(absolute=0.02), ErrorBar(absolute=1e-9, relative=0.02)

CELLS = (
    *(cell for target in TARGETS for cell in grid(target, 5, PLANAR)),
    *grid("digits", 5, DIGITS),
    *grid("mnist-14", 2, MNIST),
    *grid("digits", 2, DIGITS, AS_PUBLISHED),
)

PADDING = Study(
    name="padding",
    title="Padding: none, zeros and Gaussian coordinates, by likelihood, transport and condition number",
    source="Koehler, Mehta, Risteski: Representational aspects of depth and conditioning in normalizing flows, ICML 2021",
    cells=CELLS,
    smoke=tuple(grid("moons", 1, SMOKE, mark="/smoke")),
    run=run_padding,
    together=("seed",),
    kinds=KINDS,
    shown=(
        *("log_likelihood", "bound", "estimate", "marginal_estimate", "marginal_estimate_effective"),
        *("w1", "w1_data", "w2", "w2_data"),
        *("kappa_median", "kappa_mean", "kappa_unresolved"),
    ),
    cost=seconds,
    packages=("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax", "scikit-learn", "mlxtend"),
    bars=dict.fromkeys((*LIKELIHOODS, "train_by_epoch"), NATS),
    bar=RELATIVE,
)
