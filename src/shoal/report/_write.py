"""Writing the HTML report of a run, a factorization, an audit or a construction from its record.

The page works offline: charts are Altair specifications, and the JavaScript that draws them is inlined.
"""

import os
from collections.abc import Mapping
from typing import Any

from .._errors import InputError
from ..records import check_record, to_plain, write_text
from ._audit import check_audit, render_audit
from ._construction import check_construction, render_construction
from ._factorization import check_factorization, render_factorization
from ._page import render

MAX_BYTES = 5_000_000


def write_report(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a run as one HTML file of at most 5 MB that needs no network.

    **Arguments:** `record`: the run record (`record.json` as `shoal.records.read_record` returns it). Figures that
    are missing or null are shown as missing. `path`: the file to write, replaced in one step if it exists.

    **Raises:** `InputError` if the record is not one that this version reads, if the page would be larger than
    5 MB (a record with thousands of rungs), or if the file can not be written.

    ```python
    shoal.report.write_report(shoal.records.read_record("runs/demo/record.json"), "report.html")
    ```
    """
    check_record(record)
    _write(render(to_plain(record)), path, "the record has too many rungs or too long texts")


def write_factorization_report(
    record: Mapping[str, Any], path: str | os.PathLike[str], frontier: Mapping[str, Any] | None = None
) -> None:
    """Writes the report of a linear factorization as one HTML file of at most 5 MB that needs no network.

    **Arguments:** `record`: what `shoal.linear.Factorization.to_record` returns; the keys `source` and `command`, if
    they are there, head the page. `path`: the file to write, replaced in one step if it exists. `frontier`: what
    `shoal.linear.Frontier.to_record` returns.

    **Raises:** `InputError` if these are not such records, or if the file can not be written.

    ```python
    shoal.report.write_factorization_report(shoal.linear.factor(T).to_record(), "factors.html")
    ```
    """
    check_factorization(record, frontier)
    page = render_factorization(to_plain(record), None if frontier is None else to_plain(frontier))
    _write(page, path, "the record holds too large matrices or too long texts")


def write_audit(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of an audit as one HTML file of at most 5 MB that needs no network.

    **Arguments:** `record`: what `shoal.conditioning.Audit.to_record` returns; the keys `target`, `source`, `columns`,
    `note` and `command`, if they are there, name what was audited. `path`: the file to write, replaced in one step if it
    exists.

    **Raises:** `InputError` if this is not such a record, or if the file can not be written.

    ```python
    shoal.report.write_audit(shoal.conditioning.audit(flow, x).to_record(), "audit.html")
    ```
    """
    check_audit(record)
    _write(render_audit(to_plain(record)), path, "the record has too many layers or too long texts")


def write_construction(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the report of a construction as one HTML file of at most 5 MB that needs no network.

    **Arguments:** `record`: what `shoal.universal.construction_record` returns; the keys `source`, `command` and `seconds`,
    if they are there, head the page. `path`: the file to write, replaced in one step if it exists.

    **Raises:** `InputError` if this is not such a record, or if the file can not be written.

    ```python
    made = shoal.universal.construct(x, 0.3, key=jax.random.key(0))
    shoal.report.write_construction(shoal.universal.construction_record(made, x), "construction.html")
    ```
    """
    check_construction(record)
    _write(render_construction(to_plain(record)), path, "the record has too many points or too long texts")


def _write(page: str, path: str | os.PathLike[str], reason: str) -> None:
    size = len(page.encode("utf-8", errors="backslashreplace"))
    if size > MAX_BYTES:
        raise InputError(
            f"The report would be {size / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; {reason}."
        )
    write_text(page, path)
