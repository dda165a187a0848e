"""The depth ladder: which flow is shallow, good and safe.

Where to look: the rule that compares rungs, `_rule.py`; what is delivered where none passes, `_delivery.py`; who gets the
time, `_race.py`; the whole, `_ladder.py`; a depth that is given, `_fixed.py`.
"""

from shoal.selection._delivery import Delivery
from shoal.selection._density import DensityLadder
from shoal.selection._density import density_ladder as density_ladder
from shoal.selection._fixed import fit_depth
from shoal.selection._ladder import DEPTHS, in_user_units
from shoal.selection._ladder import LadderResult as LadderResult
from shoal.selection._ladder import ladder as ladder
from shoal.selection._measure import log_likelihoods
from shoal.selection._options import BASE_SLOWER, settings_for
from shoal.selection._prepare import Prepared, prepare, raw_rows
from shoal.selection._rule import Candidate, Choice, choose, paired_difference
from shoal.selection._rule import Gates as Gates
