"""Linear maps as few affine couplings: exact, certified, and with the price in conditioning (Theorems 2 and 3, Remark 3).

Where to look: Theorem A, rotations as six additive couplings, `_closed_forms.py`; Theorem 2, any matrix: `factor` asks
`_routes.py`, which calls `_continuation.py` (five or six layers) or `_closed_forms.py` (nine, eleven); how few a matrix
needs, `_fewest.py`, and proofs that fewer are not enough, `_obstruction.py`; Gaussians, `gaussians/`; rigorous bounds,
`certify/`; how they are found, `_search.py`. NumPy and SciPy in float64; nothing here loads JAX.
"""

from shoal.theory.linear._condition_bounds import condition_bounds
from shoal.theory.linear._factor import Frontier, FrontierRow
from shoal.theory.linear._factor import factor as factor
from shoal.theory.linear._factor import frontier as frontier
from shoal.theory.linear._factorization import Factorization as Factorization
from shoal.theory.linear._factorization import LayerConditions
from shoal.theory.linear._fewest import FewestLayers
from shoal.theory.linear._fewest import fewest_layers as fewest_layers
from shoal.theory.linear._layer import Layer as Layer
from shoal.theory.linear._obstruction import Obstruction
from shoal.theory.linear._search import Effort
from shoal.theory.linear.certify import FactorizationCertificate
from shoal.theory.linear.gaussians import GaussianFactors as GaussianFactors
from shoal.theory.linear.gaussians import gaussian as gaussian
from shoal.theory.linear.gaussians import gaussian_frontier
