"""What each column is taken for; rows to codes and numbers and back; the sentences of what can not be modelled."""

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import as_table, read_table, strange_notes
from shoal.tables._kinds import find_schema
from shoal.tables._source import Source

N = 600
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N).round(6)


def mixed(values: float, share: float, other: np.ndarray = NORMAL) -> np.ndarray:
    """`other`, with `values` in so many of its rows."""
    return np.where(np.random.default_rng(1).random(N) < share, values, other)


def days(form):
    first = np.datetime64("2021-03-01", "us")
    return pl.Series(first + np.arange(N).astype("timedelta64[D]")).dt.strftime(form).to_list()


def quarters(form):
    months = np.datetime64("2021-03", "M") + np.arange(N) // 30
    return [form.format(m.astype(object).year, (m.astype(object).month + 2) // 3) for m in months]


COLUMNS = {
    # name: cells, kind, and a word of the sentence
    "normal": (NORMAL, "number", "log-density in its unit"),
    "integers": (RNG.integers(0, 10, N), "count", "step 1"),
    "tenths": (NORMAL.round(1), "number", "step 0.1"),
    "log of counts": (np.log1p(RNG.poisson(4, N)), "number", "between its"),
    "a stray cell": ([3.001, *RNG.integers(0, 10, N - 1)], "number", "off its lattice: the value 3.001"),
    "zeros": (mixed(0.0, 0.6, np.abs(NORMAL)), "positive", "of the rows hold 0"),
    "a sentinel": (mixed(-999.0, 0.3), "number", "of the rows hold -999"),
    "a mean in gaps": (mixed(0.123, 0.05), "number", "of the rows hold 0.123"),
    "clipped": (np.clip(NORMAL, -1, 1.5), "number", "of the rows hold -1"),
    "a sentinel on a lattice": (mixed(-9, 0.3, RNG.integers(18, 95, N)), "count", "of the rows hold -9"),
    "heaps are no atoms": (
        np.where(RNG.random(N) < 0.95, RNG.integers(50, 60, N), RNG.uniform(50, 60, N).round(1)),
        "number",
        "step 0.1",
    ),
    "missing": (
        [None if i % 5 == 0 else v for i, v in enumerate(NORMAL)],
        "number",
        "20.0% of the cells are missing",
    ),
    "words": (RNG.choice(["red", "green", "blue"], N), "category", "3 values (blue, green, red)"),
    "a flag": (RNG.choice(["True", "False"], N), "category", "2 values"),
    "0 and 1": (RNG.integers(0, 2, N), "category", "2 values (0, 1)"),
    "missing words": (
        ["" if i % 10 == 0 else "ab"[i % 2] for i in range(N)],
        "category",
        "10.0% of the cells",
    ),
    "iso days": (days("%Y-%m-%d"), "date", "log-density in days"),
    "german days": (days("%d.%m.%Y"), "date", "step 1"),
    "times": (days("%Y-%m-%d %H:%M:%S"), "date", "date"),
    "american times": (days("%m/%d/%Y %I:%M %p"), "date", "MM/DD/YYYY hh:mm AM"),
    "times of a zone": (days("%Y-%m-%dT%H:%M:%S+02:00"), "date", "YYYY-MM-DDThh:mm:ss+02:00"),
    "months by name": (days("%d-%b-%Y"), "date", "DD-Mon-YYYY"),
    "months": (
        days("%Y-%m"),
        "date",
        "a date (YYYY-MM), the first day of each month: log-density in days, with noise up to",
    ),
    "months as digits": (days("%Y%m"), "date", "between its 20 values"),
    "months of years of two digits": (days("%b-%y"), "date", "a date (Mon-YY), the first day"),
    "quarters": (quarters("{}Q{}"), "date", "a date (YYYYQq), the first day of each quarter"),
    "quarters of years": (quarters("Q{1}-{0}"), "date", "between its 8 values"),
    "codes that look like months": ([f"abc-{i % 40:02d}" for i in range(N)], "category", "40 values"),
    "numbers and a letter": ([f"{i % 9}A" for i in range(N)], "category", "9 values (0A, 1A"),
    "days as digits": (days("%Y%m%d"), "date", "YYYYMMDD"),
    "a day for none": (
        ["1900-01-01" if i % 5 == 0 else day for i, day in enumerate(days("%Y-%m-%d"))],
        "date",
        "20.0% of the rows hold 1900-01-01",
    ),
    "a time for none": (
        ["9999-12-31 23:59:59" if i % 5 == 0 else day for i, day in enumerate(days("%Y-%m-%d %H:%M:%S"))],
        "date",
        "20.0% of the rows hold 9999-12-31T23:59:59",
    ),
    "a mean among counts": (mixed(4.9833, 0.2, RNG.poisson(5, N)), "number", "step 1; "),
    "-1 below counts": (mixed(-1, 0.2, RNG.poisson(40, N)), "count", "of the rows hold -1"),
    "1 or nothing": ([1 if i % 3 else None for i in range(N)], "category", "1 values (1)"),
    "leading zeros": ([f"{i % 40:04d}" for i in range(N)], "category", "40 values (0000, 0001"),
    "booleans in two spellings": (RNG.choice(["true", "false"], N), "category", "(false, true)"),
    "angles in degrees": ([f"{v:.2f}°" for v in NORMAL], "number", "step 0.01"),
    "addresses": ([f"10.0.{i % 256}.{i // 256}" for i in range(N)], "identifier", "left out"),
    "keys": ([f"key-{i * 7919 % N:05d}" for i in range(N)], "identifier", "left out"),
    "row numbers": (np.arange(N) + 1, "identifier", "left out"),
    "19 digits": (1582218195625938945 + np.arange(N) * 3 % 5000 + 7 * np.arange(N), "identifier", "left out"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_taken_for_what_it_is(name, source):
    cells, kind, words = COLUMNS[name]
    (column,) = find_schema(source(c=cells), [0], {}).columns
    assert column.kind == kind
    assert words in column.sentence()


@pytest.mark.parametrize("text", [False, True])
def test_whole_numbers_that_float64_can_not_hold_are_counted_from_the_least_one(text: bool):
    few = RNG.integers(0, 500, N)
    large = pl.Series("n", [None if i % 5 == 0 else 2**60 + int(n) for i, n in enumerate(few)])
    frame = pl.DataFrame({"n": large.cast(pl.String) if text else large, "y": NORMAL})
    table = as_table(frame, kinds={"n": "number"}, distinct=True)
    schema, present = table.schema, np.arange(N) % 5 > 0
    assert schema is not None
    least = few[present].min()
    assert f"counted from {2**60 + least}" in schema.columns[0].sentence()
    np.testing.assert_array_equal(table.values[present, 0], (few - least)[present])
    assert table.codes is not None
    assert schema.decode(table.codes, table.values)["n"].to_list() == large.to_list()
    with pytest.raises(InputError, match=r"beyond 2\^53; subtract an offset, or give its kind as number"):
        as_table(frame, kinds={"n": "positive"}, distinct=True)
    wide = frame.with_columns(n=pl.Series([i * 2**53 + 1 for i in range(N)]))
    with pytest.raises(InputError, match=r"beyond 2\^53; give its logarithm"):
        as_table(wide, kinds={"n": "number"}, distinct=True)


def test_a_key_with_missing_cells_has_no_states():
    keys = [None if i % 7 == 0 else f"key-{i * 7919 % N:05d}" for i in range(N)]
    frame = pl.DataFrame({"key": keys, "rain": mixed(0.0, 0.6), "y": RNG.normal(size=N)})
    table = as_table(frame, kinds={}, distinct=True)
    assert table.schema is not None
    assert table.schema.names == ("rain", "y")
    assert table.codes is not None
    assert (table.schema.sizes, table.codes.shape) == ((2,), (N, 1))


@pytest.mark.parametrize("name", [n for n, c in COLUMNS.items() if c[1] != "identifier"])
def test_cells_come_back_as_they_were(name, source):
    table = source(c=COLUMNS[name][0])
    schema = find_schema(table, [0], {})
    encoded = schema.encode(table)
    assert encoded.present.shape == encoded.values.shape
    back = schema.decode(encoded.codes, encoded.values)["c"]
    was = table.frame.to_series(0)
    if name in ("a stray cell",):  # is moved onto the lattice
        back, was = back[1:], was[1:]
    if back.dtype == pl.String:
        assert [b or "" for b in back] == [w or "" for w in was]
    else:
        numbers = was.cast(pl.Float64, strict=False)
        assert (back.is_null() == numbers.is_null()).all()
        np.testing.assert_allclose(
            back.drop_nulls().to_numpy(), numbers.drop_nulls().to_numpy(), rtol=1e-12, atol=1e-9
        )


def test_kinds_may_be_given(source):
    table = source(k=RNG.integers(0, 5, N), y=NORMAL, row=np.arange(N))
    kinds = {"k": "category", "y": "identifier", "row": "number"}
    assert [c.kind for c in find_schema(table, [0, 1, 2], kinds).columns] == [
        "category",
        "identifier",
        "number",
    ]
    with pytest.raises(InputError, match="unknown; choose from number"):
        find_schema(table, [0], {"k": "colour"})
    with pytest.raises(InputError, match="no column 'z'"):
        find_schema(table, [0], {"z": "number"})
    with pytest.raises(InputError, match="no form of dates"):
        find_schema(table, [1], {"y": "date"})


def test_a_word_never_seen_has_the_last_state_and_a_new_gap_is_refused(source):
    schema = find_schema(source(c=RNG.choice(["a", "b"], N), y=NORMAL), [0, 1], {})
    codes = schema.encode(source(c=["b", "zebra"], y=[0.0, 1.0])).codes[:, 0]
    assert list(codes) == [1, schema.columns[0].states - 1]
    with pytest.raises(InputError, match="column 'y', row 3: found a missing cell"):
        schema.encode(source(c=["a", "b"], y=[0.0, None]))
    with pytest.raises(InputError, match="found the text 'many' among numbers"):
        schema.encode(source(c=["a", "b"], y=["1", "many"]))
    with pytest.raises(InputError, match="no column 'y'"):
        schema.encode(source(c=["a", "b"]))


def test_a_date_in_another_form_is_told_among_dates(source):
    schema = find_schema(source(d=days("%d.%m.%Y")), [0], {})
    with pytest.raises(InputError, match=r"'2021-03-01' among dates \(DD\.MM\.YYYY\); mend"):
        schema.encode(source(d=["2021-03-01", "2021-03-02"]))


def test_words_never_seen_and_numbers_off_their_lattice_are_told(source):
    schema = find_schema(
        source(c=RNG.choice(["a", "b"], N), n=RNG.integers(0, 9, N), y=NORMAL), [0, 1, 2], {}
    )
    assert schema.rows(source(c=["b", "a"], n=[3, 40], y=[0.5, 1.0])).strange == ()
    word, number = strange_notes(schema.rows(source(c=["c", "d"], n=[3, 2.5], y=[0.5, 1.0])).strange)
    assert word.startswith(
        "column 'c': 2 rows hold a word never seen, the first, 'c' (row 2); it is as likely as"
    )
    assert number.startswith(
        "column 'n': 1 row holds a number off its lattice, '2.5' (row 3); it is as likely as"
    )


def test_text_among_numbers_is_named(source):
    cells = [str(v) for v in NORMAL]
    cells[5] = "1.5 kg"
    with pytest.raises(InputError, match=r"row 7: found the text '1\.5 kg' among numbers"):
        find_schema(source(c=cells), [0], {})


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"p": NORMAL, "q": 2 * NORMAL + 1, "c": list("ab") * (N // 2)},
            "'q' is 1 . 2 p in every row, so that there is no joint density; use `drop",
        ),
        (
            {"p": NORMAL, "q": NORMAL[::-1], "r": 100 - NORMAL - NORMAL[::-1], "c": list("ab") * (N // 2)},
            "column 'r' is 100 - [pq] - [pq] in every row.*drop",
        ),
        (
            {"p": NORMAL, "q": NORMAL[::-1], "r": 100 - NORMAL - NORMAL[::-1]},
            "no joint density; use `drop=\\['r'\\]`",
        ),
        ({"p": NORMAL, "c": ["same"] * N, "d": list("ab") * (N // 2)}, "'c' holds one value in every row"),
        ({"c": list("ab") * (N // 2)}, "no column has a density"),
    ],
)
def test_what_has_no_density_is_refused_with_a_cure(columns, words, source, tmp_path):
    source(**columns)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "table.csv", kinds={})


def test_a_table_of_numbers_is_plain(source, tmp_path):
    source(p=NORMAL, q=RNG.integers(0, 10, N))
    table = read_table(tmp_path / "table.csv", kinds={})
    assert table.codes is None
    assert table.schema is not None
    assert table.schema.is_plain
    np.testing.assert_array_equal(table.values, read_table(tmp_path / "table.csv").values)


def test_a_mixed_table_has_states_and_numbers(source, tmp_path):
    source(row=np.arange(N), rain=COLUMNS["zeros"][0], kind=COLUMNS["words"][0], y=NORMAL[::-1])
    table = read_table(tmp_path / "table.csv", kinds={})
    assert table.names == ("rain", "y")
    assert table.codes is not None
    assert table.present is not None
    assert table.schema is not None
    assert table.schema.sizes == (2, 4)
    assert table.schema.gates() == (0, -1)
    np.testing.assert_array_equal(table.present[:, 0], COLUMNS["zeros"][0] != 0)
    np.testing.assert_array_equal(table.codes[:, 0] == 1, COLUMNS["zeros"][0] == 0)


def schema_of(**columns):
    frame = pl.DataFrame(columns, strict=False)
    table = Source("t", "frame", tuple(frame.columns), frame, 0)
    return table, find_schema(table, range(frame.width), {})


def back(table, schema):
    encoded = schema.encode(table)
    return schema.decode(encoded.codes, encoded.values)


@pytest.mark.parametrize("trained", [[0.0, 1.0], [0, 1], ["0", "1"], ["0.0", "1.0"]])
@pytest.mark.parametrize("scored", [[0.0, 1.0], [0, 1], ["0", "1"]])
def test_flags_are_compared_by_value(trained, scored):
    _, schema = schema_of(f=trained * 100, y=NORMAL[:200])
    table, _ = schema_of(f=scored, y=[0.0, 1.0])
    assert list(schema.encode(table).codes[:, 0]) == [0, 1]


@pytest.mark.parametrize("scored", [[False, True], ["False", "True"], ["false", "true"]])
def test_booleans_are_compared_in_small_letters(scored):
    _, schema = schema_of(f=[True, False] * 100, y=NORMAL[:200])
    table, _ = schema_of(f=scored, y=[0.0, 1.0])
    assert list(schema.encode(table).codes[:, 0]) == [0, 1]


def test_words_with_leading_zeros_and_huge_numbers_keep_their_spelling():
    table, _ = schema_of(zip=["01234", "98765"] * 100, key=[9007199254740993 + (i % 7) for i in range(200)])
    schema = find_schema(table, [0, 1], {"zip": "category", "key": "category"})
    again = back(table, schema)
    assert again["zip"].to_list() == table.frame["zip"].to_list()
    assert again["key"].to_list() == table.frame["key"].to_list()


@pytest.mark.parametrize("every", ["1m", "15m", "1h", "10s", "1d"])
@pytest.mark.parametrize("typed", [False, True])
def test_times_on_a_lattice_come_back_to_the_second(every, typed):
    start = pl.datetime(2017, 3, 3, 14)
    all_times = pl.select(pl.datetime_range(start, start + pl.duration(days=400), every)).to_series()
    times = all_times.sample(400, with_replacement=True, seed=1)
    cells = times if typed else times.dt.strftime("%Y-%m-%d %H:%M:%S")
    table, schema = schema_of(t=cells, y=NORMAL[:400])
    assert schema.columns[0].kind == "date"
    assert back(table, schema)["t"].to_list() == cells.to_list()
    other = times.dt.strftime("%Y-%m-%d %H:%M:%S") if typed else times
    new = Source("t", "frame", ("t", "y"), pl.DataFrame({"t": other, "y": NORMAL[:400]}), 0)
    np.testing.assert_allclose(schema.encode(new).values, schema.encode(table).values)


def test_many_sentinels_are_atoms_where_there_is_no_lattice():
    cells = np.concatenate([NORMAL[: N // 2], np.resize([0.0, 100.0, -999.0, -888.0], N // 2)])
    _, schema = schema_of(c=cells)
    assert sorted(schema.columns[0].atoms) == [-999.0, -888.0, 0.0, 100.0]


@pytest.mark.parametrize("cells", [["16.02.20"] * 50 + ["17.03.21"] * 50, ["1.2.3"] * 50 + ["1.4.0"] * 50])
def test_two_digits_are_no_year(cells):
    _, schema = schema_of(c=cells, y=NORMAL[:100])
    assert schema.columns[0].kind == "category"


@pytest.mark.parametrize("cells", [[[1.0]] * 20, [b"a", b"b"] * 10])
def test_cells_that_are_no_values_are_refused(cells):
    table = Source("t", "frame", ("c",), pl.DataFrame({"c": cells}), 0)
    with pytest.raises(InputError, match="are not modelled"):
        find_schema(table, [0], {})


def test_wild_numbers_make_no_dates():
    _, schema = schema_of(d=days("%Y-%m-%d"), y=NORMAL)
    found = schema.decode(np.empty((3, 0), int), np.array([[1e20, 0.0], [np.nan, 0.0], [-1e9, 0.0]]))
    assert found["d"].to_list() == ["9999-12-31", None, "0001-01-01"]


def test_a_cure_names_the_columns_that_were_asked_for(source, tmp_path):
    source(a=NORMAL, b=2 * NORMAL, c=list("xy") * (N // 2), other=NORMAL, w=np.ones(N))
    with pytest.raises(InputError, match=r"use `columns=\['a', 'c'\], weights='w'`"):
        read_table(tmp_path / "table.csv", columns=["a", "b", "c"], weights="w", kinds={})
