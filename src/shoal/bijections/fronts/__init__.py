"""Bijections between data and the first layer, set in closed form from rows: `LogTails`, `Marginals`, `whitening`."""

from shoal.bijections.fronts._marginals import LogTails, Marginals
from shoal.bijections.fronts._set_marginals import identity_marginals, marginals
from shoal.bijections.fronts._whitening import Whitening, whitening
