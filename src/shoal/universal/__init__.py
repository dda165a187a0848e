"""Universal approximation made explicit: constructed flows with a certified distance ([KMR] Theorem 1, sharpened)."""

from shoal.universal._certificate import Certificate as Certificate
from shoal.universal._certificate import Construction as Construction
from shoal.universal._conditions import Conditions as Conditions
from shoal.universal._construct import construct as construct
from shoal.universal._deeper import Deeper as Deeper
from shoal.universal._deeper import Measured as Measured
from shoal.universal._distance import wasserstein as wasserstein
from shoal.universal._figure import Figure as Figure
from shoal.universal._record import construction_record as construction_record
from shoal.universal._terms import Terms as Terms
