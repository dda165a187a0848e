"""Every tolerance of the laws in one table: C * eps * kappa, kappa the condition number at the point tested.

`eps` is the unit roundoff of the dtype, except for finite differences: a central difference of fourth order in float64
with the step eps^(1/5) is good to about eps^(4/5). A tolerance of 1e-2 or more is an error, never a pass.
Errors are relative to max(1, size of the quantity).

For a composed case kappa of the whole stands for what its layers round and later ones stretch
(`tests.conditioning.rounding`): in float32, over the registry, that is at most 15 kappa, and at most 5 kappa but for two
cases. Errors reach 4.3 eps kappa where it is largest (planar-family-context), of the 20 that `precision` allows.
"""

import numpy as np

EPS = {
    "float32": float(np.finfo(np.float32).eps),
    "float64": float(np.finfo(np.float64).eps),
    "difference": float(np.finfo(np.float64).eps) ** 0.8,
}
LIMIT = 1e-2
KAPPA_RANGE = {"float32": (10.0, 1e3), "float64": (1e2, 1e6), "difference": (1e2, 1e6)}

# The constant C of each law: two to five times the largest seen. LIMIT allows 83 (float32: 1e-2 / (eps32 * 1e3)).
CONSTANTS = {
    "round trip": 20.0,  # inverse(forward(z)) = z and forward(inverse(x)) = x
    "log-det": 20.0,  # against slogdet of the Jacobian by automatic differentiation
    "cancel": 20.0,  # forward and inverse log-det, their sum
    "compiled": 20.0,  # jit = eager = vmap of one
    "precision": 20.0,  # float32 against float64
    "gradient": 50.0,  # parameters and inputs, against a finite difference
    "Jacobian": 20.0,  # dz/dx dx/dz = 1, and forward mode = reverse mode
}


def tolerance(law: str, precision: str, kappa: np.ndarray) -> np.ndarray:
    """C * eps * kappa. **Raises:** AssertionError if one is not below `LIMIT`: such a test would show nothing."""
    value = CONSTANTS[law] * EPS[precision] * np.asarray(kappa, np.float64)
    assert np.all(value < LIMIT), f"{law}, {precision}: tolerance {np.max(value):.2g} is not below {LIMIT}"
    return value
