"""Reports: self-contained HTML pages, each a function of a record alone."""

from ._write import write_audit as write_audit
from ._write import write_construction as write_construction
from ._write import write_factorization_report as write_factorization_report
from ._write import write_report as write_report
