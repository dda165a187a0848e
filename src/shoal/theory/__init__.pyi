from . import hardness as hardness
from . import linear as linear
from . import universal as universal
