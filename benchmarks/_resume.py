"""What benchmarks that go on where they stopped take over from the file of an earlier run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoal.records import read_record, to_plain


def earlier(record: Mapping[str, Any], out: Path, fresh: bool) -> Mapping[str, Any]:
    """The record at `out` where its config is that of `record`; empty where there is none, or with `fresh`."""
    if fresh or not out.exists():
        return {}
    before = read_record(out)
    return before if before["config"] == to_plain(record["config"]) else {}
