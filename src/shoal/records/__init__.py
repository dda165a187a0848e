"""Run records, plain JSON that reports are made from, and model folders as bytes.

Where to look: one struct for each kind of record, `fit.py`, `audit.py`, `factorization.py`, `construction.py`; how they
become files, `_json.py` and `_files.py`.
"""

from ._files import held, sync_folder, write_bytes, write_text
from ._json import Record, as_record, to_plain, write_record
from ._json import read_record as read_record
from ._model import MAX_DEPTH, MODEL, damaged, read_document, write_document
from ._system import package_versions, system_info
from .audit import AuditRecord
from .construction import ConstructionRecord
from .factorization import FactorizationRecord, FrontierRecord
from .fit import RECORD, SCHEMA, read_run
from .fit import FitRecord as FitRecord
