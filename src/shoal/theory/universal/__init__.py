"""Universal approximation made explicit: constructed flows with a certified distance ([KMR] Theorem 1, sharpened)."""

from shoal.theory.universal._certificate import Certificate as Certificate
from shoal.theory.universal._certificate import Construction as Construction
from shoal.theory.universal._conditions import Conditions as Conditions
from shoal.theory.universal._construct import construct as construct
from shoal.theory.universal._deeper import Deeper as Deeper
from shoal.theory.universal._deeper import Measured as Measured
from shoal.theory.universal._distance import wasserstein as wasserstein
from shoal.theory.universal._figure import Figure as Figure
from shoal.theory.universal._langevin import LangevinFlow as LangevinFlow
from shoal.theory.universal._langevin import langevin as langevin
from shoal.theory.universal._langevin_figures import LangevinConditions as LangevinConditions
from shoal.theory.universal._record import construction_record as construction_record
from shoal.theory.universal._terms import Terms as Terms
from shoal.theory.universal._volume import VolumePreservingGap as VolumePreservingGap
from shoal.theory.universal._volume import volume_preserving_gap as volume_preserving_gap
from shoal.theory.universal._zero_padded import ZeroPaddedFlow as ZeroPaddedFlow
from shoal.theory.universal._zero_padded import zero_padded as zero_padded
