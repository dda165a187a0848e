"""docs/hardness.md is what its script writes from results/, and the study's depths and factors are what records say."""

# A toy grid stands in for the study.
# pyright: reportArgumentType=false

import math
from pathlib import Path

import hardness_depth
import pytest

ROOT = Path(__file__).parents[2]
INF = math.inf


class ToyCell:
    """A cell of the grid below."""

    def __init__(self, family: str, k: int, depth: int, seed: int):
        self.config = {"family": family, "k": k, "d": 2, "depth": depth, "seed": seed}


class Toy:
    """Two families' records: KL falls like 1 / depth, a little more for each seed; one figure is missing."""

    cells = tuple(
        ToyCell(family, k, depth, seed)
        for family in ("planar", "realnvp")
        for k in (4, 64)
        for depth in (1, 2, 4, 8)
        for seed in (0, 1, 2)
    )

    def figures(self, cell: ToyCell):
        c = cell.config
        if c["depth"] == 8 and c["seed"] == 1 and c["k"] == 64:
            return {"kl": None, "gap_lower": 1.0, "parameters_a_layer": 5.0}
        scale = {"planar": 2.0, "realnvp": 1.0}[c["family"]] * {4: 1.0, 64: 3.5}[c["k"]]
        return {"kl": (scale + c["seed"]) / c["depth"], "gap_lower": 1.0, "parameters_a_layer": 5.0}


def test_closing_depths_are_the_least_ones_seed_by_seed():
    found = hardness_depth.closing_depths(Toy(), Toy(), "kl")
    assert found["realnvp", 4, 2] == [1, 2, 4]
    assert found["realnvp", 64, 2] == [4, INF, 8]  # 4.5 nats by depth 8 would do, and it has no figure
    assert found["planar", 64, 2] == [8, INF, INF]
    assert all(v == [INF] * 3 for v in hardness_depth.closing_depths(Toy(), Toy(), "gap_lower").values())
    assert set(hardness_depth.reach(Toy(), Toy()).values()) == {(1, 8)}


@pytest.mark.parametrize(
    ("small", "large", "wanted", "words"),
    [
        ([1, 1, 1], [8, 8, 8], (8, 8, 8), "8"),
        ([1, 2, 2], [8, 16, 16], (4, 8, 16), "8 (4 to 16)"),
        ([2, 2, 2], [32, INF, INF], (16, INF, INF), "beyond the grid (16 to beyond the grid)"),
        ([2, 2, 2], [INF] * 3, (32, INF, INF), "beyond the grid (32 to beyond the grid)"),
        ([1, 2, INF], [8] * 3, None, "unknown"),
    ],
)
def test_factors(small, large, wanted, words: str):
    found = hardness_depth.growth(small, large, 32)
    assert found == wanted
    assert hardness_depth.growth_words(found) == words


def test_words_and_table():
    assert hardness_depth.depth_words([8, 8, 8], 1, 32) == "8"
    assert hardness_depth.depth_words([8, INF, 16], 8, 32) == "16 (at most 8 to more than 32)"
    assert hardness_depth.depth_words(None, 1, 32) == "not run"
    table = hardness_depth.depth_table(Toy(), Toy(), "kl").splitlines()
    assert table[0] == "| family | d | p | k = 4 | k = 64 | factor |"
    assert table[3] == "| realnvp | 2 | 5 | 2 (1 to 4) | 8 (4 to more than 8) | 4 (1 to beyond the grid) |"
    assert "it lies within the range over seeds in 2 of 2 rows" in hardness_depth.verdict(Toy(), Toy())
    assert hardness_depth.smaller(Toy(), Toy(), Toy(), Toy()) == (0, 4)
