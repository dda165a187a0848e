from . import adapters as adapters
from . import advice as advice
from . import bijections as bijections
from . import conditioning as conditioning
from . import distributions as distributions
from . import estimators as estimators
from . import export as export
from . import flows as flows
from . import records as records
from . import remedies as remedies
from . import report as report
from . import selection as selection
from . import tables as tables
from . import theory as theory
from . import training as training
from .advice import advise as advise
from .conditioning import audit as audit
from .estimators import FlowDensity as FlowDensity
from .flows import load as load
from .flows import register as register
from .flows import save as save
from .selection import ladder as ladder
from .theory import hardness as hardness
from .theory import linear as linear
from .theory import universal as universal

__version__: str
