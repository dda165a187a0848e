"""`as_record` makes a record of plain values and names what is wrong with anything else; files of records."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoal._errors import InputError
from shoal.records import AuditRecord, FitRecord, as_record, read_record, write_record


def smallest() -> dict[str, Any]:
    return {
        "format": 2,
        "kind": "fit",
        "data": {"columns": ["a", "b"]},
        "rungs": [
            {
                "name": "nsf on gaussian, 2 layers",
                "family": "nsf on gaussian",
                "depth": 2,
                "status": "finished",
            }
        ],
        "decision": {"chosen": 0, "best": 0, "kept": 0, "sentence": "Chosen: nsf on gaussian, 2 layers."},
    }


def test_the_smallest_record_is_accepted() -> None:
    record = smallest()
    made = as_record(record, FitRecord)
    assert record == smallest()
    assert made.delivered is made.rungs[0]
    assert made.decision.marks(0) == ["chosen", "best"]
    assert as_record(made, FitRecord) is made
    nothing = {"rungs": [], "decision": {"chosen": None}, "test": None, "points": None}
    assert as_record({**smallest(), **nothing}, FitRecord).delivered is None


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """Numbers that are not finite come back as such, and a column may have the name of one."""
    record = smallest()
    record["data"] = {"columns": ["nan", "-inf"], "means": [0.5, 1.0], "source": "inf"}
    record["rungs"][0].update(validation_log_likelihood="-inf", difference="nan", state="nan")
    record["rungs"][0]["seeds"] = [
        {"seed": 0, "status": "finished", "curve": {"epoch": [1], "train": ["inf"]}}
    ]
    record["config"] = {"hidden": [3], "note": "nan"}
    made = as_record(record, FitRecord)
    write_record(made, tmp_path / "record.json")
    back = read_record(tmp_path / "record.json", FitRecord)
    assert repr(back) == repr(made)
    assert back.data.columns == ["nan", "-inf"]
    assert back.rungs[0].validation_log_likelihood == -math.inf
    assert back.rungs[0].difference is not None
    assert math.isnan(back.rungs[0].difference)
    assert (back.rungs[0].state, back.config["note"]) == ("nan", "nan")
    assert back.rungs[0].seeds[0].curve.train == [math.inf]
    with pytest.raises(InputError, match=r"record\.json is of kind 'fit'; one of kind 'audit' is needed"):
        read_record(tmp_path / "record.json", AuditRecord)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (lambda r: r.update(format=3), "format 3, this version of Shoal reads 2"),
    "no format": (lambda r: r.pop("format"), "format None"),
    "true as format": (lambda r: r.update(format=True), "format True"),
    "kind": (lambda r: r.update(kind="audit"), "kind 'audit'; one of kind 'fit' is needed"),
    "no data": (lambda r: r.pop("data"), "missing required field `data`"),
    "no rungs": (lambda r: r.pop("rungs"), "missing required field `rungs`"),
    "no decision": (lambda r: r.pop("decision"), "missing required field `decision`"),
    "columns": (
        lambda r: r["data"].update(columns=[1]),
        r"Expected `str`, got `int` - at `data.columns\[0\]`",
    ),
    "columns as text": (
        lambda r: r["data"].update(columns="ab"),
        "Expected `array`, got `str` - at `data.columns`",
    ),
    "rungs as text": (lambda r: r.update(rungs="none"), "Expected `array`, got `str` - at `rungs`"),
    "rung": (lambda r: r["rungs"].append(3), r"Expected `object`, got `int` - at `rungs\[1\]`"),
    "rung without depth": (
        lambda r: r["rungs"][0].pop("depth"),
        r"missing required field `depth` - at `rungs\[0\]`",
    ),
    "depth": (lambda r: r["rungs"][0].update(depth=-1), r"Expected `int` >= 0 - at `rungs\[0\].depth`"),
    "rung without a name": (
        lambda r: r["rungs"][0].pop("name"),
        r"missing required field `name` - at `rungs\[0\]`",
    ),
    "depth as text": (lambda r: r["rungs"][0].update(depth="four"), "Expected `int`, got `str`"),
    "status": (lambda r: r["rungs"][0].update(status="fine"), "Invalid enum value 'fine'"),
    "decision": (lambda r: r.update(decision=None), "Expected `object`, got `null` - at `decision`"),
    "chosen": (lambda r: r["decision"].update(chosen=1), r"decision\.chosen is 1, but there are 1 rungs"),
    "best": (lambda r: r["decision"].update(best=-1), r"decision\.best is -1"),
    "kept": (lambda r: r["decision"].update(kept=True), r"Expected `int \| null`, got `bool`"),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_a_damaged_record_is_named(change: Callable[[dict[str, Any]], object], says: str) -> None:
    record = smallest()
    change(record)
    with pytest.raises(InputError, match=says):
        as_record(record, FitRecord)


@pytest.mark.parametrize("value", [None, [], "record", 3], ids=repr)
def test_only_a_dictionary_is_a_record(value: object) -> None:
    with pytest.raises(InputError, match="must be a dictionary of kind 'fit'; got a"):
        as_record(value, FitRecord)
