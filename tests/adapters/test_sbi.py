"""The sbi adapter against sbi itself: trained estimators with z-scoring and embedding, posteriors at an observation."""

import copy
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from shoal import adapters
from tests.adapters import checks

pytestmark = [
    checks.needs("sbi"),
    # A few epochs are enough for a test of parity, and sbi says that they are few.
    pytest.mark.filterwarnings("ignore:Maximum number of epochs:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning"),
]

LIMIT = 1e-6  # of log p in float64; nflows keeps the constant of its base in float32
WIDE = 2.0  # the prior's box


def simulate(theta: Any) -> Any:
    import torch

    noise = torch.randn(len(theta), 3)
    return torch.cat([theta, (theta**2).sum(1, keepdim=True)], 1) + 0.3 * noise


def prior() -> Any:
    import torch
    from sbi.utils import BoxUniform

    return BoxUniform(-WIDE * torch.ones(2), WIDE * torch.ones(2))


def trained(model: str, **options: Any) -> tuple[Any, Any]:
    """A posterior at its first simulation, and the estimator, after a few epochs; dropout is on in training mode."""
    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn

    checks.seed()
    law = prior()
    theta = law.sample((200,))
    x = simulate(theta)
    embedding = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.3), torch.nn.Tanh())
    build = posterior_nn(model, embedding_net=embedding, hidden_features=8, num_transforms=2, **options)
    inference = NPE(law, density_estimator=build, show_progress_bars=False)
    inference.append_simulations(theta, x)
    estimator = inference.train(max_num_epochs=5, training_batch_size=50)
    posterior = inference.build_posterior(estimator)
    return posterior.set_default_x(x[:1]), estimator.train()


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """sbi writes its logs into the current directory."""
    with chdir(tmp_path_factory.mktemp("sbi")):
        yield


