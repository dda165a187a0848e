"""Conditioners: where the parameters of a coupling or an autoregressive layer come from."""

from shoal.bijections.conditioners._base import AbstractConditioner as AbstractConditioner
from shoal.bijections.conditioners._convolutional import ConvolutionalConditioner as ConvolutionalConditioner
from shoal.bijections.conditioners._dense import Activation as Activation
from shoal.bijections.conditioners._dense import DenseConditioner as DenseConditioner
from shoal.bijections.conditioners._held import HeldConditioner as HeldConditioner
from shoal.bijections.conditioners._knots import KnotConditioner as KnotConditioner
from shoal.bijections.conditioners._knots import ReLUNetwork as ReLUNetwork
from shoal.bijections.conditioners._masked import MaskedConditioner as MaskedConditioner
