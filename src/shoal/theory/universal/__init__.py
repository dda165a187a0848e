"""Universal approximation made explicit: flows that are written down, with a certified distance.

Koehler, Mehta and Risteski (2021), Theorem 1, sharpened; Remark 1.

Where to look: Theorem D's two couplings, `_staircase.py`; their W2 certificate and its rounding terms, `_w2_certificate.py`;
deeper flows by triangular transport, `_transport.py`; well-conditioned ones for log-concave targets, `_langevin.py`.
"""

from shoal.theory.universal._comparisons import VolumePreservingGap, ZeroPaddedFlow
from shoal.theory.universal._comparisons import volume_preserving_gap as volume_preserving_gap
from shoal.theory.universal._comparisons import zero_padded as zero_padded
from shoal.theory.universal._construct import Construction as Construction
from shoal.theory.universal._construct import construct as construct
from shoal.theory.universal._langevin import LangevinFlow
from shoal.theory.universal._langevin import langevin as langevin
from shoal.theory.universal._langevin_figures import LangevinConditions
from shoal.theory.universal._record import construction_record as construction_record
from shoal.theory.universal._transport import TransportFigures, TransportFlow
