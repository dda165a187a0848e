"""Studies: registered grids of configurations, run with resuming, recorded line by line, and checked again."""

from shoal.studies._base import Cell as Cell
from shoal.studies._base import ErrorBar as ErrorBar
from shoal.studies._base import Failure as Failure
from shoal.studies._base import Study as Study
from shoal.studies._check import Difference as Difference
from shoal.studies._check import check as check
from shoal.studies._records import Records as Records
from shoal.studies._records import read_records as read_records
from shoal.studies._registry import find as find
from shoal.studies._registry import studies as studies
from shoal.studies._run import Tally as Tally
from shoal.studies._run import run as run
from shoal.studies._run import tally as tally
from shoal.studies._summary import Row as Row
from shoal.studies._summary import Spread as Spread
from shoal.studies._summary import summarize as summarize
