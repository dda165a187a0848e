"""Conditioners: where the parameters of a coupling or an autoregressive layer come from."""

from shoal.bijections.conditioners._convolutional import ConvolutionalConditioner
from shoal.bijections.conditioners._dense import (
    AbstractConditioner,
    Activation,
    DenseConditioner,
    HeldConditioner,
)
from shoal.bijections.conditioners._knots import KnotConditioner, ReLUNetwork
from shoal.bijections.conditioners._masked import MaskedConditioner
