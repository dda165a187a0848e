"""Transformers: the elementwise maps of coupling and autoregressive layers, and the scale maps inside them."""

from shoal.bijections.transformers._additive import Additive
from shoal.bijections.transformers._affine import Affine
from shoal.bijections.transformers._base import AbstractTransformer
from shoal.bijections.transformers._rational_quadratic import (
    MIN_BIN,
    MIN_DERIVATIVE,
    RAW_ONE,
    RationalQuadratic,
)
from shoal.bijections.transformers._scale_maps import (
    AbstractScaleMap,
    ExponentialScale,
    SigmoidScale,
    SoftBoundedScale,
)
