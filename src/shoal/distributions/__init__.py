"""Distributions on R^n: normals, mixtures, flows."""

from shoal.distributions._base import AbstractDistribution as AbstractDistribution
from shoal.distributions._dequantized import AbstractDequantization as AbstractDequantization
from shoal.distributions._dequantized import Dequantized as Dequantized
from shoal.distributions._dequantized import UniformDequantization as UniformDequantization
from shoal.distributions._dequantized import VariationalDequantization as VariationalDequantization
from shoal.distributions._dequantized import bits_per_dimension as bits_per_dimension
from shoal.distributions._flow import Flow as Flow
from shoal.distributions._mixture import Mixture as Mixture
from shoal.distributions._normal import DiagonalNormal as DiagonalNormal
from shoal.distributions._normal import StandardNormal as StandardNormal
