"""Remedies for ill-conditioned flows: proposed from an audit with reasons, and measured before and after."""

from shoal.remedies._base import AbstractRemedy as AbstractRemedy
from shoal.remedies._base import Evidence as Evidence
from shoal.remedies._base import Proposal as Proposal
from shoal.remedies._bounded_scale import BoundedScale as BoundedScale
from shoal.remedies._figures import Figures as Figures
from shoal.remedies._float64 import InFloat64 as InFloat64
from shoal.remedies._lipschitz import LipschitzPenalty as LipschitzPenalty
from shoal.remedies._measure import measure as measure
from shoal.remedies._measurements import Effect as Effect
from shoal.remedies._measurements import Measured as Measured
from shoal.remedies._measurements import Measurements as Measurements
from shoal.remedies._mixed import MixedMap as MixedMap
from shoal.remedies._mixed import MixedPrecision as MixedPrecision
from shoal.remedies._noise import DequantizationNoise as DequantizationNoise
from shoal.remedies._padding import GaussianPad as GaussianPad
from shoal.remedies._plan import Plan as Plan
from shoal.remedies._plan import make_plan as make_plan
from shoal.remedies._propose import every_remedy as every_remedy
from shoal.remedies._propose import propose as propose
from shoal.remedies._spectral import SpectralNormalization as SpectralNormalization
from shoal.remedies._whitening import Whitening as Whitening
