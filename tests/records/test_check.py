"""`check_record` accepts what `shoal fit` writes and names what is wrong with anything else."""

from collections.abc import Callable
from typing import Any

import pytest

from shoal._errors import InputError
from shoal.records import check_record


def smallest() -> dict[str, Any]:
    return {
        "format": 1,
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
    check_record(record)
    assert record == smallest()
    check_record(
        {
            **smallest(),
            "rungs": [
                {"name": "gaussian, no layer", "family": "gaussian", "depth": 0, "status": "closed form"}
            ],
        }
    )
    check_record({**smallest(), "rungs": [], "decision": {"chosen": None}, "test": None, "points": None})


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (lambda r: r.update(format=2), "format 2, this version of Shoal reads 1"),
    "no format": (lambda r: r.pop("format"), "format None"),
    "true as format": (lambda r: r.update(format=True), "format True"),
    "kind": (lambda r: r.update(kind="audit"), "kind 'audit', known kinds are fit"),
    "no data": (lambda r: r.pop("data"), "no key 'data'"),
    "no rungs": (lambda r: r.pop("rungs"), "no key 'rungs'"),
    "no decision": (lambda r: r.pop("decision"), "no key 'decision'"),
    "columns": (lambda r: r["data"].update(columns=[1]), "list of column names"),
    "columns as text": (lambda r: r["data"].update(columns="ab"), "list of column names"),
    "rungs as text": (lambda r: r.update(rungs="none"), "rungs must be a list, got a str"),
    "rung": (lambda r: r["rungs"].append(3), r"rungs\[1\] must be a dictionary, got a int"),
    "rung without depth": (lambda r: r["rungs"][0].pop("depth"), r"rungs\[0\] has no key 'depth'"),
    "depth": (lambda r: r["rungs"][0].update(depth=-1), "at least 0, got -1"),
    "rung without a name": (lambda r: r["rungs"][0].pop("name"), r"rungs\[0\] has no key 'name'"),
    "depth as text": (lambda r: r["rungs"][0].update(depth="4"), "at least 0, got '4'"),
    "status": (lambda r: r["rungs"][0].update(status="fine"), "status is 'fine', known are finished"),
    "decision": (lambda r: r.update(decision=None), "decision must be a dictionary, got a NoneType"),
    "chosen": (lambda r: r["decision"].update(chosen=1), r"decision\.chosen is 1, but there are 1 rungs"),
    "best": (lambda r: r["decision"].update(best=-1), r"decision\.best is -1"),
    "kept": (lambda r: r["decision"].update(kept=True), r"decision\.kept is True"),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_a_damaged_record_is_named(change: Callable[[dict[str, Any]], object], says: str) -> None:
    record = smallest()
    change(record)
    with pytest.raises(InputError, match=says):
        check_record(record)


@pytest.mark.parametrize("value", [None, [], "record", 3], ids=repr)
def test_only_a_dictionary_is_a_record(value: object) -> None:
    with pytest.raises(InputError, match="A record is a dictionary"):
        check_record(value)
