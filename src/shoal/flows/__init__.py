"""Ready flows, and flows on disk."""

from shoal.flows._files import load as load
from shoal.flows._files import save as save
from shoal.flows._layerwise import layerwise as layerwise
from shoal.flows._linear import fold_linear as fold_linear
from shoal.flows._linear import from_factors as from_factors
from shoal.flows._recipes import iaf as iaf
from shoal.flows._recipes import maf as maf
from shoal.flows._recipes import nice as nice
from shoal.flows._recipes import realnvp as realnvp
from shoal.flows._recipes import spline as spline
from shoal.flows._registry import register as register
from shoal.flows._residual import residual as residual
