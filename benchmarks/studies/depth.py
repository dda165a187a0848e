"""The study `depth`: how deep a flow must be for k modes, and whether that grows like k/p.

Theorem 4 of Koehler, Mehta and Risteski (2021) says that flows of p parameters a layer need a depth of about k/p on some
instances with k modes, in high dimension. The study is about small ones, and about flows that are trained: what is measured
is the depth at which training under a stated budget closes the gap, which is no lower bound for any other training.
"""

from .depth_run import run_depth
from .grid import Cell, ErrorBar, Setting, Study

FAMILIES = ("layerwise", "realnvp", "planar")
MODES, DIMENSIONS, DEPTHS, SEEDS = (4, 16, 64), (2, 8), (1, 2, 4, 8, 16, 32), (0, 1, 2)
SETTINGS: dict[str, Setting] = {
    "hidden": 32,
    "rows": 16_384,
    "held_out": 8_192,
    "batch": 512,
    "epochs": 25,
    "rate": 5e-3,
    "samples": 20_000,
    "transported": 500,
    "separation": 6.0,
    "instance": 0,
}
# The most telling cells first: it is run as far as the time on the accelerator goes.
LARGE_MODES, LARGE_DIMENSIONS, LARGE_DEPTHS = (64, 16, 4, 256), (8, 2, 32), (8, 16, 32, 64, 4, 2, 1)
LARGE: dict[str, Setting] = {**SETTINGS, "rows": 65_536, "held_out": 16_384, "batch": 1_024, "epochs": 200}
SMOKE: dict[str, Setting] = {
    **SETTINGS,
    "hidden": 4,
    "rows": 256,
    "held_out": 128,
    "batch": 64,
    "epochs": 2,
    "samples": 256,
    "transported": 64,
}


def grid(
    family: str,
    k: int,
    d: int,
    depth: int,
    seeds: tuple[int, ...],
    settings: dict[str, Setting],
    mark: str = "",
) -> list[Cell]:
    """The cells of one flow on one instance."""
    return [
        Cell(
            f"{family}/k{k}/d{d}/depth{depth}/{seed}{mark}",
            {"family": family, "k": k, "d": d, "depth": depth, "seed": seed, **settings},
        )
        for seed in seeds
    ]


def seconds(cell: Cell) -> float:
    """Expected seconds of a cell, roughly: a constant and a share a layer."""
    depth: int = cell.config["depth"]  # pyright: ignore[reportAssignmentType]
    return 3.0 + depth * (0.3 if cell.config["d"] == 2 else 0.5)


KINDS = {
    "kl": "estimate",
    "kl_error": "estimate",
    "gap_lower": "lower_bound",
    "gap_upper": "estimate",
    "gap_upper_error": "estimate",
    "w1_data": "estimate",
}

CELLS = tuple(
    cell
    for d in DIMENSIONS
    for k in MODES
    for family in FAMILIES
    for depth in DEPTHS
    for cell in grid(family, k, d, depth, SEEDS, SETTINGS)
)

DEPTH = Study(
    name="depth",
    title="Depth against k: the depth at which trained flows close the gap to k modes",
    source="Koehler, Mehta, Risteski: Representational aspects of depth and conditioning in normalizing flows, ICML 2021",
    cells=CELLS,
    smoke=tuple(
        cell
        for family, d in (("layerwise", 2), ("realnvp", 8), ("planar", 2))
        for cell in grid(family, 4, d, 2, (0,), SMOKE, mark="/smoke")
    ),
    run=run_depth,
    together=("seed",),
    kinds=KINDS,
    shown=("kl", "gap_lower", "gap_upper", "w1_data", "parameters_a_layer"),
    cost=seconds,
    bars={"kl": ErrorBar(absolute=0.05, relative=0.02)},
    bar=ErrorBar(absolute=1e-6, relative=0.05),
)

DEPTH_LARGE = Study(
    name="depth-large",
    title="Depth against k with 16 times the steps: for an accelerator",
    source=DEPTH.source,
    cells=tuple(
        cell
        for d in LARGE_DIMENSIONS
        for k in LARGE_MODES
        for depth in LARGE_DEPTHS
        for family in FAMILIES
        if d > 2 or k <= 64  # neighbours of a ring of 256 are nearer than float32 training resolves
        for cell in grid(family, k, d, depth, SEEDS, LARGE, mark="/large")
    ),
    smoke=tuple(grid("planar", 4, 2, 2, (1,), SMOKE, mark="/large/smoke")),
    run=run_depth,
    together=DEPTH.together,
    kinds=KINDS,
    shown=DEPTH.shown,
    cost=lambda cell: 4 * seconds(cell),
    bars=DEPTH.bars,
    bar=DEPTH.bar,
)
