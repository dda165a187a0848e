"""Every kind of table that has no density is told in one sentence, with a command that works."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.tables.cases import Case
from tests.tables.cases_refused import REFUSED

Run = Callable[..., Result]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{kind}: {name}")
        for kind, cases in REFUSED.items()
        for name, case in cases.items()
    ],
)
def test_it_is_told_with_a_command_that_works(shoal_command: Run, ladder: Any, case: Case):
    Path(case.name).write_bytes(case.data)
    result = shoal_command("fit", case.name, "--out", "run", *case.options.split())
    assert result.exit_code == 2
    assert not ladder.calls
    assert result.stderr.count("Error: ") == 1
    sentence = result.stderr.partition("Error: ")[2]
    assert case.sentence in sentence
    assert sentence.count("\n") == 1
    command = shlex.split(sentence.split("`")[1])
    assert command == ["shoal", "fit", case.name, "--out", "run", *case.cure.split()]
    result = shoal_command(*command[1:])
    assert result.exit_code == 0, result.output
    assert len(ladder.calls) == 1
