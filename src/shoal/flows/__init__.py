"""Ready flows, and flows on disk.

Where to look: RealNVP, NICE, MAF, IAF, NSF, `_recipes.py`; planar, residual and continuous flows, `_repeated.py`; Glow,
`_glow.py`; augmented ones, `_augmented.py`; fronts, `_fronts.py`; `save` and `load`, `_files.py`.
"""

from shoal.flows._augmented import anf as anf
from shoal.flows._augmented import anode as anode
from shoal.flows._augmented import padded
from shoal.flows._family import FAMILIES, family
from shoal.flows._family import Family as Family
from shoal.flows._files import load as load
from shoal.flows._files import save as save
from shoal.flows._fronts import FRONTS, Front, Sample, checked
from shoal.flows._fronts import Fronts as Fronts
from shoal.flows._glow import glow as glow
from shoal.flows._linear import fold_linear as fold_linear
from shoal.flows._linear import from_factors as from_factors
from shoal.flows._recipes import iaf as iaf
from shoal.flows._recipes import maf as maf
from shoal.flows._recipes import nice as nice
from shoal.flows._recipes import nsf as nsf
from shoal.flows._recipes import realnvp as realnvp
from shoal.flows._recipes import single_coordinate as single_coordinate
from shoal.flows._recipes import spline as spline
from shoal.flows._repeated import ffjord as ffjord
from shoal.flows._repeated import householder as householder
from shoal.flows._repeated import layerwise as layerwise
from shoal.flows._repeated import planar as planar
from shoal.flows._repeated import radial as radial
from shoal.flows._repeated import residual as residual
from shoal.flows._repeated import sylvester as sylvester
from shoal.flows._tree import encode
from shoal.flows._tree import register as register
