"""Graphs give the numbers of Shoal's float64, near and far out, and nothing is written where one does not."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import onnx
import pytest

from shoal import flows
from shoal._errors import InputError, NumericalFailure
from shoal.distributions import Flow, GaussianPadding, Padded
from shoal.export import to_onnx
from shoal.export._graph import Graph
from shoal.export._onnx import Session, written_out
from shoal.export._programs import programs
from shoal.export._rules import RULES
from shoal.export._trace import traced
from tests.export.sample_flows import FLOWS, conditional, context_rows, of_family, of_linear_layers

ALLOWED = {op.name for op in onnx.defs.get_all_schemas()} - {"Loop", "Scan", "If", "Det"}


def in_float64(flow: Flow, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The oracle: Shoal's own methods, in float64."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype.kind == "f" else a, flow)
        given = [jnp.asarray(inputs[key]) for key in ("x", "context") if key in inputs]
        return np.asarray(wide.log_prob(*given) if name == "log_prob" else wide.inverse(*given))


def rows_far_and_near(flow: Flow, name: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    normal = rng.normal(size=(40, *flow.shape)) * np.repeat([0.01, 1.0, 2.0, 4.0], 10)[:, None]
    beside = {} if flow.context_shape is None else {"context": context_rows(40)}
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype.kind == "f" else a, flow)
        x = np.asarray(wide.forward(normal, *beside.values()))
    return {"x": x, **beside}


def last_digits(flow: Flow, name: str, inputs: dict[str, np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """What changes of the points in their last digits do to each number of float64: far out a layer stretches them."""
    rng, u = np.random.default_rng(5), np.finfo(float).eps
    shifts = [1 + u * rng.choice([-1.0, 1.0], inputs["x"].shape) for _ in range(8)]
    moved = [np.abs(in_float64(flow, name, {**inputs, "x": inputs["x"] * s}) - wanted) for s in shifts]
    most = np.max(moved, axis=0)
    return most if most.ndim == 1 else np.max(most, axis=1, keepdims=True)


@pytest.mark.parametrize("name", FLOWS)
def test_graphs_are_the_flow(name: str):
    flow = FLOWS[name]()
    for program in programs(flow)[:2]:
        inputs = rows_far_and_near(flow, program.name)
        wanted = in_float64(flow, program.name, inputs)
        assert np.isfinite(wanted).all()
        graph, outputs = written_out(flow, program.name)
        model = graph.model(outputs, {}, "float64")
        assert {node.op_type for node in model.graph.node} <= ALLOWED
        got = Session(model.SerializeToString())(inputs)
        lost = np.abs(got - wanted) - 1e-12 * np.maximum(np.abs(wanted), 1.0)
        assert np.all(lost <= 100 * last_digits(flow, program.name, inputs, wanted))
        if (
            program.name == "inverse"
        ):  # and noise to data is its inverse, where the latents are the normal numbers
            latents = {**inputs, "normal": got, "x": inputs["x"]}
            if "uniform" not in programs(flow)[2].inputs:
                back, out = written_out(flow, "sample")
                x = Session(back.model(out, {}, "float64").SerializeToString())(latents)
                np.testing.assert_allclose(x, inputs["x"], rtol=1e-6, atol=1e-7)


def test_files_take_any_number_of_rows_in_the_units_of_the_columns(tmp_path: Path):
    flow = FLOWS["fronts"]()
    written = to_onnx(flow, tmp_path / "new", notes=["Mind the step."])
    assert [one.path.name for one in written] == ["log_prob.onnx", "inverse.onnx", "sample.onnx"]
    for one in written:
        assert one.agreement.error < 1e-5
        assert one.size == one.path.stat().st_size
        model = onnx.load(one.path)
        assert (model.opset_import[0].version, model.graph.input[0].type.tensor_type.elem_type) == (18, 1)
        head = {entry.key: entry.value for entry in model.metadata_props}
        assert (head["columns"], head["notes"], head["inside"]) == (
            '["a", "b", "c"]',
            '["Mind the step."]',
            one.inside,
        )
    density, sample = (
        Session((tmp_path / "new" / f"{name}.onnx").read_bytes()) for name in ("log_prob", "sample")
    )
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(4000, 3)).astype(np.float32)
    x = sample({"normal": normal, "uniform": rng.random((4000, 1)).astype(np.float32)})
    wanted = in_float64(flow, "log_prob", {"x": x[:50].astype(np.float64)})
    np.testing.assert_allclose(density({"x": x[:50]}), wanted, rtol=1e-5, atol=1e-5)
    assert density({"x": x[:1]}).shape == (1,)
    drawn = np.asarray(flow.sample(jr.key(3), 4000))
    lower, middle, upper = (np.quantile(drawn, q, axis=0) for q in (0.25, 0.5, 0.75))
    np.testing.assert_allclose(np.median(x, axis=0), middle, atol=float(np.max(upper - lower)) * 0.1)


def test_a_conditional_flow_needs_rows_with_their_context(tmp_path: Path):
    flow, rows = conditional(), np.random.default_rng(2).normal(size=(20, 3))
    with pytest.raises(InputError, match="checked on rows with their context"):
        to_onnx(flow, tmp_path)
    with pytest.raises(InputError, match=r"shape \(20, 2\); got \(20, 3\)"):
        to_onnx(flow, tmp_path, rows=rows, context=rows)
    with pytest.raises(InputError, match=r"`rows` must have shape \(rows, 3\)"):
        to_onnx(flow, tmp_path, rows=rows[:, :2], context=context_rows(20))
    written = to_onnx(flow, tmp_path, rows=rows, context=context_rows(20))
    assert written[0].agreement.rows == 20 + 512
    assert [i.name for i in onnx.load(written[2].path).graph.input] == ["normal", "context"]


def test_no_graph_holds_a_solve_and_matrices_that_meet_are_one():
    """Both triangular solves of a layer, and the permutation in an LU factorization, are products with constants."""
    graph, outputs = written_out(of_linear_layers(), "inverse")
    counts: dict[str, int] = {}
    for node in graph.model(outputs, {}, "float32").graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    assert counts["MatMul"] <= 6
    assert set(counts) <= {"Cast", "Sub", "Add", "Mul", "MatMul", "Gather", "Reshape", "Concat", "Slice"}


def test_a_graph_that_is_wrong_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def almost(graph: Graph, inputs: list[Any], shape: tuple[int, ...], *_: Any) -> Any:
        half = graph.add("Tanh", inputs[0], shape=shape)
        return graph.add("Mul", half, np.asarray(1.0 + 1e-6), shape=shape)

    monkeypatch.setitem(RULES, "tanh", almost)
    with pytest.raises(
        NumericalFailure, match=r"exported log_prob is not the flow's: .* nothing was written"
    ):
        to_onnx(of_family("realnvp"), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_float32_that_is_not_enough_becomes_float64_inside(tmp_path: Path):
    """A base whose factors are large: differences of latents lose their digits in float32."""
    flow = FLOWS["fronts"]()
    narrow = flow.base.log_diagonals + 9.0  # type: ignore[attr-defined]
    base = jax.tree.map(lambda a: a, flow.base)
    object.__setattr__(base, "log_diagonals", narrow)
    written = to_onnx(Flow(base, flow.bijection), tmp_path)
    assert written[0].inside == "float64"
    assert written[0].agreement.error < 2e-7
    assert written[0].agreement.own > 1e-5
    assert onnx.load(written[0].path).graph.output[0].type.tensor_type.elem_type == 1  # float32 outside


@pytest.mark.usefixtures("unchecked")
def test_what_no_graph_expresses_is_refused(tmp_path: Path):
    padded = Padded(flows.realnvp(jr.key(0), 3, 1, hidden=(4,)), GaussianPadding(1), key=jr.key(1))
    for flow, words in (
        (padded, "adds random coordinates"),
        (flows.planar(jr.key(0), 2, 1), "a loop whose length depends on the row"),
        (jr.key(0), "Only a `Flow` is exported"),
    ):
        with pytest.raises(InputError, match=words):
            to_onnx(flow, tmp_path / "none")  # type: ignore[arg-type]
    with pytest.raises(InputError, match='`dtype` must be "float32" or "float64"'):
        to_onnx(of_family("nice"), tmp_path, dtype="float16")  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_small_arguments_keep_their_digits_in_float32():
    x = (np.geomspace(1e-30, 20.0, 400) * np.resize([1.0, -1.0], 400)).astype(np.float32)[:, None]
    x = x[x[:, 0] > -0.99]
    wide = x.astype(np.float64)
    for function, wanted in ((jnp.log1p, np.log1p(wide)), (jnp.expm1, np.expm1(wide))):
        graph = Graph({"x": 1})
        with jax.enable_x64(True):
            (value,) = traced(graph, function, graph.given("x"))
        got = Session(graph.model({"y": value}, {}, "float32").SerializeToString())({"x": x})
        assert np.max(np.abs(got - wanted) / np.abs(wanted)) < 4 * np.finfo(np.float32).eps


def test_rules_are_the_primitives():
    """Each operation that a layer of a user may have, on one row, against JAX itself."""

    def function(x: jax.Array) -> tuple[jax.Array, ...]:
        table = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)))
        square = jnp.asarray(np.random.default_rng(2).normal(size=(4, 4)))
        m = x.reshape(2, 2)
        place = jnp.argsort(table[:, 0])
        return (
            jnp.where(x > 0, x, -2.0) * jnp.sign(x) + jnp.floor(x) + jnp.ceil(x) + jnp.abs(x) ** 1.5,
            jax.nn.softmax(x) + jax.nn.gelu(x) + jax.nn.silu(x) + jax.nn.log_sigmoid(x) + x**-2 + x**5,
            jnp.cumsum(m, axis=1) @ m.T
            + jnp.cumsum(m[::-1], axis=0)
            + jnp.einsum("ij,kj->ik", m, square[:2, :2]),
            jnp.linalg.solve(square, x) + jax.scipy.linalg.solve_triangular(square, x, lower=True, trans=1),
            jnp.clip(x, -0.5, 0.5) + jnp.clip(x, 0.1) + jax.lax.rsqrt(x * x + 1.0) + jax.lax.exp2(x),
            jnp.stack([x, x[place]], axis=1) + jnp.pad(m, ((1, 1), (0, 0))) + jnp.concatenate([table[:, :2]]),
            jnp.max(m, axis=0)
            + jnp.min(m, axis=1)
            + jnp.prod(m, axis=0)
            + jnp.any(m > 0, axis=0)
            + jnp.all(m < 1),
            jnp.take_along_axis(table, (x > 0).astype(int)[:, None], axis=1)[:, 0]
            + table[2, 1] * jnp.isfinite(x),
            jnp.searchsorted(table[:, 1].sort(), x).astype(float) + x.at[1:3].set(x[:2]) + jnp.sin(x),
            jax.lax.scan(lambda c, r: (c + r @ x, c * x), jnp.zeros(()), square, reverse=True)[1],
            jax.lax.switch(jnp.argmax(table[0]), [jnp.cos, jnp.tanh, jnp.arctan], x) + (x != x[0]),
        )

    rows = np.random.default_rng(3).normal(size=(6, 4))
    with jax.enable_x64(True):
        graph = Graph({"x": 4})
        found = traced(graph, function, graph.given("x"))
        wanted = jax.vmap(function)(jnp.asarray(rows))
    for value, right in zip(found, wanted, strict=True):
        got = Session(graph.model({"y": value}, {}, "float64").SerializeToString())({"x": rows})
        np.testing.assert_allclose(got, right, rtol=1e-10, atol=1e-12)