@pytest.fixture(scope="module", params=["nsf", "zuko_nsf"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    if request.param == "nsf":
        return trained("nsf", dropout_probability=0.2)
    return trained("zuko_nsf", z_score_theta="transform_to_unconstrained", x_dist=prior())


def own(estimator: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    embedded = estimator.embedding_net(context)
    if type(estimator).__name__ == "NFlowsFlow":
        transform = estimator.net._transform
        return (transform.inverse if direction == "forward" else transform)(points, embedded)
    transform = estimator.net(embedded).transform
    return (transform.inv if direction == "forward" else transform).call_and_ladj(points)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(pair: Any, direction: Any, precision: Any) -> None:
    estimator = pair[1]
    checks.parity(adapters.to_map(estimator), estimator, own, 3, direction, precision)


def test_parity_can_fail(pair: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(pair[1]), 3)
    moved = checks.perturbed(copy.deepcopy(pair[1]), 0.6)  # after so few epochs most tensors matter little
    checks.a_wrong_parameter_shows(adapters.to_map(moved), moved, own, 3)


def test_log_prob_is_that_of_sbi(pair: Any) -> None:
    """In float64 the estimator's own; in float32 the posterior's, without its division by what is inside the prior."""
    import torch

    posterior, estimator = pair
    theta = prior().sample((20,))
    found = adapters.to_map(posterior)
    z, log_dets = found.at("inverse").apply(theta.double().numpy())
    ours = -0.5 * (z**2).sum(1) - np.log(2 * np.pi) + log_dets
    double = copy.deepcopy(estimator).double().eval()
    with torch.no_grad():
        asked = double.log_prob(theta[:, None].double(), posterior.default_x.double())[:, 0].numpy()
        np.testing.assert_allclose(ours, asked, rtol=0, atol=LIMIT)
        single = posterior.log_prob(theta, norm_posterior=False).numpy()
    np.testing.assert_allclose(ours, single, rtol=1e-4, atol=1e-4)
    elsewhere = found.at("inverse", context=np.full((20, 3), 2.0))(theta.double().numpy())
    assert np.abs(elsewhere - z).max() > 0.01  # a context comes before the observation


def test_layers(pair: Any) -> None:
    found = adapters.to_map(pair[1])
    names = [layer.name for layer in found.layers()]
    if type(pair[1]).__name__ == "NFlowsFlow":
        block = ["LULinear", "PiecewiseRationalQuadraticCouplingTransform"]
        assert names == [*block, *block, "PointwiseAffineTransform"]
    else:
        assert names == ["MaskedAutoregressiveTransform"] * 2 + ["CallableTransform"]
        assert np.abs(found.at(context=np.zeros((50, 3)))(8 * checks.draws(2, 3, 50)[0])).max() < WIDE
    checks.composition(found, 3)


def test_caller_unchanged(pair: Any) -> None:
    checks.caller_unchanged(adapters.to_map, pair[1], 3)


def test_what_is_outside_the_prior_is_said(pair: Any) -> None:
    posterior, _ = pair
    known = adapters.to_map(posterior).posterior
    assert known is not None
    assert known.observed
    inside = known.inside(np.array([[0.0, 0.0], [WIDE + 0.1, 0.0]]))
    assert inside.tolist() == [True, False]
    if type(pair[1]).__name__ == "NFlowsFlow":
        share = 1 - float(posterior.leakage_correction(posterior.default_x))
        said = [float(n) / 100 for n in known.note.replace("%", "").split() if n.replace(".", "").isdigit()]
        assert said[0] == pytest.approx(share, abs=0.02)
        assert share > 0.05
        assert "sbi rejects samples there" in known.note
    else:
        assert known.note == ""  # the box is the flow's own range


def test_a_context_is_needed(pair: Any) -> None:
    with pytest.raises(ValueError, match="This sbi flow is conditional: give a context"):
        adapters.to_map(pair[1]).at()(np.zeros((2, 2)))


def test_variational_posterior(pair: Any) -> None:
    """Its flow lives in unconstrained space; the map has the link to the prior's box."""
    import torch
    from sbi.inference import VIPosterior
    from sbi.inference.potentials.posterior_based_potential import posterior_estimator_based_potential

    potential, link = posterior_estimator_based_potential(
        pair[1], prior(), x_o=pair[0].default_x, enable_transform=True
    )
    checks.seed()
    posterior: Any = VIPosterior(potential, prior(), q="maf", theta_transform=link, num_transforms=2)
    posterior.set_default_x(pair[0].default_x)
    posterior.train(max_num_iters=5, min_num_iters=1, quality_control=False, show_progress_bar=False)
    found = adapters.to_map(posterior)
    theta = prior().sample((20,))
    z, log_dets = found.at("inverse").apply(theta.double().numpy())
    ours = -0.5 * (z**2).sum(1) - np.log(2 * np.pi) + log_dets
    with torch.no_grad():
        asked = posterior.q.log_prob(theta).numpy()
    np.testing.assert_allclose(ours, asked, rtol=1e-4, atol=1e-4)


def test_what_is_no_map() -> None:
    _, mixture = trained("mdn")
    with pytest.raises(ValueError, match=r"takes sbi flows, .*; got sbi\..*MixtureDensityEstimator"):
        adapters.to_map(mixture)


@pytest.mark.long
def test_audit_with_expected_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A posterior named on the command line, with held-out simulations; without their x there is no coverage."""
    import torch

    from shoal.cli import app

    checks.seed()
    theta = prior().sample((60,))
    rows = torch.cat([theta, simulate(theta)], 1).numpy()
    pl.DataFrame(rows, schema=["a", "b", "x0", "x1", "x2"]).write_csv(tmp_path / "held.csv")
    pl.DataFrame(rows[:, :2], schema=["a", "b"]).write_csv(tmp_path / "theta.csv")
    (tmp_path / "mine_sbi.py").write_text(
        "from tests.adapters.test_sbi import trained\nposterior, _ = trained('nsf', dropout_probability=0.2)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["audit", "mine_sbi:posterior", "held.csv", "--context", "x0,x1,x2", "--coverage"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "PointwiseAffineTransform" in said
    assert "Expected coverage of 60 rows (99 %): 50% regions hold" in said
    done = CliRunner().invoke(app, ["audit", "mine_sbi:posterior", "theta.csv"])
    assert "of its probability outside the prior" in " ".join(done.output.split())
    done = CliRunner().invoke(app, ["audit", "mine_sbi:posterior", "theta.csv", "--coverage"])
    assert done.exit_code == 2
    assert "Expected coverage of a posterior needs simulations" in " ".join(done.output.split())
