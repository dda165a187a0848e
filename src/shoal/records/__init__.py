"""Run records, plain JSON that reports are made from, and model folders as bytes."""

from ._files import RECORD as RECORD
from ._files import read_record as read_record
from ._files import read_run as read_run
from ._files import sync_folder as sync_folder
from ._files import write_bytes as write_bytes
from ._files import write_record as write_record
from ._files import write_text as write_text
from ._json import to_plain as to_plain
from ._lock import held as held
from ._model import MAX_DEPTH as MAX_DEPTH
from ._model import MODEL as MODEL
from ._model import damaged as damaged
from ._model import read_document as read_document
from ._model import write_document as write_document
from ._system import package_versions as package_versions
from ._system import system_info as system_info
from ._typed import Record as Record
from ._typed import as_record as as_record
from .audit import AuditRecord as AuditRecord
from .construction import ConstructionRecord as ConstructionRecord
from .factorization import FactorizationRecord as FactorizationRecord
from .factorization import FrontierRecord as FrontierRecord
from .fit import FitRecord as FitRecord
