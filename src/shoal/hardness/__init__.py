"""Hard instances and depth lower bounds ([KMR] Theorem 4 in computable form)."""

from shoal.hardness._architectures import Architecture as Architecture
from shoal.hardness._architectures import additive as additive
from shoal.hardness._architectures import coupling as coupling
from shoal.hardness._architectures import layerwise as layerwise
from shoal.hardness._architectures import planar as planar
from shoal.hardness._equal_normals import AbstractEqualNormals as AbstractEqualNormals
from shoal.hardness._free_means import FreeMeansMixture as FreeMeansMixture
from shoal.hardness._free_means import ring as ring
from shoal.hardness._gap import Gap as Gap
from shoal.hardness._gap import wasserstein_gap as wasserstein_gap
from shoal.hardness._linear_instances import LinearInstance as LinearInstance
from shoal.hardness._linear_instances import cycle as cycle
from shoal.hardness._linear_instances import half_turn as half_turn
from shoal.hardness._linear_instances import quarter_turns as quarter_turns
from shoal.hardness._measured import Measured as Measured
from shoal.hardness._measured import measured as measured
from shoal.hardness._minimum_depth import DepthBound as DepthBound
from shoal.hardness._minimum_depth import InstanceFamily as InstanceFamily
from shoal.hardness._minimum_depth import minimum_depth as minimum_depth
from shoal.hardness._mixtures import GaussianMixtureOnSphere as GaussianMixtureOnSphere
from shoal.hardness._mixtures import ShallowGenerator as ShallowGenerator
from shoal.hardness._modes import least_lipschitz as least_lipschitz
from shoal.hardness._modes import total_variation_bound as total_variation_bound
