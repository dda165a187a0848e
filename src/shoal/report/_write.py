"""Writing the HTML report of a run, a factorization, an audit or a construction from its record.

The page works offline: charts are Altair specifications, and the JavaScript that draws them is inlined.
"""

import os

from .._errors import InputError
from ..records import AuditRecord, ConstructionRecord, FactorizationRecord, FitRecord, write_text
from ._audit import render_audit
from ._construction import render_construction
from ._factorization import render_factorization
from ._fit import render_fit

MAX_BYTES = 5_000_000


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
    match record:  # the page, and what makes one too large
        case FitRecord():
            page, what = render_fit(record), "rungs"
        case AuditRecord():
            page, what = render_audit(record), "layers"
        case ConstructionRecord():
            page, what = render_construction(record), "points"
        case FactorizationRecord():
            page, what = render_factorization(record), "entries of matrices"
        case _:
            kinds = "FitRecord, AuditRecord, ConstructionRecord, FactorizationRecord"
            raise InputError(f"A report is drawn from one of {kinds}; got a {type(record).__name__}.")
    size = len(page.encode("utf-8", errors="backslashreplace"))
    if size > MAX_BYTES:
        raise InputError(
            f"The report would be {size / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; the record has too many "
            f"{what} or too long texts."
        )
    write_text(page, path)
