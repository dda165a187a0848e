"""Training: maximum likelihood with validation, roll-backs and checkpoints that resume bit for bit; known densities too.

Where to look: one gradient step, `_step.py`; the loop around it, `_run.py`; losses, `_losses.py`; what can be set,
`_settings.py`; rows that come in blocks, `_source.py`; checkpoints, `_checkpoint.py`; known densities, `_density.py`.
"""

from shoal.training._data import Rows, digest
from shoal.training._density import (
    DENSITY_SETTINGS,
    DensityResult,
    LogDensity,
    checked_density,
    judged,
    train_density,
)
from shoal.training._density import fit_density as fit_density
from shoal.training._density import pull_back as pull_back
from shoal.training._fit import fit as fit
from shoal.training._fit import fit_many
from shoal.training._job import trainable as trainable
from shoal.training._listening import interruptible
from shoal.training._losses import AbstractPenalty as AbstractPenalty
from shoal.training._losses import JacobianPenalty as JacobianPenalty
from shoal.training._losses import negative_log_likelihood as negative_log_likelihood
from shoal.training._monitor import ConditioningMonitor as ConditioningMonitor
from shoal.training._result import Epoch
from shoal.training._result import FitResult as FitResult
from shoal.training._settings import Settings as Settings
from shoal.training._source import RowSource as RowSource
from shoal.training._weights import WeightFigures, weight_figures
from shoal.training._winsorised import Winsorised
from shoal.training._winsorised import winsorised_mean as winsorised_mean
