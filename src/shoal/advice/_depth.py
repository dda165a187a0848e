"""From measured figures to a range of depths for RealNVP: a rule of thumb, fitted to ten tables and tried on ten others.

The ladder stops where another layer gains less than one standard error of its validation part; so the rule weighs what a
Gaussian misses, in nats a row, against how many rows there are to see it.
"""

import math

from shoal.advice._dimension import Local
from shoal.advice._modes import Modes

DEEPEST = 32
WIDTH = 4  # the range is (a, 4 a): two doublings


def depth_range(rows: int, columns: int, local: Local, modes: Modes) -> tuple[int, int]:
    """The range (a, 4 a) that is likely to hold the ladder's choice, a power of two, 4 a <= 32."""
    del columns, modes
    missed = local.negentropy if math.isfinite(local.negentropy) else 1.0
    signal = missed * math.sqrt(rows)
    low = 1 if signal < 10 else 2 if signal < 40 else 4
    return low, WIDTH * low
