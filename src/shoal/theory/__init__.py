"""The paper's wing: what its theorems construct, certify and exclude. No flow needs it every day.

`linear`: Theorems 2 and 3, Remark 3; `universal`: Theorem 1, Remark 1; `hardness`: Theorem 4 (numbers of the paper: Koehler,
Mehta, Risteski, "Representational aspects of depth and conditioning in normalizing flows", ICML 2021,
arXiv:2010.01155). Theorems A to D are ours: docs/dev/mathematics.md.
Sub-packages load when they are first used; `shoal.linear`, `shoal.universal` and `shoal.hardness` are short for them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
