"""Run records: plain JSON dictionaries that hold everything a report or a table is made from."""

from ._check import check_record as check_record
from ._files import read_record as read_record
from ._files import write_record as write_record
from ._files import write_text as write_text
from ._system import package_versions as package_versions
from ._json import to_plain as to_plain
from ._system import system_info as system_info
