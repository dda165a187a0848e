"""Transformers: the elementwise maps of coupling and autoregressive layers, and the scale maps inside them."""

from shoal.bijections.transformers._additive import Additive as Additive
from shoal.bijections.transformers._affine import Affine as Affine
from shoal.bijections.transformers._base import AbstractTransformer as AbstractTransformer
from shoal.bijections.transformers._rational_quadratic import RationalQuadratic as RationalQuadratic
from shoal.bijections.transformers._scale_maps import AbstractScaleMap as AbstractScaleMap
from shoal.bijections.transformers._scale_maps import ExponentialScale as ExponentialScale
from shoal.bijections.transformers._scale_maps import SigmoidScale as SigmoidScale
from shoal.bijections.transformers._scale_maps import SoftBoundedScale as SoftBoundedScale
