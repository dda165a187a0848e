"""Gaussians as few linear couplings, exactly and without training: Remark 3 of Koehler, Mehta, Risteski (2021)."""

from shoal.theory.linear.gaussians._gaussian import GaussianFactors, gaussian, gaussian_frontier
