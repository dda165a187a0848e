"""The depth ladder: which flow is shallow, good and safe."""

from shoal.selection._choice import Delivery
from shoal.selection._choice import Gates as Gates
from shoal.selection._ladder import DEPTHS
from shoal.selection._ladder import LadderResult as LadderResult
from shoal.selection._ladder import ladder as ladder
from shoal.selection._prepare import Prepared, prepare
from shoal.selection._rule import Candidate, Choice, choose, paired_difference
from shoal.selection._settings import settings_for
