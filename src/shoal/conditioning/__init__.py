"""Conditioning of maps: exact spectra, condition numbers, round trips, in a stated precision.

Where to look: what is measured, `_map.py`; singular values, `_spectrum.py` (many columns: `_krylov.py`); layer by layer,
`_profile.py`; the audit, `_audit.py`, and its verdict, `_diagnosis.py`; error bars on log p, `_log_prob_errors.py`; bounds
on a box, `_layer_bounds.py`; what one more layer could gain, `_next_layer.py`.
"""

from shoal.conditioning._attack import attack
from shoal.conditioning._audit import audit as audit
from shoal.conditioning._coverage import expected_coverage as expected_coverage
from shoal.conditioning._coverage import share
from shoal.conditioning._gradients import gradient_norms
from shoal.conditioning._inputs import unit_scale
from shoal.conditioning._jax_map import JaxMap
from shoal.conditioning._jax_map import from_bijection as from_bijection
from shoal.conditioning._jax_map import from_callables as from_callables
from shoal.conditioning._krylov import Extremes, extremes
from shoal.conditioning._layer_bounds import LayerBound
from shoal.conditioning._layer_bounds import lipschitz_bounds as lipschitz_bounds
from shoal.conditioning._log_prob_errors import LogProbErrors, density_errors, log_prob_errors
from shoal.conditioning._map import AbstractMap as AbstractMap
from shoal.conditioning._map import AbstractParametric, MapView, Posterior, Quantity
from shoal.conditioning._next_layer import next_layer as next_layer
from shoal.conditioning._precision import Precision, cast, compute, resolved, unit_roundoff
from shoal.conditioning._profile import Profile, layer_kinds, profile, profile_points
from shoal.conditioning._reach import doubled, growth
from shoal.conditioning._result import Audit as Audit
from shoal.conditioning._rounding import MANTISSA
from shoal.conditioning._spectrum import (
    LogDets,
    inverse_singular_values,
    order_statistics,
    singular_values,
    summarize,
)
from shoal.conditioning._spectrum import Spectrum as Spectrum
from shoal.conditioning._spectrum import condition_numbers as condition_numbers
from shoal.conditioning._spectrum import spectrum as spectrum
from shoal.conditioning._walks import first_nonfinite, summarize_round_trip
from shoal.conditioning._walks import round_trip as round_trip
