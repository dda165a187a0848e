"""Structure laws: the planar family. Effective parameters are computed by NumPy from the stored ones."""

# Laws reach into families by their own attributes, which the base class does not have.
# pyright: reportAttributeAccessIssue=false

import numpy as np

from shoal.bijections import AbstractBijection, Householder, Planar, Radial, Sylvester
from tests.laws.oracles import Points, cast, data, values, values_and_jacobians
from tests.laws.structure_types import Laws
from tests.laws.tolerances import tolerance

LAWS: Laws = {}
