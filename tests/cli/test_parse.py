"""Words of the command line as values."""

import pytest

from shoal._errors import InputError
from shoal.cli._parse import parse_counts, parse_names, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2m30s", 150),
        (" 1H ", 3600),
        ("0.5s", 0.5),
    ],
)
def test_times(text: str, seconds: float):
    assert parse_seconds(text, "--time-limit") == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "-5m", "1m1h", "0s", "1e3s", "nan", "infs"])
def test_what_is_no_time(text: str):
    with pytest.raises(InputError, match="is not a time; give a number with its unit"):
        parse_seconds(text, "--time-limit")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ('"x, y",z', ("x, y", "z")),
        ('a, "b ""c"""', ("a", 'b "c"')),
    ],
)
def test_names(text: str, names: tuple[str, ...]):
    assert parse_names(text, "--columns") == names


def test_counts():
    assert parse_counts("1, 2,16", "--depths") == (1, 2, 16)
    with pytest.raises(InputError, match=r"--depths '1\.5' must be whole numbers of at least 1"):
        parse_counts("1.5", "--depths")


def test_the_families_are_those_that_the_ladder_builds():
    from shoal._names import FAMILY_NAMES
    from shoal.flows import FAMILIES

    assert tuple(FAMILIES) == FAMILY_NAMES
