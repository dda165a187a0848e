"""The FrEIA adapter against FrEIA itself: a sequence with a condition, a chain as a graph, a graph that branches."""

from typing import Any

import numpy as np
import pytest

from shoal import adapters
from tests.adapters import checks

# FrEIA 0.2 has a backslash in a plain string; Python says so when it compiles the file.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence:SyntaxWarning"),
    pytest.mark.filterwarnings('ignore:"\\\\\\\\m" is an invalid escape sequence:SyntaxWarning'),
]


def net(i: int, o: int) -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(i, 8), nn.Tanh(), nn.Linear(8, o))


@pytest.fixture(scope="module")
def inn() -> Any:
    import torch
    from FrEIA import modules
    from FrEIA.framework import SequenceINN

    checks.seed()
    inn = SequenceINN(3)
    inn.append(modules.GLOWCouplingBlock, subnet_constructor=net)
    inn.append(modules.PermuteRandom, seed=1)
    inn.append(modules.ActNorm)
    inn.append(modules.AllInOneBlock, cond=0, cond_shape=(2,), subnet_constructor=net)
    inn(torch.randn(20, 3), c=[torch.randn(20, 2)])
    return checks.perturbed(inn)


@pytest.fixture(scope="module")
def graph() -> Any:
    from FrEIA import modules
    from FrEIA.framework import ConditionNode, GraphINN, InputNode, Node, OutputNode

    checks.seed()
    start, given = InputNode(4), ConditionNode(2)
    first = Node(start, modules.GLOWCouplingBlock, {"subnet_constructor": net}, conditions=given)
    second = Node(first, modules.HouseholderPerm, {"n_reflections": 2})
    return checks.perturbed(GraphINN([start, given, first, second, OutputNode(second)]))


def own(inn: Any, points: Any, context: Any, direction: str) -> tuple[Any, Any]:
    return inn(points, c=None if context is None else [context], rev=direction == "forward")


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_parity(inn: Any, graph: Any, direction: Any, precision: Any) -> None:
    checks.parity(adapters.to_map(inn), inn, own, 2, direction, precision)
    checks.parity(adapters.to_map(graph), graph, own, 2, direction, precision)


def test_parity_can_fail(inn: Any, graph: Any) -> None:
    checks.a_missing_layer_shows(adapters.to_map(inn), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(inn), inn, own, 2)
    checks.a_missing_layer_shows(adapters.to_map(graph), 2)
    checks.a_wrong_parameter_shows(adapters.to_map(graph), graph, own, 2)


def test_layers(inn: Any, graph: Any) -> None:
    found = adapters.to_map(inn)
    assert [x.name for x in found.layers()] == [
        "AllInOneBlock",
        "ActNorm",
        "PermuteRandom",
        "GLOWCouplingBlock",
    ]
    checks.composition(found, 2)
    assert [x.name for x in adapters.to_map(graph).layers()] == ["HouseholderPerm", "GLOWCouplingBlock"]
    checks.composition(adapters.to_map(graph), 2)


def test_derivatives(inn: Any) -> None:
    checks.derivatives(adapters.to_map(inn), 2)
    checks.error_bars(adapters.to_map(inn), 2)


def test_gradient_of_the_loss(inn: Any, graph: Any) -> None:
    checks.gradients(adapters.to_map, inn, own, 2)
    checks.gradients(adapters.to_map, graph, own, 2)


def test_caller_unchanged(inn: Any) -> None:
    checks.caller_unchanged(adapters.to_map, inn, 2)


def test_several_outputs_are_one_latent_vector() -> None:
    import torch
    from FrEIA import modules
    from FrEIA.framework import GraphINN, InputNode, Node, OutputNode

    start = InputNode(4)
    split: Any = Node(start, modules.Split, {})
    block = Node(split.out0, modules.GLOWCouplingBlock, {"subnet_constructor": net})
    graph = GraphINN([start, split, block, OutputNode(block), OutputNode(split.out1)])
    found = adapters.to_map(checks.perturbed(graph))
    assert found.layers() == (found,)
    points, _, _ = checks.draws(4, None)
    outputs, log_det = graph(torch.tensor(points, dtype=torch.float32))
    latent = torch.cat(outputs, 1).detach().numpy()
    checks.same_images(found, points, None, latent, log_det.detach().numpy(), "inverse")
    checks.composition(found, None)


def test_images_are_flat_rows() -> None:
    from FrEIA import modules
    from FrEIA.framework import SequenceINN

    inn = SequenceINN(1, 4, 4)
    inn.append(modules.HaarDownsampling)
    inn.append(modules.Flatten)
    inn.append(modules.GLOWCouplingBlock, subnet_constructor=net)
    found = adapters.to_map(checks.perturbed(inn))
    assert found.size == 16
    checks.composition(found, None)


def test_untouched_act_norm_and_two_conditions_are_refused() -> None:
    from FrEIA import modules
    from FrEIA.framework import SequenceINN

    inn = SequenceINN(3)
    inn.append(modules.ActNorm)
    with pytest.raises(ValueError, match="ActNorm of this FrEIA network has seen no data"):
        adapters.to_map(inn)
    inn = SequenceINN(3)
    for i in range(2):
        inn.append(modules.AllInOneBlock, cond=i, cond_shape=(2,), subnet_constructor=net)
    with pytest.raises(ValueError, match="takes at most one condition; this network has 2"):
        adapters.to_map(inn)


def test_bfloat16(inn: Any, graph: Any) -> None:
    points, _, context = checks.draws(3, 2)
    rough = adapters.to_map(inn).at("forward", "bfloat16", context)(points)
    assert 1e-4 < np.abs(rough - adapters.to_map(inn).at(context=context)(points)).max() < 0.5
    with pytest.raises(NotImplementedError, match="GraphINN can not run in bfloat16: "):
        adapters.to_map(graph).at("forward", "bfloat16", context)(checks.draws(4, None)[0])
