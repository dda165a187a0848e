"""Shoal: shallow, well-conditioned normalizing flows.

Sub-packages load when they are first used, so `import shoal` takes milliseconds; `__init__.pyi` has the names.
Convention: forward is latent z -> data x; log-det is log|det dx/dz|, natural logarithm, per sample.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# They need an extra, without which `from shoal import *` must work: `import shoal` and `shoal.FlowDensity` do.
__all__ = [name for name in __all__ if name not in ("FlowDensity", "estimators")]  # pyright: ignore[reportUnsupportedDunderAll]
