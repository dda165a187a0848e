"""Universal approximation made explicit: constructed flows with a certified distance ([KMR] Theorem 1, sharpened)."""

from shoal.records.construction import Certificate as Certificate
from shoal.records.construction import Conditions as Conditions
from shoal.records.figures import Figure as Figure
from shoal.universal._certificate import Construction as Construction
from shoal.universal._construct import construct as construct
from shoal.universal._deeper import Deeper as Deeper
from shoal.universal._deeper import Measured as Measured
from shoal.universal._distance import wasserstein as wasserstein
from shoal.universal._langevin import LangevinFlow as LangevinFlow
from shoal.universal._langevin import langevin as langevin
from shoal.universal._langevin_figures import LangevinConditions as LangevinConditions
from shoal.universal._record import construction_record as construction_record
from shoal.universal._terms import Terms as Terms
from shoal.universal._volume import VolumePreservingGap as VolumePreservingGap
from shoal.universal._volume import volume_preserving_gap as volume_preserving_gap
from shoal.universal._zero_padded import ZeroPaddedFlow as ZeroPaddedFlow
from shoal.universal._zero_padded import zero_padded as zero_padded
