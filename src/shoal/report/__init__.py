"""Reports: self-contained HTML pages, each a function of a record alone.

Where to look: what every page shares, `_page.py`; the page of a run, `_fit.py`, of an audit, `_audit.py`, of a
factorization, `_factorization.py`, of a construction, `_construction.py`; how charts are put together, `_charts.py`.
"""

from ._theme import CONFIG
from ._write import write_report as write_report
