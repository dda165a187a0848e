"""Run records, plain JSON that reports are made from, and model folders as bytes."""

from ._files import RECORD, read_run, sync_folder, write_bytes, write_record, write_text
from ._files import read_record as read_record
from ._json import to_plain
from ._lock import held
from ._model import MAX_DEPTH, MODEL, damaged, read_document, write_document
from ._system import package_versions, system_info
from ._typed import Record, as_record
from .audit import AuditRecord
from .construction import ConstructionRecord
from .factorization import FactorizationRecord, FrontierRecord
from .fit import FitRecord as FitRecord
