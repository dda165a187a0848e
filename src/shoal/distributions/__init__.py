"""Distributions on R^n: normals, mixtures, flows.

Where to look: the interface, `_base.py`; flows, `_flow.py`; words and numbers in one law, `_mixed.py`; padding,
`_padded.py`; log p of rows as tables hold them, `_cells.py`; mixtures, `_normals.py` and their fit, `_em.py`.
"""

from shoal.distributions._base import AbstractDistribution as AbstractDistribution
from shoal.distributions._base import named_columns
from shoal.distributions._categorical import Categorical
from shoal.distributions._cells import log_prob_errors_of_cells, log_prob_of_cells
from shoal.distributions._conditionals import Conditionals, sampled_rows
from shoal.distributions._dequantized import Dequantized as Dequantized
from shoal.distributions._dequantized import UniformDequantization
from shoal.distributions._dequantized import VariationalDequantization as VariationalDequantization
from shoal.distributions._em import Components, choose_gaussian_mixture, fit_gaussian_mixture
from shoal.distributions._estimates import Estimate
from shoal.distributions._flow import AbstractFlow
from shoal.distributions._flow import Flow as Flow
from shoal.distributions._mixed import MOST_TURNS, Filling, Mixed, Turns
from shoal.distributions._normals import DiagonalNormal
from shoal.distributions._normals import GaussianMixture as GaussianMixture
from shoal.distributions._normals import Mixture as Mixture
from shoal.distributions._normals import StandardNormal as StandardNormal
from shoal.distributions._padded import AbstractPadding, GaussianClampedPadding, ZeroDequantizedPadding
from shoal.distributions._padded import GaussianPadding as GaussianPadding
from shoal.distributions._padded import Padded as Padded
from shoal.distributions._padded import ZeroPadding as ZeroPadding
from shoal.distributions._wasserstein import wasserstein
