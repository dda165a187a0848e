"""Partitions: which coordinates are kept and moved, and what is refused."""

import re

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import ArrayPartition, Partition, alternating, halves, random_halves


@pytest.mark.parametrize(
    ("partition", "kept", "moved"),
    [
        pytest.param(halves(4), (0, 1), (2, 3), id="halves-4"),
        pytest.param(halves(5), (0, 1), (2, 3, 4), id="halves-5"),
        pytest.param(halves(1), (), (0,), id="halves-1"),
        pytest.param(alternating(4), (1, 3), (0, 2), id="alternating-4"),
        pytest.param(alternating(5), (1, 3), (0, 2, 4), id="alternating-5"),
        pytest.param(alternating(1), (), (0,), id="alternating-1"),
        pytest.param(Partition(4, [3, 0]), (3, 0), (1, 2), id="any-set-in-its-order"),
        pytest.param(Partition(3, []), (), (0, 1, 2), id="nothing-kept"),
        pytest.param(halves(5).swapped(), (2, 3, 4), (0, 1), id="halves-5-swapped"),
        pytest.param(halves(1).swapped(), (), (0,), id="halves-1-swapped"),
    ],
)
def test_values(partition, kept, moved):
    assert (partition.kept, partition.moved) == (kept, moved)
    assert (partition.dim, partition.kept_size) == (len(kept) + len(moved), len(kept))


@hypothesis.given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(st.just(n), st.permutations(range(n)), st.integers(0, n - 1))
    )
)
@hypothesis.settings(max_examples=8)
def test_split_and_join_of_any_set(drawn):
    n, order, size = drawn
    kept = order[:size]
    x = np.arange(n) * 10.0
    for p in (Partition(n, kept), ArrayPartition(Partition(n, kept))):
        a, b = p.split(jnp.asarray(x))
        np.testing.assert_array_equal(a, x[list(kept)])
        np.testing.assert_array_equal(b, x[[i for i in range(n) if i not in kept]])
        np.testing.assert_array_equal(p.join(a, b), x)
        assert (p.dim, p.kept_size) == (n, size)


@pytest.mark.parametrize(
    "partition", [halves(5), alternating(4), Partition(5, (4, 1, 2)), halves(1)], ids=str
)
def test_array_partition_is_the_partition(partition):
    array = ArrayPartition(partition)
    np.testing.assert_array_equal(array.kept, partition.kept)
    np.testing.assert_array_equal(array.moved, partition.moved)
    assert {a.dtype for a in (array.kept, array.moved, array.order)} == {np.dtype("int32")}


@pytest.mark.parametrize("partition", [halves(5), alternating(4), Partition(5, (4, 1, 2))], ids=str)
def test_swapped_exchanges_the_parts(partition):
    x = jnp.arange(float(partition.dim))
    kept, moved = partition.split(x)
    for p in (partition, ArrayPartition(partition)):
        a, b = p.swapped().split(x)
        np.testing.assert_array_equal(a, moved)
        np.testing.assert_array_equal(np.sort(b), np.sort(kept))
        np.testing.assert_array_equal(p.swapped().join(a, b), x)


def test_random_halves():
    drawn = [random_halves(k, 7) for k in jr.split(jr.key(0), 20)]
    assert all(p.kept == tuple(sorted(p.kept)) and p.kept_size == 3 for p in drawn)
    assert len({p.kept for p in drawn}) > 5
    assert random_halves(jr.key(1), 7) == random_halves(jr.key(1), 7)
    assert {i for p in drawn for i in p.kept} == set(range(7))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(lambda: Partition(0, []), "at least 1; got 0", id="dim-0"),
        pytest.param(lambda: Partition(3, [1, 1]), "distinct indices in 0 ... 2; got (1, 1)", id="twice"),
        pytest.param(lambda: Partition(3, [3]), "distinct indices in 0 ... 2; got (3,)", id="too-large"),
        pytest.param(lambda: Partition(3, [-1]), "distinct indices in 0 ... 2; got (-1,)", id="negative"),
        pytest.param(
            lambda: Partition(2, [0, 1]), "holds all 2 coordinates; a coupling must move", id="all-kept"
        ),
    ],
)
def test_bad_input(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_partitions_are_values():
    assert halves(4) == Partition(4, (0, 1))
    assert hash(halves(4)) == hash(Partition(4, (0, 1)))
    assert halves(4) != alternating(4)


def test_a_recipe_needs_a_partition():
    with pytest.raises(ValueError, match="`partition` is empty; give at least one Partition"):
        flows.realnvp(jr.key(0), 3, 2, partition=[])
