"""The depth ladder: which flow is shallow, good and safe."""

from shoal.selection._choice import Delivery as Delivery
from shoal.selection._choice import Gates as Gates
from shoal.selection._ladder import DEPTHS as DEPTHS
from shoal.selection._ladder import LadderResult as LadderResult
from shoal.selection._ladder import ladder as ladder
from shoal.selection._prepare import Prepared as Prepared
from shoal.selection._prepare import prepare as prepare
from shoal.selection._rule import Candidate as Candidate
from shoal.selection._rule import Choice as Choice
from shoal.selection._rule import choose as choose
from shoal.selection._rule import paired_difference as paired_difference
from shoal.selection._settings import settings_for as settings_for
