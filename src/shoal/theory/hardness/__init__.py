"""Hard instances and depth lower bounds (Koehler, Mehta and Risteski 2021, Theorem 4, in computable form).

Where to look: the bound, `_minimum_depth.py`; its instances, `_instances.py`; the constants of a given flow, `_measured.py`;
one given target, `_one_target.py`; what conditioning a table asks for, `_bracket.py`, its maps in `_explicit_map.py` and
`_heat_flow.py`.
"""

from shoal.theory.hardness._bracket import ConditionBracket
from shoal.theory.hardness._bracket import condition_bracket as condition_bracket
from shoal.theory.hardness._instances import AbstractEqualNormals, ShallowGenerator
from shoal.theory.hardness._instances import FreeMeansMixture as FreeMeansMixture
from shoal.theory.hardness._instances import GaussianMixtureOnSphere as GaussianMixtureOnSphere
from shoal.theory.hardness._instances import HeavyTails as HeavyTails
from shoal.theory.hardness._instances import ring as ring
from shoal.theory.hardness._linear_instances import LinearInstance
from shoal.theory.hardness._linear_instances import cycle as cycle
from shoal.theory.hardness._linear_instances import half_turn as half_turn
from shoal.theory.hardness._linear_instances import quarter_turns as quarter_turns
from shoal.theory.hardness._measured import MeasuredClass
from shoal.theory.hardness._measured import measured as measured
from shoal.theory.hardness._minimum_depth import Architecture, DepthBound
from shoal.theory.hardness._minimum_depth import InstanceFamily as InstanceFamily
from shoal.theory.hardness._minimum_depth import additive as additive
from shoal.theory.hardness._minimum_depth import coupling as coupling
from shoal.theory.hardness._minimum_depth import layerwise as layerwise
from shoal.theory.hardness._minimum_depth import minimum_depth as minimum_depth
from shoal.theory.hardness._minimum_depth import planar as planar
from shoal.theory.hardness._one_target import Gap, LocalPlanarBound, least_lipschitz, planar_gap
from shoal.theory.hardness._one_target import local_planar_depth as local_planar_depth
from shoal.theory.hardness._one_target import total_variation_bound as total_variation_bound
from shoal.theory.hardness._one_target import wasserstein_gap as wasserstein_gap
