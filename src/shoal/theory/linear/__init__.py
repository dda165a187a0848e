"""Linear maps as few affine couplings: exact, certified, and with the price in conditioning.

NumPy and SciPy in float64; nothing here loads JAX.
"""

from shoal.theory.linear._certificate import Certificate as Certificate
from shoal.theory.linear._factor import factor as factor
from shoal.theory.linear._factorization import Conditions as Conditions
from shoal.theory.linear._factorization import Factorization as Factorization
from shoal.theory.linear._factorization import Residual as Residual
from shoal.theory.linear._fewest import FewestLayers as FewestLayers
from shoal.theory.linear._fewest import fewest_layers as fewest_layers
from shoal.theory.linear._frontier import Frontier as Frontier
from shoal.theory.linear._frontier import FrontierRow as FrontierRow
from shoal.theory.linear._frontier import frontier as frontier
from shoal.theory.linear._gaussian import GaussianFactors as GaussianFactors
from shoal.theory.linear._gaussian import gaussian as gaussian
from shoal.theory.linear._gaussian_frontier import GaussianFrontier as GaussianFrontier
from shoal.theory.linear._gaussian_frontier import GaussianFrontierRow as GaussianFrontierRow
from shoal.theory.linear._gaussian_frontier import gaussian_frontier as gaussian_frontier
from shoal.theory.linear._layer import Layer as Layer
from shoal.theory.linear._obstruction import Obstruction as Obstruction
from shoal.theory.linear._search import Effort as Effort
