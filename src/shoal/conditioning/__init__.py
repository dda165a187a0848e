"""Conditioning of maps: exact spectra, condition numbers, round trips, in a stated precision."""

from shoal.conditioning._dense import ConditionSummary as ConditionSummary
from shoal.conditioning._dense import condition_numbers as condition_numbers
from shoal.conditioning._dense import jacobian_singular_values as jacobian_singular_values
from shoal.conditioning._dense import jacobians as jacobians
from shoal.conditioning._dense import singular_values as singular_values
from shoal.conditioning._dense import summarize as summarize
from shoal.conditioning._jax_map import JaxMap as JaxMap
from shoal.conditioning._jax_map import from_bijection as from_bijection
from shoal.conditioning._jax_map import from_callables as from_callables
from shoal.conditioning._krylov import Extremes as Extremes
from shoal.conditioning._krylov import extremes as extremes
from shoal.conditioning._map import AbstractMap as AbstractMap
from shoal.conditioning._map import Direction as Direction
from shoal.conditioning._precision import Precision as Precision
from shoal.conditioning._precision import cast as cast
from shoal.conditioning._precision import compute as compute
from shoal.conditioning._precision import unit_roundoff as unit_roundoff
from shoal.conditioning._roundtrip import RoundTripSummary as RoundTripSummary
from shoal.conditioning._roundtrip import round_trip as round_trip
from shoal.conditioning._roundtrip import summarize_round_trip as summarize_round_trip
