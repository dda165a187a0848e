"""Shoal: shallow, well-conditioned normalizing flows.

Sub-packages load when they are first used, so `import shoal` takes milliseconds; `__init__.pyi` has the names.
Convention: forward is latent z -> data x; log-det is log|det dx/dz|, natural logarithm, per sample.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
