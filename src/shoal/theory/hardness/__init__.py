"""Hard instances and depth lower bounds (Koehler, Mehta and Risteski 2021, Theorem 4, in computable form).

Where to look: the bound, `_minimum_depth.py`; its instances, `_mixtures.py`; the constants of a given flow, `_measured.py`.
"""

from shoal.theory.hardness._architectures import Architecture
from shoal.theory.hardness._architectures import additive as additive
from shoal.theory.hardness._architectures import coupling as coupling
from shoal.theory.hardness._architectures import layerwise as layerwise
from shoal.theory.hardness._architectures import planar as planar
from shoal.theory.hardness._gap import Gap
from shoal.theory.hardness._gap import wasserstein_gap as wasserstein_gap
from shoal.theory.hardness._linear_instances import LinearInstance
from shoal.theory.hardness._linear_instances import cycle as cycle
from shoal.theory.hardness._linear_instances import half_turn as half_turn
from shoal.theory.hardness._linear_instances import quarter_turns as quarter_turns
from shoal.theory.hardness._local_planar import HeavyTails as HeavyTails
from shoal.theory.hardness._local_planar import LocalPlanarBound, planar_gap
from shoal.theory.hardness._local_planar import local_planar_depth as local_planar_depth
from shoal.theory.hardness._measured import MeasuredClass
from shoal.theory.hardness._measured import measured as measured
from shoal.theory.hardness._minimum_depth import DepthBound
from shoal.theory.hardness._minimum_depth import InstanceFamily as InstanceFamily
from shoal.theory.hardness._minimum_depth import minimum_depth as minimum_depth
from shoal.theory.hardness._mixtures import AbstractEqualNormals, ShallowGenerator
from shoal.theory.hardness._mixtures import FreeMeansMixture as FreeMeansMixture
from shoal.theory.hardness._mixtures import GaussianMixtureOnSphere as GaussianMixtureOnSphere
from shoal.theory.hardness._mixtures import ring as ring
from shoal.theory.hardness._modes import least_lipschitz as least_lipschitz
from shoal.theory.hardness._modes import total_variation_bound as total_variation_bound
