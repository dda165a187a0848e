r"""`next_layer`: the nats that one more affine coupling can take away from a fitted flow.

z are the latents of data, a the coordinates that the coupling moves, b those that it keeps (and the context). Next to the
latent it puts (a - t(b)) e^{-s(b)} in a's place and changes nothing else, so that against a standard normal base it gains

    E[ sum_i  a_i^2 / 2  -  (a_i - t_i(b))^2 e^{-2 s_i(b)} / 2  -  s_i(b) ]   nats.

**Theorem** (Draxler, Wahl, Schnoerr and Koethe 2024, On the universality of volume-preserving and coupling-based normalizing
flows). The largest gain is 1/2 E[ sum_i m_i(b)^2 + v_i(b) - 1 - log v_i(b) ], m_i and v_i mean and variance of a_i given b,
and t = m, e^{2s} = v has it. *Proof.* Given b the expectation is (m^2 + v) / 2 - ((m - t)^2 + v) e^{-2s} / 2 - s for each
i. It is largest at t = m; then its derivative in s, v e^{-2s} - 1, has one zero, where it is (m^2 + v) / 2 - 1/2 - log(v) /
2.

**What the interval is of.** One number: that largest gain over all functions s and t, for the better of two choices of the
kept half, while the layers that are there stay as they are. Layers that are trained on together are another matter.

**Lower end.** A coupling that is fitted to other rows is one coupling: its mean gain on fresh rows estimates, without bias,
a number that the largest gain is not below. Nothing is assumed of m, v or of how well they are fitted.

**Upper end.** There is no such bound from above: finitely many rows can not show that a wild m or v is not there. Fits to
all rows and to half of them are two points of a learning curve. What is missing is taken to fall like rows^(-1/2), and the
end is the upper 99 % limit of the curve drawn on to infinitely many rows: an estimate.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.conditioning._coupling_fit import UNITS, coupling_gains
from shoal.conditioning._inputs import as_map, as_points
from shoal.conditioning._map import AbstractMap
from shoal.records.figures import Figure, NextLayer

LEVEL = 0.99  # of the interval
FEWEST_ROWS, MOST = 100, 20_000  # rows that are measured; rows that a coupling is fitted to, at most
# what is missing, in units of the last doubling's gain, if errors fall like rows^(-1/2)
SLOW = 1.0 / (2.0**0.5 - 1.0)

Rows = tuple[FloatArray, FloatArray]


def next_layer(
    map: object,
    x: ArrayLike,
    *,
    context: ArrayLike | None = None,
    training: ArrayLike | None = None,
    training_context: ArrayLike | None = None,
    kept: Sequence[int] | None = None,
    seed: int = 0,
) -> NextLayer:
    r"""How many nats a row one more affine coupling can take away, next to the latent: a lower bound and an estimate.

    $$\max_{s, t} \text{gain} = \tfrac12 E \sum_i m_i(b)^2 + v_i(b) - 1 - \log v_i(b)$$

    with the conditional mean and variance of each moved latent coordinate given the kept ones b. It says what a layer gains
    that is added while the others stay; layers that are trained on together may gain more, or less in few steps.

    **Arguments:** `map`: a Shoal flow with a standard normal base, or what `audit` takes beside callables; `x`, `context`:
    rows that the flow was not trained on, (rows, n) and (rows, c), 100 or more. `training`, `training_context`: rows to fit
    the coupling to, such as those that the flow was trained on; None: the two halves of `x` in turn, which is less sharp.
    `kept`: indices of one half of the latent coordinates (None: the first n // 2); that half and the other are each tried
    as the kept one. `seed`: of the halves and of random features.

    **Returns:** a `NextLayer`. `gain.low` is a lower bound of the largest gain, with confidence 99 % for both choices
    together (means of independent rows taken as normal); `gain.value` and `gain.high` are estimates.

    **Raises:** InputError for another base, too few rows, or inputs that do not fit together.
    """
    whole = as_map(map, None, None, np.shape(x))[0]
    if whole.latent != "StandardNormal":
        raise InputError(
            f"`next_layer` needs a flow with a standard normal base; this one has {whole.latent}."
        )
    n = whole.size
    first = tuple(range(n // 2)) if kept is None else tuple(int(i) for i in kept)
    if len(set(first)) != len(first) or len(first) >= n or any(not 0 <= i < n for i in first):
        raise InputError(f"`kept` must be fewer than {n} distinct indices in 0 ... {n - 1}; got {first}.")
    z, c = _latents(whole, x, context)
    if len(z) < FEWEST_ROWS:
        raise InputError(f"`next_layer` needs {FEWEST_ROWS} rows or more; got {len(z)}.")
    rng = np.random.default_rng(seed)
    if training is None:
        order = rng.permutation(len(z))
        parts = np.array_split(order, 2)
        turns = [(z[p], c[p], z[q], c[q]) for p, q in (parts, parts[::-1])]
    else:
        more, more_context = _latents(whole, training, training_context)
        if len(more) < FEWEST_ROWS or more_context.shape[1] != c.shape[1]:
            raise InputError(
                f"`training` needs {FEWEST_ROWS} rows or more, with the same context as `x`; got {len(more)}."
            )
        some = rng.permutation(len(more))[:MOST]
        turns = [(more[some], more_context[some], z, c)]
    rest = tuple(i for i in range(n) if i not in first)
    choices = [choice for choice in ((first, rest), (rest, first)) if choice[1]]
    reach = float(-ndtri((1.0 - LEVEL) / 2 / len(choices) / len(turns)))
    found = [_measured(turns, *choice, reach, seed) for choice in choices]
    best = max(range(len(found)), key=lambda i: found[i].value)
    ends = [max(f) for f in zip(*((f.low or 0.0, f.high or 0.0) for f in found), strict=True)]
    gain = Figure(found[best].value, "estimate", *ends)
    return NextLayer(gain, list(choices[best][0]), found, len(z), len(turns[0][0]))


def _latents(map: AbstractMap, x: ArrayLike, context: ArrayLike | None) -> Rows:
    """Latents, and the context, of no columns where there is none. **Raises:** InputError for a latent that is not
    finite."""
    rows, given = as_points(x, context, map.size)
    z = np.asarray(map.at("inverse", context=given)(rows), np.float64)
    bad = ~np.isfinite(z).all(axis=1)
    if bad.any():
        raise InputError(
            f"the latent of row {int(bad.argmax())} is not finite: no coupling can be fitted to it."
        )
    return z, np.zeros((len(z), 0)) if given is None else given


def _measured(
    turns: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]],
    kept: tuple[int, ...],
    moved: tuple[int, ...],
    reach: float,
    seed: int,
) -> Figure:
    """One choice of the kept half: the mean gain on all measured rows, and its interval."""
    values, errors, ends, reaches, missed = [], [], [], [], 0.0
    for z, c, held, held_context in turns:
        fit = z[:, moved], np.hstack([z[:, kept], c])
        fresh = held[:, moved], np.hstack([held[:, kept], held_context])
        gain, unseen = coupling_gains(fit, fresh, seed=seed)
        half = len(z) // 2  # of the rows, and of the features: what a doubling of both gains
        poorer, _ = coupling_gains((fit[0][:half], fit[1][:half]), fresh, seed=seed, units=UNITS // 2)
        drawn_on = gain + SLOW * (gain - poorer)
        for part, means, deviations in ((gain, values, errors), (drawn_on, ends, reaches)):
            means.append(float(part.mean()))
            deviations.append(float(part.std(ddof=1) / len(part) ** 0.5))
        missed += unseen / len(turns)
    # turns share rows: their errors are not independent
    value, error, end, end_error = (float(np.mean(found)) for found in (values, errors, ends, reaches))
    high = max(max(value, 0.0) + reach * error, max(end, 0.0) + reach * end_error) + missed
    return Figure(max(value, 0.0), "estimate", max(value - reach * error, 0.0), high)
