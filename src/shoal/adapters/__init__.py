"""Flows of other libraries as `conditioning.AbstractMap`: zuko, normflows, nflows, FrEIA, flowjax, distrax.

Each has an optional extra of its name (`pip install "shoal[zuko]"`), or all six `shoal[adapters]`; none is imported before
it is used. Whatever the library calls its directions, `forward` is latent z -> data x here.
"""

from shoal.adapters._open import distrax as distrax
from shoal.adapters._open import flowjax as flowjax
from shoal.adapters._open import freia as freia
from shoal.adapters._open import nflows as nflows
from shoal.adapters._open import normflows as normflows
from shoal.adapters._open import zuko as zuko
