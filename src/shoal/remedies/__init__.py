"""Remedies for ill-conditioned flows: proposed from an audit with reasons, and measured before and after."""

from shoal.remedies._base import AbstractRemedy as AbstractRemedy
from shoal.remedies._base import Evidence, Proposal
from shoal.remedies._bounded_scale import BoundedScale
from shoal.remedies._figures import Figures
from shoal.remedies._float64 import InFloat64
from shoal.remedies._lipschitz import LipschitzPenalty
from shoal.remedies._measure import measure as measure
from shoal.remedies._measurements import Effect, Measured, Measurements
from shoal.remedies._mixed import MixedMap, MixedPrecision
from shoal.remedies._noise import DequantizationNoise
from shoal.remedies._padding import GaussianPad
from shoal.remedies._plan import Plan, make_plan
from shoal.remedies._propose import every_remedy
from shoal.remedies._propose import propose as propose
from shoal.remedies._spectral import SpectralNormalization
from shoal.remedies._whitening import Whitening
