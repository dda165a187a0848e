"""Invertible maps, latent z -> data x.

Where to look: the interface, `_base.py`; couplings (NICE, RealNVP, splines), `_coupling.py`, with a map of `transformers/`
and a net of `conditioners/`; autoregressive layers, `_autoregressive.py`; what stands next to the data, `fronts/`.
"""

from shoal.bijections._autoregressive import Autoregressive as Autoregressive
from shoal.bijections._autoregressive import masked_autoregressive as masked_autoregressive
from shoal.bijections._base import AbstractBijection as AbstractBijection
from shoal.bijections._base import (
    AbstractComposite,
    AbstractDataDependent,
    Direction,
    between,
    layer_name,
    layers_of,
    positive,
    whole,
)
from shoal.bijections._base import check_input as check_input
from shoal.bijections._base import initialize as initialize
from shoal.bijections._bounded_linear import AbstractBoundedLinear, DiagonalPlusLowRank, SingularValues
from shoal.bijections._compose import Chain as Chain
from shoal.bijections._compose import Inverse as Inverse
from shoal.bijections._compose import Scan as Scan
from shoal.bijections._compose import first_unlike, rolled
from shoal.bijections._continuous import FFJORD as FFJORD
from shoal.bijections._coupling import Coupling as Coupling
from shoal.bijections._coupling import convolutional_coupling as convolutional_coupling
from shoal.bijections._coupling import dense_coupling as dense_coupling
from shoal.bijections._coupling import linear_coupling
from shoal.bijections._elementwise import ActNorm as ActNorm
from shoal.bijections._elementwise import SignFlip
from shoal.bijections._elementwise import Standardize as Standardize
from shoal.bijections._elementwise import Support as Support
from shoal.bijections._householder import Householder as Householder
from shoal.bijections._images import Squeeze
from shoal.bijections._iterative import AbstractIterative, Convergence, Outcome, Result
from shoal.bijections._iterative import convergence as convergence
from shoal.bijections._layerwise import (
    AbstractLeaky,
    Layerwise,
    LeakySoftsign,
    SmoothLeakyReLU,
    TrainedLeakyReLU,
)
from shoal.bijections._linear import DenseLinear
from shoal.bijections._linear import LULinear as LULinear
from shoal.bijections._linear import Permutation as Permutation
from shoal.bijections._lipschitz import LipschitzActivation
from shoal.bijections._lipschitz import LipschitzMLP as LipschitzMLP
from shoal.bijections._ode import (
    AbstractAdjoint,
    AbstractSteps,
    AdaptiveSteps,
    BacksolveAdjoint,
    DiscreteAdjoint,
    FixedSteps,
)
from shoal.bijections._ode import Solver as Solver
from shoal.bijections._partition import AbstractPartition, ArrayPartition, ChannelPartition, random_halves
from shoal.bijections._partition import Partition as Partition
from shoal.bijections._partition import alternating as alternating
from shoal.bijections._partition import halves as halves
from shoal.bijections._planar import Planar as Planar
from shoal.bijections._planar import Radial as Radial
from shoal.bijections._residual import Residual as Residual
from shoal.bijections._spectral import AbstractSpectralBound, ExactNorm, GramBound, HoelderBound, held_below
from shoal.bijections._sylvester import Sylvester as Sylvester
from shoal.bijections._traces import AbstractLogDet, AbstractTrace, Noise
from shoal.bijections._traces import ExactLogDet as ExactLogDet
from shoal.bijections._traces import ExactTrace as ExactTrace
from shoal.bijections._traces import HutchinsonTrace as HutchinsonTrace
from shoal.bijections._traces import PowerSeries as PowerSeries
from shoal.bijections._traces import RussianRoulette as RussianRoulette
from shoal.bijections._traces import reseeded as reseeded
from shoal.bijections._wrappers import OnPart, PixelWise, StandardizedContext
from shoal.bijections.conditioners import AbstractConditioner as AbstractConditioner
from shoal.bijections.conditioners import Activation, HeldConditioner, KnotConditioner, ReLUNetwork
from shoal.bijections.conditioners import ConvolutionalConditioner as ConvolutionalConditioner
from shoal.bijections.conditioners import DenseConditioner as DenseConditioner
from shoal.bijections.conditioners import MaskedConditioner as MaskedConditioner
from shoal.bijections.fronts import LogTails, identity_marginals
from shoal.bijections.fronts import Marginals as Marginals
from shoal.bijections.fronts import Whitening as Whitening
from shoal.bijections.fronts import marginals as marginals
from shoal.bijections.fronts import whitening as whitening
from shoal.bijections.transformers import AbstractScaleMap as AbstractScaleMap
from shoal.bijections.transformers import AbstractTransformer as AbstractTransformer
from shoal.bijections.transformers import Additive as Additive
from shoal.bijections.transformers import Affine as Affine
from shoal.bijections.transformers import ExponentialScale as ExponentialScale
from shoal.bijections.transformers import RationalQuadratic as RationalQuadratic
from shoal.bijections.transformers import SigmoidScale as SigmoidScale
from shoal.bijections.transformers import SoftBoundedScale as SoftBoundedScale
