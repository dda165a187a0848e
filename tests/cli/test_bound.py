"""`shoal bound`: its figures against the inequality written out anew, its words, and every wrong input."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import comb
from typer.testing import Result

Run = Callable[..., Result]
BASE = {"--family": "planar", "--dim": 60, "--instances": 20, "--epsilon": 1.0, "--delta": 0.5}


def words(**changes: object) -> list[str]:
    given = {**BASE, **{f"--{key}": value for key, value in changes.items()}}
    return ["bound", *(str(w) for pair in given.items() if pair[1] is not None for w in pair)]


def served(d: int, depth: int, gap: float, radius: float) -> float:
    """log of how many instances planar flows of that depth serve, layer by layer from the definitions."""
    p, m, k = 2 * d + 1, 1 + radius**2 / 2, math.sqrt(1 + radius**2)
    size, total = math.sqrt(d), 0.0
    for below in range(depth):
        total += (m ** (depth - 1 - below) * k * (1 + size)) ** 2
        size = m * size + radius
    return depth * p * math.log(1 + 2 * radius * math.sqrt(depth) * math.sqrt(total) / gap)


def least_depth(
    d: int, k: int, epsilon: float, delta: float, radius: float = 2.0, *, drawn: bool = False
) -> int:
    """The bound, with its own maximum over angle and overlap; `drawn`: with N = (1 + 4 R L / gap)^lp and delta^2."""
    r, best = 10 * math.sqrt(d), 1
    for angle in np.radians(np.arange(10, 90)):
        log_points = math.log(2) - (d - 1) * math.log(math.sin(angle))
        for overlap in (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
            chord = 2 * r * math.sin(angle / 2)
            gap = (1 - overlap) * chord - 2 * math.sqrt(d) - 4e-3 * r - 2 * epsilon
            s = math.floor(overlap * k) + 1
            if gap <= 0 or log_points < math.log(k):
                continue
            goal = s * (log_points - math.log(k)) - math.log(comb(k, s, exact=True)) + math.log(delta)
            if drawn:
                gap, goal = gap / 2, goal + math.log(delta)
            while served(d, best, gap, radius) <= goal:
                best += 1
    return best


@pytest.mark.parametrize(
    ("d", "k", "epsilon", "delta"),
    [(60, 400, 1.0, 0.5), (40, 1500, 0.1, 0.25), (60, 400, 5.0, 1.0), (60, 20, 1.0, 0.5)],
)
def test_the_depth_is_that_of_the_inequality(
    shoal_command: Run, d: int, k: int, epsilon: float, delta: float
) -> None:
    done = shoal_command(*words(dim=d, instances=k, epsilon=epsilon, delta=delta, confidence=0.999))
    assert done.exit_code == 0, done.output
    wanted = least_depth(d, k, epsilon, delta)
    found = re.search(r"Depth: +(?:at least )?(\d+)", done.stdout)
    assert found is not None
    assert int(found[1]) == wanted
    assert ("vacuous" in done.stdout) == (wanted == 1)
    assert wanted > 1 or k == 20  # both kinds are tried
    wanted = least_depth(d, k, epsilon, 0.001, drawn=True)
    found = re.search(r"Drawn: +at least (\d+) .*above 0.999\.", done.stdout)
    assert (int(found[1]) if found else 1) == wanted
    assert wanted > 1 or k == 20


def test_it_never_speaks_of_a_given_instance(shoal_command: Run) -> None:
    for k in (20, 400):
        text = shoal_command(*words(instances=k)).stdout
        assert "most of it is not most laws" in text
        assert "Of an instance that is given neither says anything" in text
    assert "at least 75% of it" in shoal_command(*words(instances=400, delta=0.25)).stdout


def test_what_binds_is_said(shoal_command: Run) -> None:
    far = shoal_command(*words(epsilon=1000.0)).stdout
    assert "vacuous" in far
    assert "Binds:     the distance" in far
    assert "Binds:     the sphere" in shoal_command(*words(dim=2, epsilon=0.01)).stdout
    assert "radius 77.46; served means W1 <= 34.64" in shoal_command(*words(epsilon=None)).stdout


@pytest.mark.parametrize("family", ["layerwise", "additive"])
def test_other_families_and_their_parameters(shoal_command: Run, family: str) -> None:
    done = shoal_command(*words(family=family))
    assert done.exit_code == 0
    count = {"layerwise": 60 * 4, "additive": 2 * 16 * 30 + 16 + 30}[family]
    assert f"{family} layers on R^60, {count} parameters a layer" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"family": "glow"}, "planar, layerwise, additive"),
        ({"dim": 1}, "--dim"),
        ({"instances": 0}, "--instances"),
        ({"epsilon": 0.0}, "--epsilon"),
        ({"radius": -1.0}, "--radius"),
        ({"delta": 0.0}, "--delta must lie in (0, 1]"),
        ({"delta": 1.5}, "--delta"),
        ({"confidence": 1.0}, "--confidence must lie in (0, 1)"),
        ({"dim": 10**7}, "at most 1000000"),
    ],
)
def test_bad_input(shoal_command: Run, changes: dict[str, object], said: str) -> None:
    done = shoal_command(*words(**changes))
    assert done.exit_code == 2
    assert said in done.stderr


def test_one_target_by_its_tail(shoal_command: Run) -> None:
    """E r^(tail - 1) and E |<v, direction>| by quadrature; a ball's mass by SciPy's laws."""
    done = shoal_command("bound", "--family", "planar", "--dim", "32", "--tail", "0.5", "--epsilon", "0.5")
    assert done.exit_code == 0, done.output
    radial = integrate.quad(lambda s: stats.gamma.pdf(s, 64) / s, 0, np.inf)[0]  # r^(1/2) is Gamma(64)
    top = math.gamma(16) / (math.sqrt(math.pi) * math.gamma(16.5))
    layer = 2.0 * 0.5 * radial * top
    found = re.search(r"Depth: +at least (\d+)", done.stdout)
    assert found is not None
    assert int(found[1]) == math.ceil(0.5 / layer)  # the base is 1 away to many digits
    assert "This speaks of this one target" in done.stdout
    done = shoal_command("bound", "--family", "planar", "--dim", "8", "--tail", "2")
    assert "vacuous" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"instances": None}, "Give --instances K"),
        ({"tail": 0.5}, "Give --instances K"),
        ({"instances": None, "tail": 3.0, "epsilon": 0.5}, "--tail must lie in (0, 2]"),
        ({"instances": None, "tail": 1.0, "epsilon": 1.5}, "a total variation in (0, 1)"),
        (
            {"instances": None, "tail": 1.0, "epsilon": 0.5, "family": "additive"},
            "--tail is for --family planar",
        ),
    ],
)
def test_bad_input_with_a_tail(shoal_command: Run, changes: dict[str, object], said: str) -> None:
    given = {"--delta": None, **{f"--{key}": value for key, value in changes.items()}}
    merged = {**BASE, **given}
    done = shoal_command("bound", *(str(w) for pair in merged.items() if pair[1] is not None for w in pair))
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.diag([1.0, 1, -1, -1]), ("at least 5", "all diagonal entries of T11 are >= 0, all of (T^-1)22 <= 0")),
        (np.kron(np.diag([1, 0]), np.eye(2)) + np.kron(np.diag([0, 1]), [[0, -1], [1, 0]]), ("at least 6", "imaginary")),
        (-np.eye(4), ("at least 4", "3.383 for 4, 1.919 for 6")),
        (np.diag([2.0, -1, -1]), ("at least 5", "six are enough", "no principal minor of -(T^-1)22 is negative")),
    ],
)  # fmt: skip
def test_a_linear_map_by_affine_couplings(
    shoal_command: Run, tmp_path, matrix, said: tuple[str, ...]
) -> None:
    np.save(tmp_path / "t.npy", matrix)
    done = shoal_command(
        "bound", "--family", "affine", "--matrix", str(tmp_path / "t.npy"), "--max-condition", "1.5"
    )
    assert done.exit_code == 0, done.output
    for words in said:
        assert words in done.stdout
    found = re.search(r"Limit: .* at least (\d+) of them", done.stdout)
    assert found is not None
    if np.array_equal(
        matrix, -np.eye(4)
    ):  # 2 gd(l) + 2 (m - 3) gd(l / 2) >= pi, and one layer more for odd m
        turned = lambda m: (
            2 * math.atan(math.sinh(math.log(1.5))) + 2 * (m - 3) * math.atan(math.sinh(math.log(1.5) / 2))
        )
        assert turned(int(found[1])) >= math.pi > turned(int(found[1]) - 2)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "belong together"),
        (("--matrix", "{}", "--dim", "4"), "takes none of --dim"),
        (("--matrix", "{}", "--max-condition", "1"), "--max-condition must be a finite number above 1"),
    ],
)
def test_bad_input_with_a_matrix(shoal_command: Run, tmp_path, more: tuple[str, ...], said: str) -> None:
    np.save(tmp_path / "t.npy", np.ones((2, 2)))
    done = shoal_command("bound", "--family", "affine", *(w.format(tmp_path / "t.npy") for w in more))
    assert done.exit_code == 2
    assert said in done.stderr
    done = shoal_command("bound", "--family", "affine", "--matrix", str(tmp_path / "t.npy"))
    assert done.exit_code == 2
    assert "numerical rank 1 of 2" in done.stderr
    assert "Give --dim D" in shoal_command("bound", "--family", "planar", "--instances", "4").stderr
