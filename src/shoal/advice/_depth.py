"""From measured figures to a range of depths for RealNVP: a rule of thumb, fitted to ten tables and tried on ten others.

The ladder stops where more layers gain less than one standard error of its validation part. So the rule weighs what a
Gaussian misses, J nats a row, against the rows n that show it: S = J sqrt(n).
"""

import math

from shoal.advice._dimension import Local

WIDTH = 4  # the range is (a, 4 a): two doublings
STEPS = ((3.0, 1), (8.0, 2), (40.0, 4), (math.inf, 8))  # (S below which, a)


def depth_range(rows: int, local: Local) -> tuple[int, int]:
    """The range (a, 4 a) that is likely to hold the ladder's choice: a = 1, 2, 4, 8 for S up to 3, 8, 40 and above.

    Rows without a density (J is NaN) count as far from a Gaussian.
    """
    missed = local.negentropy if math.isfinite(local.negentropy) else math.inf
    signal = missed * math.sqrt(rows)
    low = next(a for bound, a in STEPS if signal < bound or bound == math.inf)
    return low, WIDTH * low
