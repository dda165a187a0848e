"""Arms of the leaderboard against SciPy, and the targets of known density against their formulas."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import gaussian_kde, multivariate_normal

Bench = dict[str, ModuleType]
MEAN, COVARIANCE = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]])


def normal(mean: Any, covariance: Any = 1.0) -> Any:
    """SciPy's Gaussian, whose types know numbers alone."""
    frozen: Any = multivariate_normal
    return frozen(mean, covariance)


@pytest.fixture(scope="module")
def gaussian() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.multivariate_normal(MEAN, COVARIANCE, 4_000), rng.multivariate_normal(MEAN, COVARIANCE, 500)


def test_the_gaussian_is_that_of_the_moments(bench: Bench, gaussian: tuple[np.ndarray, np.ndarray]) -> None:
    train, test = gaussian
    made = bench["arms.gaussian"].train("gaussian", train, 10.0, 0)
    law = normal(train.mean(0), np.cov(train.T, bias=True))
    np.testing.assert_allclose(made.log_prob(test), law.logpdf(test), rtol=1e-10)
    drawn = made.sample(100_000)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(train.T), atol=0.05)


@pytest.mark.parametrize("arm", ["gaussian", "mixture", "kde"])
def test_arms_come_near_a_known_gaussian(
    bench: Bench, gaussian: tuple[np.ndarray, np.ndarray], arm: str
) -> None:
    """Kernels of 4,000 rows in three columns cost a few hundredths of a nat; a mixture of one Gaussian nearly none."""
    train, test = gaussian
    made = bench[f"arms.{arm}"].train(arm, train, 3.0, 0)
    gap = normal(MEAN, COVARIANCE).logpdf(test) - made.log_prob(test)
    assert abs(gap.mean()) < {"gaussian": 0.01, "mixture": 0.02, "kde": 0.1}[arm]
    assert made.sample(7).shape == (7, 3)


def test_kernels_are_those_of_scipy(bench: Bench, gaussian: tuple[np.ndarray, np.ndarray]) -> None:
    train, test = gaussian
    factor = 0.3
    theirs = gaussian_kde(train.T, bw_method=factor).logpdf(test.T)
    to = np.linalg.cholesky(np.linalg.inv(np.cov(train.T)))
    ours = bench["arms.kde"].log_kernels(test @ to, train @ to, np.array([factor, 1.0]))
    assert ours.shape == (2, len(test))
    np.testing.assert_allclose(ours[0] + np.linalg.slogdet(to)[1], theirs, rtol=1e-8)


def test_the_mixture_finds_two_clusters(bench: Bench) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1_500, 2)) + np.where(rng.random((1_500, 1)) < 0.5, 6.0, -6.0)
    made = bench["arms.mixture"].train("mixture", x[:1_000], 3.0, 0)
    truth = np.logaddexp(*(normal([c, c]).logpdf(x[1_000:]) for c in (6.0, -6.0))) - np.log(2)
    assert made.facts["k"] == 2
    assert abs((truth - made.log_prob(x[1_000:])).mean()) < 0.03


def test_known_targets_are_their_formulas(bench: Bench) -> None:
    known = bench["known"]
    for name in known.NAMES:
        law = known.target(name)
        x = law.sample(50, np.random.default_rng(6))
        parts = [
            np.log(w) + normal(m, r @ r.T).logpdf(x)
            for w, m, r in zip(law.weights, law.means, law.roots, strict=True)
        ]
        np.testing.assert_allclose(law.log_prob(x), np.logaddexp.reduce(parts), rtol=1e-9)
    np.testing.assert_allclose(known.target("twonorm").means, [[2 / 20**0.5] * 20, [-2 / 20**0.5] * 20])
    np.testing.assert_allclose(known.target("ring").roots[:, 0, 0], [2, 1])


def test_a_known_split_has_the_truth_in_standardised_units(bench: Bench) -> None:
    """exp(truth) integrates to 1 over the plane: its mean against a broad Gaussian's density is 1."""
    known = bench["known"]
    split, truth = known.known_split("mixture-2", 0)
    np.testing.assert_allclose(split.train.std(0), 1)
    law, proposal = known.target("mixture-2"), normal(np.zeros(2), 4 * np.eye(2))
    raw = law.sample(known.TRAIN_ROWS, bench["prepare"].generator("mixture-2", 1, 0))
    points = proposal.rvs(200_000, random_state=7)
    weights = np.exp(
        law.log_prob(points * raw.std(0) + raw.mean(0)) + np.log(raw.std(0)).sum() - proposal.logpdf(points)
    )
    assert abs(weights.mean() - 1) < 4 * weights.std() / len(points) ** 0.5
    np.testing.assert_allclose(
        truth, law.log_prob(split.test * raw.std(0) + raw.mean(0)) + np.log(raw.std(0)).sum(), rtol=1e-8
    )


def test_rounds_keep_the_best_weights_and_end_when_nothing_is_gained(bench: Bench) -> None:
    rounds = bench["arms._rounds"]

    class Trainee(rounds.AbstractTrainee):
        """Gains for three epochs, then loses."""

        def __init__(self) -> None:
            self.steps, self.epochs, self.shares = 0, 0, []

        def step(self, batch: np.ndarray, share: float) -> bool:
            self.steps += 1
            self.shares.append(share)
            return self.steps != 2

        def score(self) -> float:
            self.epochs += 1
            return -abs(self.epochs - 3.0)

        def weights(self) -> int:
            return self.epochs

    class Clock:
        """Half of the budget a round."""

        budget, calls = 10.0, 0

        def used(self) -> float:
            return 0.0

        def left(self) -> float:
            return 10.0

    kept, facts = rounds.best_of_rounds(lambda _: Trainee(), 1_000, Clock(), 0)
    assert kept == 3
    assert facts["rounds"][0] == {
        "validation": 0.0,
        "best_epoch": 3,
        "epochs": 33,
        "steps": 264,
        "skipped": 1,
    }
    assert [r["epochs"] for r in facts["rounds"][1:]] == [10, 10, 10]
    assert rounds.cosine(0) == 1
    assert rounds.cosine(2) == 0


def test_every_arm_has_its_file(bench: Bench) -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "tables" / "arms"
    assert all((folder / f"{file}.py").exists() for file in bench["arms"].ARMS.values())


@pytest.mark.long
@pytest.mark.parametrize("arm", ["zuko-nsf", "zuko-maf", "flowjax-nsf"])
def test_flows_of_other_libraries_are_densities(bench: Bench, arm: str) -> None:
    """They integrate to 1 over a grid, invert, and come near a Gaussian with correlation 0.8."""
    rng = np.random.default_rng(8)
    law = normal([0, 0], [[1, 0.8], [0.8, 1]])
    train, test = law.rvs(3_000, random_state=rng), law.rvs(500, random_state=rng)
    made = bench["arms"].trained(arm, train, 25.0, 0)
    axis = np.linspace(-9, 9, 361)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    np.testing.assert_allclose(np.exp(made.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2, 1, atol=5e-3)
    assert abs((law.logpdf(test) - made.log_prob(test)).mean()) < 0.1
    assert made.round_trip(test).max() < 1e-3
    assert made.condition(test).min() >= 1
    assert 2 < np.median(made.condition(test)) < 5  # 3 for the Gaussian itself
    assert made.sample(9).shape == (9, 2)
