from . import adapters as adapters
from . import advice as advice
from . import bijections as bijections
from . import conditioning as conditioning
from . import distributions as distributions
from . import flows as flows
from . import hardness as hardness
from . import linear as linear
from . import records as records
from . import remedies as remedies
from . import report as report
from . import selection as selection
from . import tables as tables
from . import training as training
from . import universal as universal
from .advice import advise as advise
from .conditioning import audit as audit
from .flows import load as load
from .flows import register as register
from .flows import save as save
from .selection import ladder as ladder

__version__: str
