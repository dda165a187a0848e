"""The report: one self-contained HTML page that is a function of a run record alone."""

from ._write import write_report as write_report
