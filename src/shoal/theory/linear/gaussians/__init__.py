"""Gaussians as few linear couplings, exactly and without training: Remark 3 of Koehler, Mehta, Risteski (2021)."""

from shoal.theory.linear.gaussians._frontier import GaussianFrontier as GaussianFrontier
from shoal.theory.linear.gaussians._frontier import GaussianFrontierRow as GaussianFrontierRow
from shoal.theory.linear.gaussians._frontier import gaussian_frontier as gaussian_frontier
from shoal.theory.linear.gaussians._gaussian import GaussianFactors as GaussianFactors
from shoal.theory.linear.gaussians._gaussian import gaussian as gaussian
