"""From measured figures to a range of depths for RealNVP: a rule of thumb, fitted to the ladders of 60 tables.

The ladder stops where more layers gain less than one standard error of its validation part. So the rule weighs what a
Gaussian misses, J nats a row, against the rows n that show it: S = J sqrt(n).
"""

from shoal.advice._dimension import Local

SIGNAL = 8.0  # S below which a Gaussian misses little
KURTOSIS = (-2.5, 6.0)  # Mardia's, in standard errors, between which nothing speaks against a normal law
FEW = 300  # rows: with fewer, the ladder's choice is a matter of chance


def depth_range(rows: int, local: Local) -> tuple[int, int]:
    """A range that is likely to hold the ladder's choice.

    (1, 4) for rows that look normal: S below 8 and a kurtosis within -2.5 to 6 standard errors. Otherwise (8, 32), two
    doublings as well, or for fewer than 300 rows (2, 32), four. Rows without a density (J is NaN) do not look normal.
    """
    low, high = KURTOSIS
    if local.negentropy * rows**0.5 < SIGNAL and low < local.kurtosis < high:
        return 1, 4
    return (8, 32) if rows >= FEW else (2, 32)
