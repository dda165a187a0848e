"""Reports: self-contained HTML pages, each a function of a record alone."""

from ._theme import CONFIG
from ._write import write_report as write_report
