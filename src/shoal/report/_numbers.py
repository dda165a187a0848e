"""Numbers of a record into text.

A figure that was not computed is `None` and is written as a dash; NaN and infinities are written as what they are.
"""

import math
from collections.abc import Iterable

MISSING = "–"
RESOLVED = 2.0**52
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def finite(value: float | None) -> float | None:
    """Returns `value` if it is a finite number, else `None`: for what is drawn."""
    return value if value is not None and math.isfinite(value) else None


def finite_values(values: Iterable[float | None]) -> list[float]:
    """Returns the finite numbers among `values`."""
    return [found for value in values if (found := finite(value)) is not None]


def positive(value: float | None) -> float | None:
    """Returns `value` if it is finite and above 0, else `None`: for logarithmic axes."""
    found = finite(value)
    return found if found is not None and found > 0 else None


def resolved(kappa: float) -> float | None:
    """κ where it is a figure, None where it is above 1/eps of float64 or not finite."""
    return kappa if kappa <= RESOLVED else None


def power_of_ten(exponent: int) -> str:
    """Returns for example "10⁻³"."""
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def short(value: float | None, digits: int = 3) -> str:
    """Returns a number with `digits` significant digits, as "1,250", "0.012" or "3.1 × 10⁻⁷"."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if -4 < power < 6:
        decimals = max(0, digits - 1 - power)
        return _minus(f"{float(f'{value:.{digits - 1}e}'):,.{decimals}f}")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    factor = "" if mantissa == "1" else f"{_minus(mantissa)} × "
    return factor + power_of_ten(power)


def setting(value: float | None) -> str:
    """Returns a number that somebody chose, without added digits: "0.001", "10,000", "10⁻⁷"."""
    found = finite(value)
    if not found:
        return short(value)
    power = math.floor(math.log10(abs(found)) + 1e-12)
    if -5 < power < 7:
        return _minus(
            f"{found:,.{max(0, 5 - power)}f}".rstrip("0").rstrip(".") if power < 5 else f"{found:,.0f}"
        )
    return short(found, 4)


def fixed(value: float | None, decimals: int = 3) -> str:
    """Returns a number with a fixed number of decimals (log-likelihoods and their differences)."""
    found = finite(value)
    if found is None or abs(found) >= 1e6:
        return short(value, 4)
    return _minus(f"{found:,.{decimals}f}")


def whole(value: float | None) -> str:
    """Returns a count with thousands separators."""
    found = finite(value)
    return MISSING if found is None else _minus(f"{round(found):,d}")


def duration(seconds: float | None) -> str:
    """Returns a time as "0.4 s", "12 s", "3 min 20 s" or "1 h 05 min"."""
    found = finite(seconds)
    if found is None or found < 0:
        return MISSING
    if found < 10:
        return f"{found:.1f} s"
    total = round(found)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def _minus(text: str) -> str:
    return text.replace("-", "−")
