"""What is said of a table of too few rows for a flow: the front "gaussian", its covariance shrunk and widened.

n rows are few where a flow could not be told from a normal: the ladder compares on a tenth of them. Three things make a
normal of few rows honest. Its correlations are shrunk towards none (the oracle approximating estimator, OAS), which is
proper for fewer rows than columns too. Its variances are those of the next row, not of these: of the normals N(mean,
c variance) with the mean and variance of n rows of a normal column, that with c = (n + 1) / (n - 3) is the likeliest on new
rows. And its tails are logarithmic beyond 4 deviations (`LogTails`), as a front's are: a dozen rows say nothing of them.

Why this c: on a new row of a column of variance 1, the expected log-density is -log(c) / 2 - (1 + 1/n) E[1 / variance] / 2c
and a constant; E[1 / variance] = n / (n - 3), since n times the variance is chi-squared with n - 1 degrees of freedom.

OAS: Chen, Wiesel, Eldar and Hero, Shrinkage algorithms for MMSE covariance estimation, 2010, equation 23.
"""

import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import Chain, LogTails, Standardize, Whitening
from shoal.distributions import Flow, StandardNormal
from shoal.tables import Table, row_groups

SPREADS = (1e-30, 1e30)  # deviations of a column that its scale in float32 can hold


def few_rows_normal(table: Table) -> Flow:
    r"""The density of a table of few rows: a flow of no layer, in the table's units.

    With R the (weighted) correlations of the columns, $\Sigma = c ((1 - \rho) R + \rho I)$ in their deviations. A row of
    weight w counts as w equal rows do; n is the number of distinct rows, so that it does not depend on the weights' unit.
    **Raises:** `InputError` for a column whose deviations float32 can not hold.
    """
    used = slice(None) if table.weights is None else table.weights > 0
    x, w = table.values[used], None if table.weights is None else table.weights[used]
    rows, n = int(row_groups(x).max()) + 1, x.shape[1]
    mean, scale = _moments(x, w)
    _check(scale, table.names)
    dtype = jnp.result_type(float)
    units = Standardize(jnp.asarray(mean, dtype), jnp.asarray(scale, dtype))
    z = (x - np.asarray(units.mean, np.float64)) / np.asarray(
        units.scale, np.float64
    )  # as the flow will have it
    centre, spread = _moments(z, w)
    away = (z - centre) / spread
    covariance = _widened(rows) * np.outer(spread, spread) * shrunk(_mean_square(away, w), rows)
    inverse = solve_triangular(np.linalg.cholesky(covariance), np.eye(n), lower=True)
    white = Whitening(
        *(jnp.asarray(a, dtype) for a in (centre, np.tril(inverse, -1), np.log(np.diag(inverse))))
    )
    return Flow(StandardNormal(n), Chain([LogTails(n), white, units]), columns=table.names)


def shrunk(correlations: FloatArray, rows: int) -> FloatArray:
    r"""OAS: $(1 - \rho) R + \rho I$, with p columns and n rows,
    $\rho = \min(1, ((1 - 2/p) \|R\|^2 + p^2) / ((n + 1 - 2/p) (\|R\|^2 - p)))$.
    """
    p = len(correlations)
    size = float(np.sum(correlations**2))
    below = (rows + 1 - 2 / p) * (size - p)
    share = 1.0 if below <= 0 else min(1.0, ((1 - 2 / p) * size + p**2) / below)
    return (1 - share) * correlations + share * np.eye(p)


def _widened(rows: int) -> float:
    """c = (n + 1) / (n - 3), for n above 3; below, where no c is the likeliest, n + 1."""
    return (rows + 1) / max(rows - 3, 1)


def _moments(x: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))


def _mean_square(x: FloatArray, weights: FloatArray | None) -> FloatArray:
    w = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    return (x * w[:, None]).T @ x


def _check(scale: FloatArray, names: tuple[str, ...]) -> None:
    beyond = ~((scale > SPREADS[0]) & (scale < SPREADS[1]))
    if beyond.any():
        i = int(np.argmax(beyond))
        raise InputError(
            f"The column {names[i]!r} varies by {scale[i]:.3g}, beyond what float32 can hold; give it in another unit."
        )
