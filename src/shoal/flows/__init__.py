"""Ready flows, and flows on disk."""

from shoal.flows._continuous import anf as anf
from shoal.flows._continuous import anode as anode
from shoal.flows._continuous import ffjord as ffjord
from shoal.flows._continuous import padded as padded
from shoal.flows._files import load as load
from shoal.flows._files import save as save
from shoal.flows._glow import glow as glow
from shoal.flows._linear import fold_linear as fold_linear
from shoal.flows._linear import from_factors as from_factors
from shoal.flows._recipes import iaf as iaf
from shoal.flows._recipes import maf as maf
from shoal.flows._recipes import nice as nice
from shoal.flows._recipes import realnvp as realnvp
from shoal.flows._recipes import spline as spline
from shoal.flows._registry import register as register
from shoal.flows._single_coordinate import single_coordinate as single_coordinate
