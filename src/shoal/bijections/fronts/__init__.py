"""Bijections between data and the first layer, set in closed form from rows: `LogTails`, `Marginals`, `whitening`."""

from shoal.bijections.fronts._marginals import Marginals as Marginals
from shoal.bijections.fronts._set_marginals import identity_marginals as identity_marginals
from shoal.bijections.fronts._set_marginals import marginals as marginals
from shoal.bijections.fronts._tails import LogTails as LogTails
from shoal.bijections.fronts._whitening import Whitening as Whitening
from shoal.bijections.fronts._whitening import whitening as whitening
