"""Ready flows, and flows on disk."""

from shoal.flows._continuous import anf as anf
from shoal.flows._continuous import anode as anode
from shoal.flows._continuous import ffjord as ffjord
from shoal.flows._continuous import padded
from shoal.flows._family import FAMILIES, family
from shoal.flows._family import Family as Family
from shoal.flows._files import load as load
from shoal.flows._files import save as save
from shoal.flows._fronts import FRONTS, Front, Sample, checked
from shoal.flows._fronts import Fronts as Fronts
from shoal.flows._glow import glow as glow
from shoal.flows._layerwise import layerwise as layerwise
from shoal.flows._linear import fold_linear as fold_linear
from shoal.flows._linear import from_factors as from_factors
from shoal.flows._planar import householder as householder
from shoal.flows._planar import planar as planar
from shoal.flows._planar import radial as radial
from shoal.flows._planar import sylvester as sylvester
from shoal.flows._recipes import iaf as iaf
from shoal.flows._recipes import maf as maf
from shoal.flows._recipes import nice as nice
from shoal.flows._recipes import nsf as nsf
from shoal.flows._recipes import realnvp as realnvp
from shoal.flows._recipes import spline as spline
from shoal.flows._registry import register as register
from shoal.flows._residual import residual as residual
from shoal.flows._single_coordinate import single_coordinate as single_coordinate
