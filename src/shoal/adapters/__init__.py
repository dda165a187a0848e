"""Flows of other libraries as `conditioning.AbstractMap`, by `to_map(flow)`.

Each library has an optional extra of its name (`pip install "shoal[zuko]"`), or all `shoal[adapters]`; none is imported
before a flow of it is given. Whatever the library calls its directions, `forward` is latent z -> data x here.

Where to look: which library a flow is of, `_open.py`; one library, the file of its name; what those on torch share,
`_torch.py`, and on JAX, `_jax.py`.
"""

from shoal.adapters._open import library
from shoal.adapters._open import to_map as to_map
