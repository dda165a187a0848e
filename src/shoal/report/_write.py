"""Writing the HTML report of a run, a factorization, an audit or a construction from its record.

The page works offline: charts are Altair specifications, and the JavaScript that draws them is inlined.
"""

import os
from collections.abc import Callable
from typing import Any

from .._errors import InputError
from ..records import AuditRecord, ConstructionRecord, FactorizationRecord, FitRecord, Record, write_text
from ._audit import render_audit
from ._construction import render_construction
from ._factorization import render_factorization
from ._page import render

MAX_BYTES = 5_000_000
_PAGES: dict[type[Record], tuple[Callable[[Any], str], str]] = {  # and what makes a page too large
    FitRecord: (render, "rungs"),
    AuditRecord: (render_audit, "layers"),
    ConstructionRecord: (render_construction, "points"),
    FactorizationRecord: (render_factorization, "entries of matrices"),
}


def write_report(
    record: FitRecord | AuditRecord | ConstructionRecord | FactorizationRecord, path: str | os.PathLike[str]
) -> None:
    """Writes the report of a record as one HTML file of at most 5 MB that needs no network.

    **Arguments:** `record`: of a ladder (`LadderResult.record`, or a run's `record.json`), or what the `to_record` of an
    `Audit` or a `Factorization`, or `shoal.theory.universal.construction_record`, returns; figures that are None are shown
    as missing. `path`: the file to write, replaced in one step if it exists.

    **Raises:** `InputError` if it is no such record, the page would be larger than 5 MB (thousands of rungs), or the file
    can not be written.

    ```python
    record = shoal.records.read_record("runs/demo/record.json", shoal.records.FitRecord)
    shoal.report.write_report(record, "report.html")
    shoal.report.write_report(shoal.conditioning.audit(flow, x).to_record(), "audit.html")
    ```
    """
    if type(record) not in _PAGES:
        names = ", ".join(kind.__name__ for kind in _PAGES)
        raise InputError(f"A report is drawn from one of {names}; got a {type(record).__name__}.")
    draw, what = _PAGES[type(record)]
    page = draw(record)
    size = len(page.encode("utf-8", errors="backslashreplace"))
    if size > MAX_BYTES:
        raise InputError(
            f"The report would be {size / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; the record has too many "
            f"{what} or too long texts."
        )
    write_text(page, path)
