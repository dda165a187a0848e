"""Remedies for ill-conditioned flows: proposed from an audit with reasons, and measured before and after.

Where to look: which are proposed, `_propose.py`; the remedies, `_data_remedies.py` and `_flow_remedies.py`; measured,
`_measure.py`.
"""

from shoal.remedies._base import AbstractRemedy as AbstractRemedy
from shoal.remedies._base import Evidence, Proposal
from shoal.remedies._data_remedies import DequantizationNoise, Whitening
from shoal.remedies._effects import Effect, Figures, Measured, Measurements, Quantity
from shoal.remedies._flow_remedies import (
    BoundedScale,
    GaussianPad,
    InFloat64,
    LipschitzPenalty,
    SpectralNormalization,
)
from shoal.remedies._measure import measure as measure
from shoal.remedies._measure import measured, trained_runs
from shoal.remedies._mixed import MixedMap, mixed_log_prob
from shoal.remedies._plan import Plan, make_plan
from shoal.remedies._propose import every_remedy, worst_trip
from shoal.remedies._propose import propose as propose
