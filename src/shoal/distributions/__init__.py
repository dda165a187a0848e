"""Distributions on R^n: normals, mixtures, flows."""

from shoal.distributions._base import AbstractDistribution as AbstractDistribution
from shoal.distributions._flow import Flow as Flow
from shoal.distributions._mixture import Mixture as Mixture
from shoal.distributions._normal import DiagonalNormal as DiagonalNormal
from shoal.distributions._normal import StandardNormal as StandardNormal
